"""One-time conversion of images into memory-mapped arrays: on all cores, atomic and resumable.

Converted images are a folder with ``images.npy`` and, if they have labels, ``labels.npy``. Until it is complete its
name ends in a hash of the source and .partial, and its ``done.npy`` says which parts are on the disk.
"""

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from filelock import FileLock, Timeout
from rich.progress import MofNCompleteColumn, Progress

from pixelcnn.data.base import ImageArrays
from pixelcnn.data.mapped import mapped
from pixelcnn.data.processes import in_processes
from pixelcnn.errors import UserError

SECONDS_BETWEEN_LINES = 30

log = logging.getLogger(__name__)


class Part(Protocol):
    """Consecutive images of a source that one process reads at once; its ``repr`` identifies the source."""

    def __len__(self) -> int:
        """How many images."""

    def read(self) -> tuple[np.ndarray, np.ndarray | None]:
        """``images`` uint8 (N, C, H, W) and ``labels`` int64 (N,) or None; UserError names what is damaged."""


def open_converted(
    folder: Path, parts: Callable[[], Sequence[Part]], image_shape: tuple[int, int, int], labelled: bool
) -> ImageArrays:
    """The images of ``folder``, mapped. If it does not exist, ``parts()`` are converted, one after the other.

    If several processes call at once, one converts and the others wait. UserError names what cannot be read or written.
    """
    if not folder.is_dir():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _alone(folder):
                if not folder.is_dir():
                    _convert(folder, parts(), image_shape, labelled)
        except OSError as error:
            raise UserError(
                f"{error.filename or folder} stopped the conversion ({error.strerror}): make it readable and writable "
                "and free some space, or store the arrays elsewhere with data.converted=DIR."
            ) from error
    return _opened(folder, image_shape, labelled)


def _opened(folder: Path, image_shape: tuple[int, int, int], labelled: bool) -> ImageArrays:
    try:
        images = mapped(folder / "images.npy")
        labels = mapped(folder / "labels.npy") if labelled else None
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} is damaged ({error}): remove it to convert again.") from error
    if images.shape[1:] != image_shape:
        raise UserError(f"{folder} holds arrays of shape {images.shape}: remove it to convert again.")
    return ImageArrays(images, labels=labels)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("Another process is converting %s: waiting for it.", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _convert(folder: Path, parts: Sequence[Part], image_shape: tuple[int, int, int], labelled: bool) -> None:
    source = hashlib.sha256("\n".join(map(repr, parts)).encode()).hexdigest()
    partial = folder.with_name(f"{folder.name}.{source[:12]}.partial")
    for other in set(folder.parent.glob(f"{folder.name}.*.partial")) - {partial}:
        log.info("Removing %s: its source files have changed.", other)
        shutil.rmtree(other)
    starts = np.cumsum([0, *map(len, parts)])
    total = int(starts[-1])
    done = _begun(partial, len(parts), total, image_shape, labelled)
    had = int(np.diff(starts)[done == 1].sum())
    log.info("Converting %s images to %s%s.", f"{total:,}", folder, f", of which {had:,} are done" if had else "")
    todo = [int(k) for k in np.flatnonzero(done == 0)]
    with _progress(total, had) as advance:
        for k, _ in in_processes(_write, [(parts[j], int(starts[j]), partial) for j in todo]):
            done[todo[k]] = 1
            done.flush()
            advance(len(parts[todo[k]]))
    partial.rename(folder)
    (folder / "done.npy").unlink()


def _begun(partial: Path, parts: int, total: int, image_shape: tuple[int, int, int], labelled: bool) -> np.memmap:
    """uint8, 1 for each part that is written; creates the arrays if necessary."""
    marks = partial / "done.npy"
    if not marks.is_file():
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        np.lib.format.open_memmap(partial / "images.npy", "w+", np.uint8, (total, *image_shape))
        if labelled:
            np.lib.format.open_memmap(partial / "labels.npy", "w+", np.int64, (total,))
        # Written last and atomically: if it exists, the arrays beside it have their full length.
        with open(partial / "new.npy", "wb") as opened:
            np.save(opened, np.zeros(parts, np.uint8))
            opened.flush()
            os.fsync(opened.fileno())
        (partial / "new.npy").rename(marks)
    return np.load(marks, mmap_mode="r+")


def _write(task: tuple[Part, int, Path]) -> None:
    part, start, partial = task
    images, labels = part.read()
    _write_rows(partial / "images.npy", start, images)
    if labels is not None:
        _write_rows(partial / "labels.npy", start, labels)


def _write_rows(file: Path, start: int, rows: np.ndarray) -> None:
    """Write ``rows`` to the array in ``file`` from row ``start`` on, and flush them to the disk.

    Not through a memory map: there a full disk would be a signal that ends the process instead of an error.
    """
    first = np.load(file, mmap_mode="r").offset
    with open(file, "r+b") as opened:
        opened.seek(first + start * rows[0].nbytes)
        opened.write(np.ascontiguousarray(rows).data)
        opened.flush()
        os.fsync(opened.fileno())


@contextmanager
def _progress(total: int, had: int) -> Iterator[Callable[[int], Any]]:
    """A bar on a terminal, elsewhere a line every half minute; yields a function to call with the number of
    new images."""
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn()) as progress:
        bar = progress.add_task("images", total=total, completed=had)
        printed = time.monotonic()

        def advance(count: int) -> None:
            nonlocal printed
            progress.advance(bar, count)
            if not progress.console.is_terminal and time.monotonic() - printed > SECONDS_BETWEEN_LINES:
                printed = time.monotonic()
                log.info("Converted %s of %s images.", f"{progress.tasks[0].completed:,.0f}", f"{total:,}")

        yield advance
