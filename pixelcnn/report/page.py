"""The page: its content, and how it is written."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pixelcnn.durable import replacing


@dataclass(frozen=True)
class Picture:
    """A picture as data URIs; ``dark`` and ``narrow`` are the versions for dark pages and phones, if they differ."""

    light: str
    alt: str
    dark: str | None = None
    narrow: "Picture | None" = None
    caption: str = ""
    width: int | None = None  # in CSS pixels; None: its own, or the available width


@dataclass(frozen=True)
class Cell:
    """A cell with a ``link``, or with the ``number`` to sort by."""

    text: str
    number: float | None = None
    link: str | None = None


@dataclass(frozen=True)
class Table:
    """Rows of formatted cells; if ``sortable``, a click on a column's name sorts them."""

    header: list[str]
    rows: Sequence[Sequence[str | Cell]]
    sortable: bool = False


@dataclass(frozen=True)
class Section:
    """``layout``: "wide" for one plot, "plots" for several side by side, "pictures" for grids and single images."""

    title: str
    note: str = ""
    layout: str = "wide"
    pictures: list[Picture] = field(default_factory=list)
    table: Table | None = None


@dataclass(frozen=True)
class Outcome:
    """The headline: ``state`` in a word or two, coloured by ``mood`` ("good", "open" or "bad")."""

    state: str
    mood: str
    headline: str
    explanation: str


@dataclass(frozen=True)
class Page:
    """The content of a report, as plain text, which the template escapes. Empty parts are left out."""

    title: str
    directory: str  # of the run
    outcome: Outcome
    facts: list[tuple[str, str]]
    sections: list[Section]
    written: str  # date and time
    commands: list[tuple[str, str]] = field(default_factory=list)  # purpose, command line
    overrides: list[str] = field(default_factory=list)
    configuration: str = ""  # YAML
    environment: list[tuple[str, str]] = field(default_factory=list)


def write(page: Page, path: Path) -> None:
    """Write ``page`` as one self-contained HTML file, replacing an earlier file atomically."""
    template = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("template.html")
    with replacing(path) as file:
        # Names of files need not be text.
        file.write(template.render(page=page).encode("utf-8", errors="backslashreplace"))
