"""The data sets of ``data@against``, whose images must fit the model."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig

from pixelcnn.configuration.groups import imported, instantiated, parts_of
from pixelcnn.data.base import ImageDataModule
from pixelcnn.errors import UserError
from pixelcnn.image_shape import ImageShape
from pixelcnn.signature import arguments_of

INSIDE, OUTSIDE = "in", "out"  # names of the set in distribution, and of an unnamed other one
# The keys that convert images, by the property that they change.
CONVERSIONS = {"channels": ("channels",), "size": ("height", "width"), "levels": ("levels",)}


def out_sets(config: DictConfig, shape: ImageShape) -> dict[str, ImageDataModule]:
    """The sets by their names, their test images loaded; UserError unless all are of ``shape``."""
    sets = {}
    for where, values in parts_of(config, "against").items():
        name = where.partition(".")[2] or OUTSIDE
        if name == INSIDE:
            raise UserError(f"data@{where} has the name of the set in distribution: choose another name.")
        with named_as(where, values):
            data = instantiated(config, where)
            data.prepare_data()
            data.setup("test")
        _require_alike(data.shape, shape, where, values)
        sets[name] = data
    return sets


def title_of(name: str, values: Mapping[str, Any]) -> str:
    """A title for the data set ``name`` with these keys."""
    return f"{name}: {values.get('name') or values['_target_'].rpartition('.')[2]}"


@contextmanager
def named_as(where: str, values: Mapping[str, Any]) -> Iterator[None]:
    """Within it, errors about a data set's keys name those of ``where`` instead of ``data``."""
    keys = "|".join(arguments_of(imported(values["_target_"], where)))
    try:
        yield
    except UserError as error:
        told = re.sub(rf"\bdata\.(?=({keys})\b)", f"{where}.", str(error))
        raise UserError(re.sub(r"\bdata=(?=\w)", f"data@{where}=", told)) from error


def _require_alike(shape: ImageShape, wanted: ImageShape, where: str, values: Mapping[str, Any]) -> None:
    """Raise UserError, with the keys that convert them, unless the images of ``where`` have the ``wanted`` shape."""
    target = imported(values["_target_"], where)
    possible, impossible = [], []
    for key, properties in CONVERSIONS.items():
        now, then = ([getattr(one, name) for name in properties] for one in (shape, wanted))
        if now == then:
            continue
        if key not in arguments_of(target) or (key == "levels" and now < then):
            impossible.append(key)
        else:
            possible.append(f"{where}.{key}={then[0] if len(set(then)) == 1 else str(then).replace(' ', '')}")
    if impossible:
        remedy = f"{target.__name__} has no key that converts their {' and '.join(impossible)}; use another data set"
    elif possible:
        remedy = f"convert them with {' '.join(possible)}"
    else:
        return
    raise UserError(f"{where} has images of {shape}, but the model's test set is of {wanted}: {remedy}.")
