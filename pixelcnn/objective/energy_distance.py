"""The generalised energy distance between images and draws of their pixels: the original's ``-ed`` loss.

With the distance of two pixels over their channels d(x, y) = |127.5 (x - y)|^1.5, pixels x of the data and draws x',
x'' of the model,

    2 E d(x, x') - E d(x', x'')

is smallest if the draws have the distribution of the data (Szekely and Rizzo 2013, for exponents in (0, 2)). It needs
no density.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from pixelcnn.errors import require
from pixelcnn.likelihood import Implicit
from pixelcnn.model import PixelModel
from pixelcnn.sampling.sampler import uniforms_of

# Half of 256 levels, for any number of levels. It only scales the loss, but keeps data sets of different levels
# comparable, and the loss large compared with the 1e-10 that keeps gradients finite.
HALF_RANGE = 127.5


class EnergyDistance:
    """The energy distance between each pixel and ``num_samples`` draws of it given the pixels before.

    The score is in the loss's own unit, grey levels (of 256) to the power 1.5.
    """

    name: ClassVar[str] = "energy_distance"
    needs_density: ClassVar[bool] = False
    unit = 1.0

    def __init__(self, num_samples: int = 10) -> None:
        require(num_samples >= 2, "num_samples", num_samples, "the loss compares at least two")
        self.num_samples = num_samples

    def score_name(self, model: PixelModel) -> str:
        """energy_distance."""
        return "energy_distance"

    def channel_scores(self, model: PixelModel) -> list[str]:
        """None: the distance of two pixels is not a sum over their channels."""
        return []

    def losses(self, model: PixelModel, batch: Mapping[str, Tensor], noise_seed: int | None) -> Tensor:
        """`energy_distance` of each image, (N,)."""
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


def energy_distance(x: Tensor, samples: Tensor) -> Tensor:
    """The loss of each image, (N,), summed over its pixels; the sum over N is the original's loss.

    x (N, C, H, W) and S >= 2 independent draws of each pixel given those before it, samples (S, N, C, H, W), all in
    [-1, 1]. The second expectation is the mean over the S (S-1) / 2 pairs of draws. The unit is grey levels (of 256) to
    the power 1.5.
    """
    num_samples = len(samples)
    to_data = _distances(samples - x).mean(dim=0)
    among_samples = sum(_distances(samples[i + 1 :] - samples[i]).sum(dim=0) for i in range(num_samples - 1))
    return 2 * to_data - among_samples / (num_samples * (num_samples - 1) / 2)


def _distances(differences: Tensor) -> Tensor:
    """|differences|^1.5 over the channels, summed over the pixels: (S, N, C, H, W) to (S, N)."""
    return (1e-10 + (HALF_RANGE * differences).square().sum(dim=2)).pow(0.75).sum(dim=(2, 3))
