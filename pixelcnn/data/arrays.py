"""``data=arrays``: images and what comes with them in .npz files."""

import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from pixelcnn.conditioning.upsampling import divides
from pixelcnn.data.base import ImageArrays, ImageDataModule
from pixelcnn.errors import UserError
from pixelcnn.image_shape import MOST_LEVELS, array_type

NAMES = ("images", "codes", "levels", "labels", "embeddings", "maps", "coarse", "coarse_levels")
MOST_CLASSES = 1_000_000  # a model has weights for every class up to the largest label
# Raised by numpy and zipfile for files that are damaged, encrypted or contain Python objects.
DAMAGED = (OSError, EOFError, ValueError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error)


class Arrays(ImageDataModule):
    """Two .npz files, ``train`` and ``test``; a task needs only those it uses.

    A file holds ``images`` uint8 or uint16 (N, H, W, C) or (N, H, W), and optionally ``levels`` (one integer, by
    default 256, or 65,536 for uint16), ``labels`` integers (N,), ``embeddings`` floats (N, D), ``maps`` floats (N, D,
    h, w) and ``coarse`` integers (N, h, w) of ``coarse_levels`` (one integer), where h and w divide H and W. Other
    arrays are ignored.
    """

    def __init__(self, train: str | None, test: str | None, levels: int | None = None, **loading: Any) -> None:
        """``levels`` overrides what the files say."""
        super().__init__(**loading)
        self.files = {"train": train, "test": test}
        self.levels = levels

    def where(self) -> str:
        """The files."""
        return " and ".join(str(self._file(split)) for split in ("train", "test"))

    def load(self, split: str) -> ImageArrays:
        """Read and check one file; raises UserError naming its key, the file and the array."""
        file = self._file(split)
        return read_arrays(file, f"data.{split}={file}", self.levels)

    def _file(self, split: str) -> Path:
        file = self.files[split]
        if file is None:
            instead = ", or hold out training images with data.val_size" if split == "test" and self.val_is_test else ""
            raise UserError(f"data.{split} is not set: give data.{split}=FILE.npz{instead}.")
        if not os.path.isfile(file):
            raise UserError(f"data.{split}={file} is not a file: give the path of an .npz file.")
        return Path(file)


def read_arrays(file: Path, where: str, levels: int | None = None, codes: bool | None = False) -> ImageArrays:
    """The arrays of an .npz file, which messages call ``where``; ``levels`` overrides the file's.

    With ``codes`` its `codes` are read instead of `images`; None: whichever it has.
    """
    stored = _stored(file, where)
    name = "codes" if codes or (codes is None and "images" not in stored and "codes" in stored) else "images"
    images, likely, most = _codes(stored, where) if name == "codes" else _images(stored, where)
    levels = _levels(levels if levels is not None else stored.get("levels", likely), most, name, images, where)
    images = images.astype(array_type(levels), copy=False)
    return ImageArrays(
        images,
        levels,
        labels=_labels(stored, images, where),
        embeddings=_floats(stored, "embeddings", images, where),
        maps=_floats(stored, "maps", images, where),
        **coarse_codes(stored, images, where),
    )


def stated_levels(file: Path, where: str) -> int | None:
    """The `levels` in an .npz file that `read_arrays` has accepted, if it has them."""
    stored = _stored(file, where)
    return int(stored["levels"]) if "levels" in stored else None


