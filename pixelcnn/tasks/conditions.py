"""Conditions set for a task: a label, a row of a file, or an image to encode; for several kinds, any of these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from pixelcnn.conditioning import Condition, Conditioning, Several
from pixelcnn.conditioning.several import gathered, kinds_of
from pixelcnn.configuration.description import require_conditions
from pixelcnn.configuration.tasks import CONDITIONS
from pixelcnn.data.base import ImageDataModule
from pixelcnn.errors import UserError, meant
from pixelcnn.model import PixelModel
from pixelcnn.tasks.condition_files import codes_of, features_in, image_in, image_of, rows_of

# How to set a condition other than by task.condition.
REMEDIES = {"labels": "task.label=LABEL or ", "images": "task.image=FILE or "}
SHOWN = 20  # of the names of classes


@dataclass(frozen=True, eq=False)
class Given:
    """Conditions, first axis 1, by their names in a batch: labels, features, codes; with the image they belong to."""

    conditions: Mapping[str, Tensor]
    image: Tensor | None = None  # uint8 (1, C, H, W), if it is known

    @property
    def condition(self) -> Tensor:
        """The one condition of a model that takes one."""
        (one,) = self.conditions.values()
        return one


def given_condition(
    model: PixelModel,
    height: int,
    width: int,
    label: int | str | None = None,
    condition: str | None = None,
    image: str | None = None,
    ends: Mapping[str, str] | None = None,
) -> Given | None:
    """The conditions set by ``task.label``, ``task.condition`` and ``task.image``, for images of this size, if any.

    ``label`` is a class's name, or its number if none has that name. Models with several conditions may get some or all
    of them; others take one. ``ends``: names for the keys in messages, instead of ``task.KEY=VALUE``. UserError if
    there is no such condition or the model does not take it.
    """
    values = {"label": label, "image": image, "condition": condition}
    wheres = {key: f"task.{key}={value}" for key, value in values.items() if value is not None} | dict(ends or {})
    set_ = [key for key in CONDITIONS if values[key] is not None]
    if len(set_) > 1 and not isinstance(model.conditioning, Several):
        raise UserError(f"{' and '.join(wheres[key] for key in set_)} exclude each other: give one condition.")
    conditions: dict[str, Tensor] = {}
    found = None
    if label is not None:
        names = model.class_names or ()
        # A name may be a number, as of folders 1, 10 and 2, whose labels are 0, 1 and 2.
        label = names.index(str(label)) if str(label) in names else label
        conditions["labels"] = _label(model, label, wheres["label"])
    if image is not None:
        found = image_in(model, image, wheres["image"])
        conditions["images"] = _code_of(model, found)
    if condition is not None:
        kinds, where = kinds_of(model.conditioning), wheres["condition"]
        if not kinds:
            raise UserError(f"{where} is for conditional models, and this one has conditioning=none: leave it out.")
        # Conditions set by their own key are not read from the file.
        wanted = [key for key in kinds if key not in conditions]
        for key, (name, row) in rows_of(condition, where, wanted).items():
            if key == "images" and (name == "images" or row.dtype.kind in "iu"):
                found = image_of(model, row, where) if name == "images" else codes_of(model, row, where)
                conditions[key] = _code_of(model, found)
            else:
                conditions[key] = _of_row(model, key, name, row, where, (height, width))
    return Given(conditions, found) if conditions else None


def _of_row(model: PixelModel, key: str, name: str, row: np.ndarray, where: str, size: tuple[int, int]) -> Tensor:
    kind = kinds_of(model.conditioning)[key]
    if name == "labels":
        if row.dtype.kind not in "iu" or row.ndim:
            raise UserError(f"{where} is not a label (type {row.dtype}, shape {row.shape}): use another file.")
        return _label(model, int(row), where)
    if name == "coarse":
        return _codes(kind, row, where, size)
    return features_in(row, name, where, kind.features, size)


def _codes(kind: Conditioning, row: np.ndarray, where: str, size: tuple[int, int]) -> Tensor:
    """Codes (1, h, w), or embeddings, as `task=sample` stores the steps of an interpolation."""
    if row.ndim == 3 and len(row) == 1:
        row = row[0]  # as in data sets
    codes = torch.from_numpy(row.astype(np.float32 if row.dtype.kind == "f" else np.int64))[None]
    try:
        kind.encode(codes, 1, *size)
    except UserError as error:
        raise UserError(f"{where} does not fit: {error}") from error
    return codes


def given_in(task: DictConfig, model: PixelModel, height: int, width: int) -> Given | None:
    """`given_condition` for ``task``."""
    return given_condition(model, height, width, **{key: task[key] for key in CONDITIONS})


def for_images(
    model: PixelModel, given: Given | None, n: int, own: Mapping[str, Tensor], instead: str = ""
) -> Condition:
    """The condition of n images: those ``given`` for all of them, otherwise their ``own``, by name.

    UserError if one is in neither; ``instead`` says why.
    """
    conditions = {}
    for key in kinds_of(model.conditioning):
        if given is not None and key in given.conditions:
            conditions[key] = given.conditions[key].expand(n, *given.conditions[key].shape[1:])
        elif key in own:
            conditions[key] = own[key]
        else:
            raise missing_condition(model, key, instead)
    return gathered(model.conditioning, conditions)


@torch.no_grad()
def way_between(
    model: PixelModel, height: int, width: int, task: DictConfig, shares: Tensor
) -> tuple[tuple[Given, Given], Condition]:
    """Interpolate from the condition that ``task`` sets to ``task.interpolate_to``, of the same kind as the first key.

    Returns both, and features (S, D) or (S, D, H, W) of each condition at positions ``shares`` (S,) from 0 to 1.
    """
    kind = next(key for key in CONDITIONS if task[key] is not None)  # the schema has it that there is one
    first = given_in(task, model, height, width)
    keys = {**{key: task[key] for key in CONDITIONS}, kind: task.interpolate_to}
    last = given_condition(model, height, width, **keys, ends={kind: f"task.interpolate_to={task.interpolate_to}"})
    assert first is not None and last is not None
    steps = {}
    for key, one in kinds_of(model.conditioning).items():
        if key not in first.conditions or key not in last.conditions:
            raise missing_condition(model, key, " at both ends of an interpolation")
        a, b = (one.encode(end.conditions[key], 1, height, width) for end in (first, last))
        assert a is not None and b is not None
        steps[key] = torch.lerp(a.float(), b.float(), shares.view(-1, *[1] * (a.ndim - 1)))
    return (first, last), gathered(model.conditioning, steps)


def missing_condition(model: PixelModel, key: str, instead: str = "") -> UserError:
    """The error for drawing without the condition ``key``."""
    name, other = model.description.conditioning.name, REMEDIES.get(key, "")
    of_several = f" ({key})" if isinstance(model.conditioning, Several) else ""
    return UserError(
        f"conditioning={name} needs a condition{of_several}{instead}: give {other}task.condition=FILE:ROW."
    )


def require_own(model: PixelModel, given: Given | None, data: ImageDataModule, checkpoint: str) -> None:
    """Raise UserError if ``data`` lacks the conditions of the model in ``checkpoint``, or has other sizes or classes.

    Conditions ``given`` for all images are exempt.
    """
    besides = () if given is None else tuple(given.conditions)
    require_conditions(model.description, f"checkpoint={checkpoint}", data.condition_sizes, besides)
    if "labels" not in besides:
        require_same_classes(model, data.class_names, checkpoint)


def require_same_classes(model: PixelModel, class_names: Sequence[str] | None, checkpoint: str) -> None:
    """Raise UserError if a data set's class names differ from those of the model in ``checkpoint``."""
    known, there = model.class_names or (), class_names or ()
    if "labels" not in kinds_of(model.conditioning):
        return
    for label, (own, other) in enumerate(zip(known, there, strict=False)):
        if own != other:
            raise UserError(
                f"data calls label {label} {other}, but checkpoint={checkpoint} calls it {own}: name the class folders "
                "as in the data that the model was trained on."
            )


def _label(model: PixelModel, label: int | str, where: str) -> Tensor:
    classes, names = model.num_classes, model.class_names or ()
    if classes is None:
        raise UserError(f"{where} is for class-conditional models, and this one is not: leave it out.")
    if not isinstance(label, int) or not 0 <= label < classes:
        some = f", or one of {', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''}" if names else ""
        remedy = meant(str(label), names, f"use 0 to {classes - 1}{some}.")
        raise UserError(f"{where} is not a class of this model: {remedy}")
    return torch.tensor([label])


@torch.no_grad()
def _code_of(model: PixelModel, image: Tensor) -> Tensor:
    code = kinds_of(model.conditioning)["images"].encode(image, 1, *image.shape[2:])
    assert code is not None
    return code
