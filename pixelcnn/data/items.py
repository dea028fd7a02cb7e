"""Images of a library's data set as arrays: in memory, or in mapped files that are converted once."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pixelcnn.data.conversion import open_converted
from pixelcnn.data.image_arrays import ImageArrays
from pixelcnn.data.images import unlike

PART = 2**26  # bytes of pixels at most that a process converts at once
PARTS = 64  # at least, if there are as many images
UNLABELLED = -1

Item = Callable[[int], tuple[np.ndarray, int]]  # pixels uint8 (C, H, W) and label of an image, by its place


@dataclass(frozen=True)
class Items:
    """A stretch of such images, a part of a conversion."""

    item: Item = field(repr=False)
    name: Path  # in messages, before an image's place
    shape: tuple[int, ...]
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Images and labels; UserError names an image that differs in shape."""
        images, labels = np.empty((len(self), *self.shape), np.uint8), np.empty(len(self), np.int64)
        for row, place in enumerate(range(self.start, self.stop)):
            pixels, labels[row] = self.item(place)
            if pixels.shape != self.shape:
                raise unlike(pixels.shape, self.shape, self.name / str(place), self.name / "0")
            images[row] = pixels
        return images, labels


def arrays_of(
    item: Item, count: int, name: Path, class_names: tuple[str, ...] | None, converted: Path | None, source: object
) -> ImageArrays:
    """The ``count`` images of ``item``, labelled if each of them has a label.

    They are converted into the folder ``converted`` and mapped from there. If it already has images of the same
    ``source``, as identified by its ``repr``, these are used. If ``converted`` is None, the images are in memory.
    """
    pixels, _ = item(0)
    channels, height, width = pixels.shape
    if converted is None:
        images, labels = Items(item, name, pixels.shape, 0, count).read()
        arrays = ImageArrays(images, labels=labels)
    else:
        digest = hashlib.sha256(f"{source!r} {channels} {count}".encode()).hexdigest()[:12]
        folder = converted / f"{'_'.join(name.parts[-2:])}_{height}x{width}_{digest}"
        step = max(1, min(PART // pixels.nbytes, -(-count // PARTS)))
        starts = range(0, count, step)
        parts = [Items(item, name, pixels.shape, start, min(start + step, count)) for start in starts]
        arrays = open_converted(folder, lambda: parts, (channels, height, width), labelled=True)
    assert arrays.labels is not None
    if arrays.labels.min() < 0:
        return ImageArrays(arrays.images)
    return ImageArrays(arrays.images, labels=arrays.labels, class_names=class_names)
