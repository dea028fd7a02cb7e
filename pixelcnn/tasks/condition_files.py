"""Files that hold conditions: rows of arrays, and images to encode."""

import os
from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pixelcnn.conditioning.upsampling import divides
from pixelcnn.data.arrays import DAMAGED, fault
from pixelcnn.data.images import described, read_pixels
from pixelcnn.errors import UserError
from pixelcnn.image_shape import array_type, tensor_type
from pixelcnn.model import PixelModel

# By a conditioning's batch_key, if it is not also the array's name in a file: the possible arrays, of which the first
# that exists is used.
ARRAYS = {"labels": ("labels", "label_weights"), "images": ("codes", "images")}


def arrays_of(batch_key: str) -> tuple[str, ...]:
    """The arrays of a file that may hold conditions of this kind."""
    return ARRAYS.get(batch_key, (batch_key,))


def rows_of(spec: str, where: str, keys: Collection[str]) -> dict[str, tuple[str, np.ndarray]]:
    """The rows for FILE:ROW: for each of the ``keys`` of conditions that the file has, the array's name and its row.

    An .npy file holds the first of the first key's arrays, or images if its dtype is uint8 or uint16. UserError,
    starting with ``where``, for anything else, and if there is none.
    """
    file, _, number = spec.rpartition(":")
    if not file or not number.isdecimal():
        raise UserError(f"{where} is not understood: write FILE:ROW, such as test.npz:0 for the first row.")
    if not os.path.isfile(file):
        raise UserError(f"{where} names no file: give the path of an .npz or .npy file, and a row of it.")
    wanted = {key: arrays_of(key) for key in keys}
    names = [name for of_key in wanted.values() for name in of_key]
    try:
        stored = np.load(file, allow_pickle=False)
        if isinstance(stored, np.lib.npyio.NpzFile):
            with stored:
                first = {key: next((name for name in of_key if name in stored), None) for key, of_key in wanted.items()}
                found = {key: (name, stored[name]) for key, name in first.items() if name is not None}
        else:
            is_images = "images" in names and getattr(stored, "dtype", None) in (np.uint8, np.uint16)
            name = "images" if is_images else names[0]
            found = {next(key for key, of_key in wanted.items() if name in of_key): (name, stored)}
    except DAMAGED as error:
        told = f"{where} names a file that cannot be read as plain arrays ({fault(error)}): create it again."
        raise UserError(told) from error
    # numpy returns the bytes of other members
    found = {key: (name, array) for key, (name, array) in found.items() if isinstance(array, np.ndarray)}
    if not found:
        raise UserError(
            f"{where} names a file without an array `{'` or `'.join(names)}`, which this model is conditioned on: "
            "use another file."
        )
    rows = {}
    for key, (name, array) in found.items():
        count = len(array) if array.ndim else 0
        if int(number) >= count:
            remedy = f"use 0 to {count - 1}" if count else "use another file"
            raise UserError(f"{where} names row {number} of {count} rows of `{name}`: {remedy}.")
        rows[key] = name, array[int(number)]
    return rows


def features_in(row: np.ndarray, name: str, where: str, features: int, size: tuple[int, int]) -> Tensor:
    """A row of ``name`` as float32 (1, ...): ``features``, or a map of them whose size divides ``size``. UserError,
    beginning with ``where``, for another type or shape."""
    is_map = name == "maps"
    fits = row.shape[:1] == (features,) and (row.ndim == 1 or (is_map and divides((1, *row.shape), *size)))
    if row.dtype.kind != "f" or not fits or is_map == (row.ndim == 1):
        expected = (features, *size) if is_map else (features,)
        raise UserError(
            f"{where} is of type {row.dtype} and shape {row.shape}, but a row of `{name}` for this model is floats "
            f"of shape {expected}: use another file."
        )
    with np.errstate(over="ignore"):
        row = row.astype(np.float32)
    if not np.isfinite(row).all():
        raise UserError(f"{where} contains NaN or inf (as float32): use another row.")
    return torch.from_numpy(row)[None]


def at_levels(pixels: np.ndarray, levels: int) -> Tensor:
    """All values of uint8 or uint16 rounded to ``levels``, as the project's pictures show them."""
    most = int(np.iinfo(pixels.dtype).max)
    return torch.from_numpy((pixels.astype(np.int64) * (levels - 1) + most // 2) // most).to(tensor_type(levels))


def pixels_of(file: str, where: str, levels: int, channels: int | None = None) -> np.ndarray:
    """The image in ``file`` (C, H, W), uint8, or uint16 if it has 16 bits and ``levels`` is above 256; UserError,
    starting with ``where`` if there is none."""
    if not os.path.isfile(file):
        raise UserError(f"{where} names no file: give the path of an image.")
    return read_pixels(Path(file), channels, levels=levels)


def image_in(model: PixelModel, file: str, where: str) -> Tensor:
    """The image file's pixels (1, C, H, W), rounded to the model's levels."""
    name, shape = model.description.conditioning.name, model.image
    if not model.conditioning.sees_the_image:
        raise UserError(
            f"{where} is for models with conditioning=encoder, and this one has {name}: leave it out, or complete the "
            "image by task=complete task.file=FILE."
        )
    pixels = pixels_of(file, where, shape.levels)
    if pixels.shape != (shape.channels, shape.height, shape.width):
        raise UserError(f"{where} is {described(pixels.shape)}, but this model's images are {_wanted(model)}.")
    return at_levels(pixels, shape.levels)[None]


def image_of(model: PixelModel, row: np.ndarray, where: str) -> Tensor:
    """A row of `images`, uint8, or uint16 above 256 levels (H, W, C) or (H, W), as (1, C, H, W)."""
    shape = model.image
    pixels = row[..., np.newaxis] if row.ndim == 2 else row
    if pixels.dtype != array_type(shape.levels) or pixels.shape != (shape.height, shape.width, shape.channels):
        raise UserError(
            f"{where} is an image of type {row.dtype} and shape {row.shape}, but this model's images are "
            f"{array_type(shape.levels)}, {_wanted(model)}."
        )
    if pixels.max() >= shape.levels:
        raise UserError(
            f"{where} is an image that holds {pixels.max()}, but this model's levels are 0..{shape.levels - 1}: "
            "rescale it."
        )
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy()).to(shape.dtype)[None]


def codes_of(model: PixelModel, row: np.ndarray, where: str) -> Tensor:
    """A row of the `codes` of `data=codes`, integers (H, W) or (C, H, W), as (1, C, H, W)."""
    codes = torch.from_numpy(row.astype(np.int64).reshape(1, -1, *row.shape[-2:]))
    try:
        model.require_images(codes)
    except UserError as error:
        raise UserError(f"{where} does not fit: {error}") from error
    return codes.to(model.image.dtype)


def _wanted(model: PixelModel) -> str:
    shape = model.image
    return f"{described((shape.channels, shape.height, shape.width))}: give one like them"
