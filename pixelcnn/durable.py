"""Atomic, durable file writes: written to a temporary file, flushed to the disk, then renamed."""

import errno
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pixelcnn.errors import UserError

log = logging.getLogger(__name__)

PARTIAL = ".partial"
SHARED_MEMORY = Path("/dev/shm")
LITTLE = 1 << 16  # bytes; less counts as full
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # numbers of errors


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write the new content of ``path`` to; leaving the context moves it there. The directory must exist.

    On an error, such as OSError for a full disk, ``path`` is unchanged and nothing is left beside it. A killed process
    leaves its half-written file, which the next one overwrites and `remove_partial` removes.
    """
    partial = path.with_name(f".{path.name}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # e.g. the opened file cannot be written
            error.filename = str(path)
        raise
    _flush_directory(path.parent)


def trouble_when_full(error: BaseException, folder: Path) -> str | None:
    """What is full, in words, if ``error`` is about a full disk; else None.

    Errors name copied files by their source, and semaphores not at all. So the file system meant is the first of the
    candidates, ``folder``'s among them, that has no room.
    """
    if isinstance(error, RuntimeError):  # torch's, of a batch that a worker sends
        of_memory = "shared memory" in str(error) and os.strerror(errno.ENOSPC) in str(error)
        return f"{SHARED_MEMORY} is full (workers send batches through it)" if of_memory else None
    if not isinstance(error, OSError) or error.errno not in FULL:
        return None
    named = [Path(os.fsdecode(name)) for name in (error.filename2, error.filename) if isinstance(name, str | bytes)]
    places = [*named, folder, SHARED_MEMORY, Path(tempfile.gettempdir())]
    place = next((place for place in places if _has_no_room(place)), places[0])
    return f"{place} could not be written ({error.strerror})"


def _has_no_room(path: Path) -> bool:
    there = next((place for place in (path, *path.absolute().parents) if place.exists()), None)
    if there is None or not hasattr(os, "statvfs"):
        return False
    room = os.statvfs(there)
    return room.f_bavail * room.f_frsize < LITTLE or (room.f_files > 0 and room.f_favail == 0)


@contextmanager
def sentence_when_full(folder: Path) -> Iterator[None]:
    """Within it, a full disk raises UserError. For a run that writes to ``folder``."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        trouble = trouble_when_full(error, folder)
        if trouble is None:
            raise
        raise UserError(f"{trouble}: free some space there and resume with checkpoint=last.") from error


@contextmanager
def warning_when_full(folder: Path) -> Iterator[None]:
    """Within it, a full disk causes only a warning. For files that a run can do without."""
    try:
        yield
    except OSError as error:
        trouble = trouble_when_full(error, folder)
        if trouble is None:
            raise
        log.warning("%s. The run continues without it: free some space there.", trouble)


def remove_partial(folder: Path) -> None:
    """Remove files that killed processes left half-written in ``folder``, which may not exist."""
    for partial in folder.glob(f".*{PARTIAL}"):
        partial.unlink()


def _flush_directory(folder: Path) -> None:
    """Flush the new name to the disk: otherwise the old file may be back after a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
