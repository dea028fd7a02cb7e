"""Files that are there whole, or as they were before: written beside, flushed to the disk, then renamed."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pixelcnn.errors import UserError

PARTIAL = ".partial"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # numbers of errors


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """The file to write what shall stand at ``path``, whose directory exists; leaving the context puts it there.

    On an error, OSError where the disk is full, ``path`` is as it was and nothing is left beside it. A process that is
    killed leaves its half-written file, which the next one overwrites and `remove_partial` removes.
    """
    partial = path.with_name(f".{path.name}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _flush_directory(path.parent)


@contextmanager
def sentence_when_full(folder: Path) -> Iterator[None]:
    """Around what writes to ``folder``: UserError instead of the system's, where there is no space left."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(
            f"{error.filename or folder} could not be written ({error.strerror}): free some space and go on with the "
            "run by checkpoint=last."
        ) from error


def remove_partial(folder: Path) -> None:
    """Remove what killed processes have left half-written in ``folder``, which may not exist."""
    for partial in folder.glob(f".*{PARTIAL}"):
        partial.unlink()


def _flush_directory(folder: Path) -> None:
    """Have the disk know the new name: without it a machine that loses power may come back with the old file."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
