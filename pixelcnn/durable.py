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
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # as where what was opened cannot be written
            error.filename = str(path)
        raise
    _flush_directory(path.parent)


def trouble_when_full(error: BaseException, folder: Path) -> str | None:
    """What is full, in words, where ``error`` says that something is; None where it says something else.

    Files that are copied are named by their source, and semaphores not at all: of the file systems that may be meant,
    ``folder``'s among them, it is one that has no room.
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
    """Around a run that writes to ``folder``: raise UserError if the disk is full."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        trouble = trouble_when_full(error, folder)
        if trouble is None:
            raise
        raise UserError(f"{trouble}: free some space there and resume with checkpoint=last.") from error


@contextmanager
def warning_when_full(folder: Path) -> Iterator[None]:
    """Around what a run can do without: warn if the disk is full."""
    try:
        yield
    except OSError as error:
        trouble = trouble_when_full(error, folder)
        if trouble is None:
            raise
        log.warning("%s. The run continues without it: free some space there.", trouble)


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
