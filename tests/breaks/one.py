"""What a break is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Break:
    """One line of code broken, after which something is wrong that the suite has to notice.

    ``line`` is a line of ``file``, or as much of one as stands there once, ``broken`` what is put in its place, and
    ``near`` the files of tests that are run first.
    """

    what: str
    file: str
    line: str
    broken: str
    near: tuple[str, ...]


def of_file(file: str, near: str, *rows: tuple[str, str, str]) -> list[Break]:
    """Breaks of pixelcnn/``file``, a row (what, line, broken) each; ``near``, of tests/, with blanks between."""
    files = tuple(f"tests/{name}" for name in near.split())
    return [Break(what, f"pixelcnn/{file}", line, broken, files) for what, line, broken in rows]
