"""The description of a model: everything needed to rebuild the distribution, weights apart."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from typing import Any

from torch import nn

from pixelcnn.conditioning.several import Several, name_of_several
from pixelcnn.errors import UserError
from pixelcnn.image_shape import ImageShape
from pixelcnn.orders import USUAL, ModelOrder
from pixelcnn.part import Part
from pixelcnn.signature import checked

# What a model passes to its parts' constructors, if they have such arguments; see the packages of each.
GIVEN = {
    "network": ("image_channels", "num_parameters", "num_groups", "condition_features", "image_levels"),
    "likelihood": ("image", "masked_channels"),
    "conditioning": ("image", "scale", "embedding_features"),
}
# What the keys of each begin with in messages, as in the configuration.
PREFIXES = {"network": "model.", "likelihood": "likelihood.", "conditioning": "conditioning."}
OWN_PACKAGES = ("pixelcnn", "torch")


@dataclass(frozen=True)
class Parts:
    """Several conditionings at once, by name."""

    parts: Mapping[str, Part]

    @property
    def name(self) -> str:
        """Its name in messages."""
        return name_of_several(self.parts)

    def build(self, prefix: str, **given: Any) -> Several:
        """As `Part.build`, with the keys of each part under its name."""
        return Several({name: part.build(f"{prefix}{name}.", **given) for name, part in self.parts.items()})

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """As `Part.to_dict`, by name."""
        return {name: part.to_dict() for name, part in self.parts.items()}


@dataclass(frozen=True)
class ModelDescription:
    """The images' shape, the parts, each a class or a ``functools.partial`` of one, and the order of the pixels.

    ``conditioning`` may also be a mapping from names to several. UserError if an argument of a part is unknown,
    missing, of a wrong type or not a plain value, or if there is no such order.
    """

    image: ImageShape
    network: Any
    likelihood: Any
    conditioning: Any
    order: ModelOrder = USUAL

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", ImageShape.of(self.image))
        for role, given in GIVEN.items():
            object.__setattr__(self, role, _part_or_parts(getattr(self, role), role, given))
        checked(self.order, ModelOrder, "model.order")

    @property
    def parts(self) -> dict[str, Part]:
        """Every part by its role; several conditionings as ``conditioning.NAME``."""
        found: dict[str, Part] = {}
        for role in GIVEN:
            part = getattr(self, role)
            several = isinstance(part, Parts)
            found |= {f"{role}.{name}": one for name, one in part.parts.items()} if several else {role: part}
        return found

    @property
    def embedding_features(self) -> int:
        """Length of the vector by which the network sees a level; 0 if it sees levels as scaled numbers."""
        network = self.network.arguments
        return network["embedding_features"] if network.get("input") == "embedding" else 0

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Plain dictionaries of plain values, as a checkpoint stores them; parts by ``_target_``, no default order."""
        stored = {"image": asdict(self.image), **{role: getattr(self, role).to_dict() for role in GIVEN}}
        return stored if self.order == USUAL else {**stored, "order": {"name": self.order}}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], trust: Collection[str] = ()) -> "ModelDescription":
        """The inverse of ``to_dict``.

        Imports only from this project, torch and the packages or modules in ``trust``. Raises UserError for other
        targets, and for parts or arguments that this version does not have.
        """
        parts = {role: stored_parts(stored[role], role, trust) for role in GIVEN}
        image = Part.of(partial(ImageShape, **stored["image"]), (), "image.").build("image.")
        return cls(image=image, order=stored["order"]["name"] if "order" in stored else USUAL, **parts)


def _part_or_parts(chosen: Any, role: str, given: Collection[str]) -> Part | Parts:
    if isinstance(chosen, Parts):
        return chosen
    if role == "conditioning" and isinstance(chosen, Mapping):
        prefix = PREFIXES[role]
        if not chosen:
            raise UserError("conditioning={} is empty: name a conditioning, or leave it out.")
        return Parts({name: Part.of(one, given, f"{prefix}{name}.") for name, one in chosen.items()})
    return Part.of(chosen, given, PREFIXES[role])


def stored_parts(stored: Mapping[str, Any], role: str, trust: Collection[str]) -> Part | Parts:
    """The part, or several conditionings, described by plain values from a file."""
    if not are_several(stored, role):
        return stored_part(stored, role, trust)
    return Parts({name: stored_part(one, role, trust, f"{PREFIXES[role]}{name}.") for name, one in stored.items()})


def are_several(stored: Mapping[str, Any], role: str) -> bool:
    """Whether plain values from a file describe several parts."""
    return role == "conditioning" and bool(stored) and all(isinstance(one, Mapping) for one in stored.values())


def stored_part(stored: Mapping[str, Any], role: str, trust: Collection[str], prefix: str = "") -> Part:
    """The part that ``{_target_: …, argument: value}`` from a file describes, as in `ModelDescription.from_dict`."""
    if "_target_" not in stored:
        raise UserError(f"{role} has no _target_ to say what it is: use another file.")
    arguments = {name: value for name, value in stored.items() if name != "_target_"}
    return Part.of(
        partial(trusted(stored["_target_"], role, trust), **arguments), GIVEN[role], prefix or PREFIXES[role]
    )


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
    # Functions, and classes that the module only imports, are not parts.
    own = isinstance(found, type) and found.__module__.partition(".")[0] == package
    if not isinstance(found, type) or not own or not (issubclass(found, nn.Module) or hasattr(found, "sample_levels")):
        raise UserError(f"{role} is {target!r}, which is not a part of a model: use another file.")
    return found
