"""Options of the group ``objective``, and which likelihoods each of them trains."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pixelcnn.errors import UserError
from pixelcnn.options import require


@dataclass
class MaximumLikelihoodOptions:
    """``objective=max_likelihood``."""

    needs_density: ClassVar[bool] = True
    name: str = "max_likelihood"


@dataclass
class EnergyDistanceOptions:
    """``objective=energy_distance``, the original's ``-ed``."""

    needs_density: ClassVar[bool] = False
    num_samples: int
    name: str = "energy_distance"

    def __post_init__(self) -> None:
        require(self.num_samples >= 2, "objective.num_samples", self.num_samples, "the loss compares at least two")


OBJECTIVES: dict[str, type] = {
    "max_likelihood": MaximumLikelihoodOptions,
    "energy_distance": EnergyDistanceOptions,
}


def require_trainable(objective: Any, likelihood: Any, source: str = "") -> None:
    """Raise UserError where ``objective`` does not train ``likelihood``, both as options; ``source`` is whose it is."""
    if objective.needs_density == likelihood.has_density:
        return
    have = "a" if likelihood.has_density else "no"
    remedy = (
        "use likelihood=implicit or objective=max_likelihood"
        if likelihood.has_density
        else "use objective=energy_distance or another likelihood"
    )
    raise UserError(
        f"objective={objective.name} does not train likelihood={likelihood.name}{source}, which has {have} density: "
        f"{remedy}."
    )
