"""Training objectives, one per file. ``best.ckpt`` has the lowest score (`pixelcnn.scores`), which sweeps minimise."""

from collections.abc import Mapping
from typing import ClassVar, Protocol

from torch import Tensor

from pixelcnn.errors import UserError
from pixelcnn.model import PixelModel
from pixelcnn.objective.energy_distance import EnergyDistance
from pixelcnn.objective.max_likelihood import MaximumLikelihood

__all__ = ["EnergyDistance", "MaximumLikelihood", "Objective", "require_trainable"]


METHODS = ("score_name", "channel_scores", "losses", "losses_by_channel")


class Objective(Protocol):
    """The interface of objectives."""

    needs_density: ClassVar[bool]  # whether it trains likelihoods with a density, or without
    unit: float  # a score is an image's mean loss divided by its sub-pixels and by this

    def score_name(self, model: PixelModel) -> str:
        """The name of its score for ``model``."""

    def channel_scores(self, model: PixelModel) -> list[str]:
        """The names of its score's parts, the columns of `losses_by_channel`; empty if it has no parts."""

    def losses(self, model: PixelModel, batch: Mapping[str, Tensor], noise_seed: int | None) -> Tensor:
        """The loss of each image of a data set's batch, float32 (N,).

        Its random numbers, if any, come from torch's generator, or, with a ``noise_seed``, only from that and the
        image's ``index``, so that scores of two models or two steps can be compared.
        """

    def losses_by_channel(self, model: PixelModel, batch: Mapping[str, Tensor], noise_seed: int | None) -> Tensor:
        """`losses` by the chain rule over the channels, (N, C), from one pass; (N, 1) where they have no such parts."""


def require_trainable(objective: type[Objective], likelihood: type, source: str = "") -> None:
    """Raise UserError if ``objective`` does not train ``likelihood`` (both classes), which is from ``source``."""
    missing = [name for name in METHODS if not hasattr(objective, name)]
    if missing:
        raise UserError(
            f"objective={objective.__name__} has no {', '.join(missing)}: implement pixelcnn.objective.Objective."
        )
    has_density = getattr(likelihood, "has_density", True)
    if getattr(objective, "needs_density", has_density) == has_density:
        return
    names = [getattr(part, "name", part.__name__) for part in (objective, likelihood)]
    remedy = (
        "use likelihood=implicit or objective=max_likelihood"
        if has_density
        else "use objective=energy_distance or another likelihood"
    )
    raise UserError(
        f"objective={names[0]} does not train likelihood={names[1]}{source}, which has "
        f"{'a' if has_density else 'no'} density: {remedy}."
    )
