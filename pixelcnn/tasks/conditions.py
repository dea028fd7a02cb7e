"""Conditions set for a task: a label, a row of a file, or an image to encode."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from pixelcnn.configuration.tasks import CONDITIONS
from pixelcnn.data.arrays import DAMAGED, fault
from pixelcnn.data.images import read_pixels
from pixelcnn.errors import UserError
from pixelcnn.model import PixelModel

# By a conditioning's batch_key, where it is not the array of a file that holds such conditions: the arrays that may,
# the first that is there is taken.
ARRAYS = {"labels": ("labels", "label_weights"), "images": ("codes", "images")}
# What a model can be given beside task.condition.
REMEDIES = {"labels": "task.label=LABEL or ", "images": "task.image=FILE or "}
SHOWN = 20  # of the names of classes


@dataclass(frozen=True, eq=False)
class Given:
    """A condition, its first axis 1: a label, features, or a code with the image that it is of, if it is known."""

    condition: Tensor
    image: Tensor | None = None  # uint8 (1, C, H, W)


def given_condition(
    model: PixelModel,
    height: int,
    width: int,
    label: int | str | None = None,
    condition: str | None = None,
    image: str | None = None,
) -> Given | None:
    """What ``task.label``, ``task.condition`` or ``task.image`` name, for images of this size; None if none is set."""
    for kind, value in zip(CONDITIONS, (label, condition, image), strict=True):
        if value is not None:
            return named(model, height, width, kind, value, f"task.{kind}={value}")
    return None


def named_kind(task: DictConfig) -> str | None:
    """Which of `CONDITIONS` ``task`` names, if any."""
    return next((kind for kind in CONDITIONS if task[kind] is not None), None)


def named(model: PixelModel, height: int, width: int, kind: str, value: int | str, where: str) -> Given:
    """The condition that ``value`` names, as one of the ``kind`` "label", "condition" (FILE:ROW) or "image" (a file).

    UserError, beginning with ``where``, where there is no such condition or the model takes none of the kind.
    """
    if kind == "label":
        return Given(_label(model, value, where))
    if kind == "image":
        return _encoded(model, _image_in(model, str(value), where))
    if model.conditioning.batch_key is None:
        raise UserError(f"{where} is for conditional models, and this one has conditioning=none: leave it out.")
    name, row = row_of(str(value), where, arrays_of(model.conditioning.batch_key))
    if name == "images":
        return _encoded(model, _image_of(model, row, where))
    if name == "labels":
        if row.dtype.kind not in "iu" or row.ndim:
            raise UserError(f"{where} is not a label (type {row.dtype}, shape {row.shape}): use another file.")
        return Given(_label(model, int(row), where))
    features = model.conditioning.features
    expected = (features, height, width) if name == "maps" else (features,)
    if row.dtype.kind != "f" or row.shape != expected:
        raise UserError(
            f"{where} is of type {row.dtype} and shape {row.shape}, but a row of `{name}` for this model is floats "
            f"of shape {expected}: use another file."
        )
    with np.errstate(over="ignore"):
        row = row.astype(np.float32)
    if not np.isfinite(row).all():
        raise UserError(f"{where} contains NaN or inf (as float32): use another row.")
    return Given(torch.from_numpy(row)[None])


def arrays_of(batch_key: str) -> tuple[str, ...]:
    """The arrays of a file that may hold conditions of this kind."""
    return ARRAYS.get(batch_key, (batch_key,))


def row_of(spec: str, where: str, names: tuple[str, ...]) -> tuple[str, np.ndarray]:
    """The row of FILE:ROW, and which of ``names`` it belongs to. An .npy file holds the first of them, or images if its
    dtype is uint8.

    UserError, starting with ``where``, for anything else.
    """
    file, _, number = spec.rpartition(":")
    if not file or not number.isdecimal():
        raise UserError(f"{where} is not understood: write FILE:ROW, such as test.npz:0 for the first row.")
    if not os.path.isfile(file):
        raise UserError(f"{where} names no file: give the path of an .npz or .npy file, and a row of it.")
    try:
        stored = np.load(file, allow_pickle=False)
        if isinstance(stored, np.lib.npyio.NpzFile):
            with stored:
                name = next((name for name in names if name in stored), None)
                array = None if name is None else stored[name]
        else:
            is_images = "images" in names and getattr(stored, "dtype", None) == np.uint8
            name, array = "images" if is_images else names[0], stored
    except DAMAGED as error:
        told = f"{where} names a file that cannot be read as plain arrays ({fault(error)}): create it again."
        raise UserError(told) from error
    if name is None or not isinstance(array, np.ndarray):  # numpy returns the bytes of other members
        raise UserError(
            f"{where} names a file without an array `{'` or `'.join(names)}`, which this model is conditioned on: "
            "use another file."
        )
    count = len(array) if array.ndim else 0
    if int(number) >= count:
        rows = f"use 0 to {count - 1}" if count else "use another file"
        raise UserError(f"{where} names row {number} of {count} rows of `{name}`: {rows}.")
    return name, array[int(number)]


def way_between(
    model: PixelModel, height: int, width: int, task: DictConfig, shares: Tensor
) -> tuple[tuple[Given, Given], Tensor]:
    """Interpolate from the condition that ``task`` names to ``task.interpolate_to``, of the same kind.

    Returns features (S, D) or (S, D, H, W) at the positions ``shares`` (S,), from the first (0) to the second (1).
    """
    kind = named_kind(task)
    assert kind is not None  # as the schema has it
    first = named(model, height, width, kind, task[kind], f"task.{kind}={task[kind]}")
    last = named(model, height, width, kind, task.interpolate_to, f"task.interpolate_to={task.interpolate_to}")
    a, b = (model.conditioning.encode(end.condition, 1, height, width) for end in (first, last))
    assert a is not None and b is not None
    return (first, last), torch.lerp(a.float(), b.float(), shares.view(-1, *[1] * (a.ndim - 1)))


def at_levels(pixels: np.ndarray, levels: int) -> Tensor:
    """uint8 of 256 levels rounded to ``levels``, which the project's pictures show so."""
    return torch.from_numpy((pixels.astype(np.int64) * (levels - 1) + 127) // 255).to(torch.uint8)


def pixels_of(file: str, where: str, channels: int | None = None) -> np.ndarray:
    """The image in ``file``, uint8 (C, H, W); UserError, beginning with ``where`` if there is none."""
    if not os.path.isfile(file):
        raise UserError(f"{where} names no file: give the path of an image.")
    return read_pixels(Path(file), channels)


def missing_condition(model: PixelModel, instead: str = "") -> UserError:
    """The error for a missing condition."""
    name, other = model.description.conditioning.name, REMEDIES.get(model.conditioning.batch_key or "", "")
    return UserError(f"conditioning={name} needs a condition{instead}: give {other}task.condition=FILE:ROW.")


def require_same_classes(model: PixelModel, class_names: Sequence[str] | None, checkpoint: str) -> None:
    """Raise UserError if a data set's class names differ from those of the model in ``checkpoint``."""
    known, there = model.class_names or (), class_names or ()
    if model.conditioning.batch_key != "labels":
        return
    for label, (own, other) in enumerate(zip(known, there, strict=False)):
        if own != other:
            raise UserError(
                f"data calls label {label} {other}, and checkpoint={checkpoint} calls it {own}: name its class folders "
                "like those that the model was trained on."
            )


def _label(model: PixelModel, label: int | str, where: str) -> Tensor:
    classes, names = model.num_classes, model.class_names or ()
    if classes is None:
        raise UserError(f"{where} is for class-conditional models, and this one is not: leave it out.")
    if isinstance(label, str) and label in names:
        label = names.index(label)
    if not isinstance(label, int) or not 0 <= label < classes:
        close = get_close_matches(str(label), names, 1)
        remedy = f"did you mean {close[0]}?" if close else f"use 0 to {classes - 1}{_or_one_of(names)}."
        raise UserError(f"{where} is not a class of this model: {remedy}")
    return torch.tensor([label])


def _or_one_of(names: Sequence[str]) -> str:
    return f", or one of {', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''}" if names else ""


@torch.no_grad()
def _encoded(model: PixelModel, image: Tensor) -> Given:
    code = model.conditioning.encode(image, 1, *image.shape[2:])
    assert code is not None
    return Given(code, image)


def _image_in(model: PixelModel, file: str, where: str) -> Tensor:
    """The image file's pixels, uint8 (1, C, H, W), their 256 levels rounded to the model's."""
    name, shape = model.description.conditioning.name, model.image
    if not model.conditioning.sees_the_image:
        raise UserError(
            f"{where} is for models with conditioning=encoder, and this one has {name}: leave it out, or complete the "
            "image by task=complete task.file=FILE."
        )
    pixels = pixels_of(file, where)
    if pixels.shape != (shape.channels, shape.height, shape.width):
        raise UserError(f"{where} is {_described(*pixels.shape)}, but this model's images are {_wanted(model)}.")
    return at_levels(pixels, shape.levels)[None]


def _image_of(model: PixelModel, row: np.ndarray, where: str) -> Tensor:
    """A row of `images`, uint8 (H, W, C) or (H, W), as (1, C, H, W)."""
    shape = model.image
    pixels = row[..., np.newaxis] if row.ndim == 2 else row
    if pixels.dtype != np.uint8 or pixels.shape != (shape.height, shape.width, shape.channels):
        raise UserError(
            f"{where} is an image of type {row.dtype} and shape {row.shape}, but this model's images are uint8, "
            f"{_wanted(model)}."
        )
    if pixels.max() >= shape.levels:
        raise UserError(
            f"{where} is an image that holds {pixels.max()}, but this model's levels are 0..{shape.levels - 1}: "
            "rescale it."
        )
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None]


def _wanted(model: PixelModel) -> str:
    shape = model.image
    return f"{_described(shape.channels, shape.height, shape.width)}: give one like them"


def _described(channels: int, height: int, width: int) -> str:
    return f"{height}x{width} {'grey' if channels == 1 else 'RGB'}"