def _stored(file: Path, where: str) -> dict[str, np.ndarray]:
    try:
        archive = np.load(file, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise UserError(f"{where} is a single array: store it by np.savez(FILE, images=...).")
        with archive:
            stored = {name: archive[name] for name in NAMES if name in archive}
    except DAMAGED as error:
        told = f"{where} cannot be read as an .npz file of plain arrays ({fault(error)}): create it again."
        raise UserError(told) from error
    for name, array in stored.items():
        if not isinstance(array, np.ndarray):  # numpy returns the bytes of other members
            raise UserError(f"{where} has `{name}`, which is not an array: store it by np.savez(FILE, {name}=...).")
    return stored


def fault(error: Exception) -> str:
    """numpy's reason for not loading a file, without its advice to allow code in it to run."""
    return "it is of another kind, or holds objects" if "pickle" in str(error) else str(error)


def _images(stored: dict[str, np.ndarray], where: str) -> tuple[np.ndarray, int, int]:
    """uint8 or uint16 (N, C, H, W), a view of what is stored; the assumed and the largest number of levels."""
    if "images" not in stored:
        raise UserError(f"{where} has no array `images`: store them by np.savez(FILE, images=...).")
    images = stored["images"]
    if images.dtype not in (np.uint8, np.uint16):
        raise UserError(f"{where} holds `images` of type {images.dtype}: store them as uint8 or uint16.")
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or images.size == 0:
        raise UserError(
            f"{where} holds `images` of shape {stored['images'].shape}: "
            "store them as (N, height, width) or (N, height, width, channels) with 1 or 3 channels."
        )
    levels = 256 if images.dtype == np.uint8 else MOST_LEVELS
    return images.transpose(0, 3, 1, 2), levels, levels


def _codes(stored: dict[str, np.ndarray], where: str) -> tuple[np.ndarray, int, int]:
    """Integers (N, C, H, W), and the same numbers as `_images`; the number assumed is the largest code plus one."""
    if "codes" not in stored:
        raise UserError(f"{where} has no array `codes`: store them by np.savez(FILE, codes=...).")
    codes = stored["codes"]
    if codes.dtype.kind not in "iu" or codes.ndim not in (3, 4) or codes.size == 0:
        raise UserError(
            f"{where} holds `codes` of type {codes.dtype} and shape {codes.shape}: "
            "store integers (N, height, width) or (N, channels, height, width)."
        )
    return codes if codes.ndim == 4 else codes[:, np.newaxis], max(int(codes.max()) + 1, 2), MOST_LEVELS


def _levels(levels: int | np.ndarray, most: int, name: str, images: np.ndarray, where: str) -> int:
    array = np.asarray(levels)
    if name == "codes" and images.max() >= most:
        raise UserError(f"{where} holds `codes` with the value {images.max()}: use values from 0 to {most - 1}.")
    if array.ndim != 0 or array.dtype.kind not in "iu" or not 2 <= array <= most:
        raise UserError(f"{where} has `levels` {levels}: use a whole number from 2 to {most}.")
    value = images.min() if images.min() < 0 else images.max()
    if not 0 <= value < array:
        raise UserError(
            f"{where} holds `{name}` with the value {value}, while {array} levels go from 0 to {array - 1}: "
            "store the right number as `levels`, or set data.levels."
        )
    return int(array)


def _labels(stored: dict[str, np.ndarray], images: np.ndarray, where: str) -> np.ndarray | None:
    if "labels" not in stored:
        return None
    labels = stored["labels"]
    if labels.dtype.kind not in "iu" or labels.shape != (len(images),):
        raise UserError(
            f"{where} holds `labels` of type {labels.dtype} and shape {labels.shape}: "
            f"store {len(images)} whole numbers, 0 or more, one for each image."
        )
    if labels.min() < 0 or labels.max() >= MOST_CLASSES:
        raise UserError(
            f"{where} holds `labels` from {labels.min()} to {labels.max()}: number the classes from 0 on, "
            f"up to {MOST_CLASSES - 1}."
        )
    return labels.astype(np.int64)


def coarse_codes(stored: dict[str, np.ndarray], images: np.ndarray, where: str) -> dict[str, Any]:
    """``coarse`` int32 (N, h, w) and ``coarse_levels`` of a file's arrays, if it has them."""
    if "coarse" not in stored:
        return {}
    codes, levels = stored["coarse"], stored.get("coarse_levels")
    if codes.ndim == 4 and codes.shape[1] == 1:
        codes = codes[:, 0]
    fits = codes.ndim == 3 and len(codes) == len(images) and divides(codes[:, None].shape, *images.shape[2:])
    if codes.dtype.kind not in "iu" or not fits:
        raise UserError(
            f"{where} holds `coarse` of type {codes.dtype} and shape {codes.shape}: store integers of shape "
            f"({len(images)}, h, w), with h and w dividing the images' {images.shape[2]} and {images.shape[3]}."
        )
    is_number = levels is None or (levels.ndim == 0 and levels.dtype.kind in "iu")
    if not is_number or not 1 <= (most := MOST_CLASSES if levels is None else int(levels)) <= MOST_CLASSES:
        told = f"use a whole number from 1 to {MOST_CLASSES}"
        raise UserError(f"{where} has `coarse_levels` {levels}: {told}.")
    if codes.min() < 0 or codes.max() >= most:
        raise UserError(f"{where} holds `coarse` from {codes.min()} to {codes.max()}: use codes from 0 to {most - 1}.")
    return {"coarse": codes.astype(np.int32), "coarse_levels": None if levels is None else int(levels)}


def _floats(stored: dict[str, np.ndarray], name: str, images: np.ndarray, where: str) -> np.ndarray | None:
    if name not in stored:
        return None
    rows = stored[name]
    count, _, height, width = images.shape
    expected = (count, "D") if name == "embeddings" else (count, "D", height, width)
    of_size = rows.ndim == len(expected) and (name == "embeddings" or divides(rows.shape, height, width))
    if rows.dtype.kind != "f" or not of_size or len(rows) != count or rows.size == 0:
        smaller = "" if name == "embeddings" else ", or of a height and width that divide these"
        raise UserError(
            f"{where} holds `{name}` of type {rows.dtype} and shape {rows.shape}: "
            f"store floats of shape ({', '.join(map(str, expected))}){smaller}."
        )
    with np.errstate(over="ignore"):
        rows = rows.astype(np.float32, copy=False)
    if not np.isfinite(rows).all():
        raise UserError(f"{where} holds `{name}` with NaN or inf (as float32): fix or remove those images.")
    return rows
