"""Training state in a checkpoint of the original: weights, their moving average, Adam's moments and step."""

import math
import re
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from pixelcnn.errors import UserError
from pixelcnn.model import PixelModel
from pixelcnn.original.variables import from_original, original_shape, parameters_by_original_name

AVERAGE = "/ExponentialMovingAverage"


@dataclass(frozen=True)
class OriginalCheckpoint:
    """Tensors by this project's parameter names, as in ``PixelModel.state_dict()``."""

    raw: dict[str, Tensor] | None  # the weights being trained; None if there is only their average
    average: dict[str, Tensor] | None  # None if the source has no moving average
    moments: dict[str, tuple[Tensor, Tensor]] | None  # Adam's first and second; None without
    steps: int  # taken so far; 0 without Adam's state
    ignored: tuple[str, ...]  # names in the source that the original does not have


def without_average(variables: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """``variables`` under the names of the weights, even if only their average is there."""
    return {**{name.removesuffix(AVERAGE): value for name, value in variables.items()}, **variables}


def interpret(variables: dict[str, np.ndarray], model: PixelModel, source: str) -> OriginalCheckpoint:
    """Sort ``variables`` into weights, averages and Adam's state for ``model``.

    UserError naming the first variable that is missing, surplus or misshapen.
    """
    named = parameters_by_original_name(model)
    ours = {id(parameter): name for name, parameter in model.named_parameters()}
    renamed = {name: ours[id(parameter)] for name, parameter in named.items()}
    shapes = {name: original_shape(name, parameter) for name, parameter in named.items()}

    def weights(suffix: str) -> dict[str, Tensor] | None:
        if not any(name.startswith("model/") and name.endswith(suffix or ("V", "g", "b", "hw")) for name in variables):
            return None
        found: dict[str, Tensor] = {}
        for name, shape in shapes.items():
            found[renamed[name]] = from_original(name, _checked(variables, name + suffix, shape, source))
        return found

    known = {name + suffix for name in named for suffix in ("", AVERAGE)}
    surplus = sorted(name for name in variables if name.startswith("model/") and name not in known)
    if surplus:
        raise UserError(
            f"task.source={source} has {surplus[0]}, which this kind of model does not have: it is another model."
        )
    raw, average = weights(""), weights(AVERAGE)
    moments, steps = _adam(variables, shapes, renamed, source)
    ignored = tuple(sorted(name for name in variables if not re.match(r"model/|Variable(_\d+)?$", name)))
    return OriginalCheckpoint(raw, average, moments, steps, ignored)


def _adam(
    variables: dict[str, np.ndarray], shapes: dict[str, tuple[int, ...]], renamed: dict[str, str], source: str
) -> tuple[dict[str, tuple[Tensor, Tensor]] | None, int]:
    """Adam's moments and the steps taken, from the unnamed variables ``Variable``, ``Variable_1``, ….

    A conditional model has an integer vector of labels for each GPU first; then comes t, the number of the next step,
    and for each parameter its second and its first moment.
    """
    slots = ["Variable" if k == 0 else f"Variable_{k}" for k in range(len(variables))]
    start = next((k for k, slot in enumerate(slots) if slot in variables and _is_step(variables[slot])), None)
    if start is None:
        unnamed = next((slot for slot in slots if slot in variables and not _is_labels(variables[slot])), None)
        if unnamed is not None:
            raise UserError(
                f"task.source={source} has {unnamed} but not Adam's step before its moments: it is damaged."
            )
        return None, 0
    next_step = float(variables[slots[start]])
    if not (math.isfinite(next_step) and next_step >= 1 and next_step == round(next_step)):
        raise UserError(f"task.source={source} has {slots[start]}={next_step} for Adam's next step: it is damaged.")
    moments = {}
    for i, (name, shape) in enumerate(shapes.items()):
        second, first = (
            from_original(name, _checked(variables, f"Variable_{start + 1 + 2 * i + k}", shape, source)) for k in (0, 1)
        )
        if (second < 0).any():
            raise UserError(f"task.source={source} has a second moment of {name} below zero: it is damaged.")
        moments[renamed[name]] = (first, second)
    end = start + 1 + 2 * len(shapes)
    if f"Variable_{end}" in variables:
        raise UserError(f"task.source={source} has Variable_{end}, more moments than it has parameters: it is damaged.")
    return moments, round(next_step) - 1


def _is_step(array: np.ndarray) -> bool:
    return array.shape == () and np.issubdtype(array.dtype, np.floating)


def _is_labels(array: np.ndarray) -> bool:
    return array.ndim == 1 and np.issubdtype(array.dtype, np.integer)


def _checked(variables: dict[str, np.ndarray], name: str, shape: tuple[int, ...], source: str) -> np.ndarray:
    if name not in variables:
        raise UserError(f"task.source={source} lacks {name}: it is incomplete.")
    array = variables[name]
    if array.shape != shape:
        raise UserError(f"task.source={source} has {name} of shape {array.shape} where {shape} belongs: it is damaged.")
    if not np.issubdtype(array.dtype, np.floating):
        raise UserError(f"task.source={source} has {name} of type {array.dtype}, not floating point: it is damaged.")
    with np.errstate(over="ignore"):
        values = array.astype(np.float32)
    if not np.isfinite(values).all():
        raise UserError(f"task.source={source} has {name} with values that are not finite in float32: it is damaged.")
    return values
