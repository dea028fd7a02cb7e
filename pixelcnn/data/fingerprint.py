"""Fingerprints of a run's training and held-out images, stored in its checkpoints."""

import hashlib

from pixelcnn.data.base import ImageDataModule

PARTS = ("train", "val")
MOST = 4096  # images hashed per part: takes a fraction of a second, even for millions in mapped files
AT_ONCE = 64


def fingerprint(data: ImageDataModule) -> dict[str, str]:
    """`fingerprint_of` the training images and the held-out ones."""
    return {part: fingerprint_of(data, part) for part in PARTS}


def fingerprint_of(data: ImageDataModule, part: str) -> str:
    """A line that identifies images and their order, wherever they are stored and however they are loaded.

    ``part`` is "train" or "val". The line has the number of images, their shape and levels, and a hash of evenly spaced
    images with their places and everything that comes with them (labels, embeddings, maps).
    """
    index = data.evenly_spaced(part, MOST)
    digest = hashlib.sha256()
    for start in range(0, len(index), AT_ONCE):
        batch = data.at(part, index[start : start + AT_ONCE])
        for name, rows in sorted(batch.items()):
            digest.update(f"{name} {rows.dtype} {tuple(rows.shape)} ".encode() + rows.numpy().tobytes())
    return f"{data.num_images_of(part)} images of {data.shape}, sha256 {digest.hexdigest()[:16]}"
