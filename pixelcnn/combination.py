"""Checks that the parts of a model combine: each implements its protocol, and the network supports the others."""

from torch import nn

from pixelcnn.conditioning import Conditioning
from pixelcnn.description import ModelDescription
from pixelcnn.errors import UserError
from pixelcnn.likelihood import Likelihood
from pixelcnn.orders import ALL
from pixelcnn.part import Part
from pixelcnn.signature import arguments_of


def require_members(part: object, protocol: type, chosen: Part) -> None:
    """Raise UserError if ``part`` lacks a member of ``protocol``."""
    names = {name for owner in protocol.__mro__ for name in (*vars(owner), *vars(owner).get("__annotations__", {}))}
    missing = sorted(name for name in names if not name.startswith("_") and not hasattr(part, name))
    if missing:
        home = f"{protocol.__module__}.{protocol.__name__}"
        raise UserError(f"{chosen.name} has no {', '.join(missing)}: inherit {home}, or implement it.")


def require_compatible(description: ModelDescription, likelihood: Likelihood, conditioning: Conditioning) -> None:
    """Raise UserError if the network does not support the other parts."""
    taken, network = arguments_of(description.network.target), description.network.name
    if "condition_features" not in taken and (conditioning.features or description.order == ALL):
        needing, instead = (
            (f"conditioning={description.conditioning.name}", "conditioning=none")
            if conditioning.features
            else ("model.order=all", "one order")
        )
        raise UserError(
            f"{needing} needs a network that takes condition_features, and model={network} does not: use {instead}."
        )
    if likelihood.num_groups > 1 and "num_groups" not in taken:
        raise UserError(
            f"likelihood={description.likelihood.name} needs a network that takes num_groups, and model={network} does "
            "not: use another likelihood."
        )


def start(network: nn.Module, likelihood: Likelihood, description: ModelDescription) -> None:
    """Initialise ``network``'s output at the likelihood's `initial_parameters`, if it has any."""
    initial = likelihood.initial_parameters
    if initial is None:
        return
    start_at = getattr(network, "start_at", None)
    if start_at is None:
        raise UserError(
            f"likelihood.spread=true needs a network with a method start_at(parameters), which model="
            f"{description.network.name} lacks: use likelihood.spread=false."
        )
    start_at(initial)
