"""The description of a model: everything needed to rebuild the distribution, weights apart."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from typing import Any

from torch import nn

from pixelcnn.errors import UserError
from pixelcnn.image_shape import ImageShape
from pixelcnn.orders import USUAL, ModelOrder
from pixelcnn.part import Part
from pixelcnn.signature import checked

# What a model gives its parts' constructors, those that they name; see the packages of each.
GIVEN = {
    "network": ("image_channels", "num_parameters", "num_groups", "condition_features"),
    "likelihood": ("image", "masked_channels"),
    "conditioning": ("image", "scale"),
}
# What the keys of each are called in messages: as in the configuration.
PREFIXES = {"network": "model.", "likelihood": "likelihood.", "conditioning": "conditioning."}
OWN_PACKAGES = ("pixelcnn", "torch")


@dataclass(frozen=True)
class ModelDescription:
    """The shape of the images, the parts, each a class or a ``functools.partial`` of one with its keywords, and the
    order of the pixels.

    UserError where an argument of a part is unknown, missing, of a wrong type or not a plain value, or for no order.
    """

    image: ImageShape
    network: Any
    likelihood: Any
    conditioning: Any
    order: ModelOrder = USUAL

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", ImageShape.of(self.image))
        for role, given in GIVEN.items():
            object.__setattr__(self, role, Part.of(getattr(self, role), given, PREFIXES[role]))
        checked(self.order, ModelOrder, "model.order")

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Plain dictionaries of plain values, as a checkpoint stores them; parts by ``_target_``. The usual order is
        left out."""
        stored = {"image": asdict(self.image), **{role: getattr(self, role).to_dict() for role in GIVEN}}
        return stored if self.order == USUAL else {**stored, "order": {"name": self.order}}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], trust: Collection[str] = ()) -> "ModelDescription":
        """The inverse of ``to_dict``.

        Nothing is imported from outside this project, torch and the packages or modules in ``trust``. Raises UserError
        for other targets, and where this version has no such part or argument.
        """
        parts = {role: stored_part(stored[role], role, trust) for role in GIVEN}
        image = Part.of(partial(ImageShape, **stored["image"]), (), "image.").build("image.")
        return cls(image=image, order=stored["order"]["name"] if "order" in stored else USUAL, **parts)


def stored_part(stored: Mapping[str, Any], role: str, trust: Collection[str]) -> Part:
    """The part that ``{_target_: …, argument: value}`` from a file describes, as in `ModelDescription.from_dict`."""
    arguments = {name: value for name, value in stored.items() if name != "_target_"}
    return Part.of(partial(trusted(stored["_target_"], role, trust), **arguments), GIVEN[role], PREFIXES[role])


def trusted(target: Any, role: str, trust: Collection[str]) -> type:
    """The class of the dotted name ``target`` that a file gives for ``role``; UserError unless it may be imported."""
    package = str(target).partition(".")[0]
    known = (*OWN_PACKAGES, *([trust] if isinstance(trust, str) else trust))
    if not any(f"{target}.".startswith(f"{name}.") for name in known):
        raise UserError(
            f"{role} is {target!r}, from outside this project, and would be imported: "
            f'give trust=[{package}] (in Python trust=("{package}",)) if you trust the file.'
        )
    module, _, name = str(target).rpartition(".")
    try:
        found = getattr(import_module(module), name, None)
    except (ImportError, ValueError) as error:
        told = f"{role} is {target!r}, which cannot be imported ({error}): install its package."
        raise UserError(told) from error
    # A class that the module only imports, or a function, is none of the parts.
    own = isinstance(found, type) and found.__module__.partition(".")[0] == package
    if not isinstance(found, type) or not own or not (issubclass(found, nn.Module) or hasattr(found, "sample_levels")):
        raise UserError(f"{role} is {target!r}, which is not a part of a model: use another file.")
    return found
