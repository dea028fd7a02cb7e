"""What training minimises, and what that is called (`pixelcnn.scores`).

The lowest ``val/NAME`` makes the best checkpoint, and is what a sweep looks for.
"""

import math
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from pixelcnn.energy_distance import energy_distance
from pixelcnn.likelihood import Implicit
from pixelcnn.model import PixelModel
from pixelcnn.sampling.sampler import uniforms_of
from pixelcnn.scores import by_channel


class Objective(Protocol):
    """What every objective has."""

    unit: float  # a score is the mean loss of an image over its number of sub-pixels and this

    def score_name(self, model: PixelModel) -> str:
        """What its score is called for ``model``."""

    def channel_scores(self, model: PixelModel) -> list[str]:
        """What the parts of its score are called, of the columns of `losses_by_channel`; none where it has no parts."""

    def losses(self, model: PixelModel, batch: Mapping[str, Tensor], noise_seed: int | None) -> Tensor:
        """The loss of each image of a data set's batch, float32 (N,).

        What it draws, if anything, comes from torch's generator, or, with a ``noise_seed``, from that and the image's
        ``index`` alone, so that scores of two models or two steps can be compared.
        """

    def losses_by_channel(self, model: PixelModel, batch: Mapping[str, Tensor], noise_seed: int | None) -> Tensor:
        """`losses` by the chain rule over the channels, (N, C), from one pass; (N, 1) where they have no such parts."""


class MaximumLikelihood:
    """-log p(images | condition) in nats; its score is in bits."""

    unit = math.log(2)

    def score_name(self, model: PixelModel) -> str:
        """bits_per_dim, or another name where the model's score is only a bound or given the image's code."""
        return model.score_name

    def channel_scores(self, model: PixelModel) -> list[str]:
        """SCORE_red, SCORE_green and SCORE_blue for colour images, given the channels before."""
        return by_channel(model.score_name, model.image.channels)

    def losses(self, model: PixelModel, batch: Mapping[str, Tensor], noise_seed: int | None) -> Tensor:
        """-log p of each image, (N,)."""
        return -model.log_prob(batch["images"], model.condition_in(batch))

    def losses_by_channel(self, model: PixelModel, batch: Mapping[str, Tensor], noise_seed: int | None) -> Tensor:
        """-log p of R, of G given R and of B given both, of each image, (N, C)."""
        return -model.log_prob_by_channel(batch["images"], model.condition_in(batch))


class EnergyDistance:
    """The energy distance of ``num_samples`` draws of each pixel, given the pixels before it, to the pixel.

    Its score has the loss's own unit, grey levels of 256 to the power 1.5.
    """

    unit = 1.0

    def __init__(self, num_samples: int) -> None:
        self.num_samples = num_samples

    def score_name(self, model: PixelModel) -> str:
        """energy_distance."""
        return "energy_distance"

    def channel_scores(self, model: PixelModel) -> list[str]:
        """None: the distance of two pixels is not a sum over their channels."""
        return []

    def losses(self, model: PixelModel, batch: Mapping[str, Tensor], noise_seed: int | None) -> Tensor:
        """`pixelcnn.energy_distance.energy_distance` of each image, (N,)."""
        images, likelihood = batch["images"], model.likelihood
        assert isinstance(likelihood, Implicit)
        shape = (self.num_samples * likelihood.num_noise, *images.shape[2:])
        if noise_seed is None:
            uniforms = torch.rand(len(images), *shape, device=images.device)
        else:
            uniforms = uniforms_of(noise_seed, batch["index"].tolist(), shape).to(images.device)
        uniforms = uniforms.unflatten(1, (self.num_samples, likelihood.num_noise)).transpose(0, 1)
        samples = likelihood.samples(model.pixel_parameters(images, model.condition_in(batch)), uniforms)
        return energy_distance(likelihood.scale(images.to(samples.dtype)), samples)

    def losses_by_channel(self, model: PixelModel, batch: Mapping[str, Tensor], noise_seed: int | None) -> Tensor:
        """`losses`, (N, 1)."""
        return self.losses(model, batch, noise_seed)[:, None]


OBJECTIVES: dict[str, type] = {"max_likelihood": MaximumLikelihood, "energy_distance": EnergyDistance}
MAXIMUM_LIKELIHOOD = MaximumLikelihood()


def build_objective(name: str, **options: Any) -> Objective:
    """What the group ``objective`` asks for."""
    return OBJECTIVES[name](**options)
