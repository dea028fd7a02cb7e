"""Drawing images pixel by pixel in raster order: whole ones, or what is missing of given ones."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pixelcnn.errors import UserError
from pixelcnn.incremental import pixel_parameters_in_order
from pixelcnn.likelihood import Likelihood
from pixelcnn.parallel import Network


@dataclass(frozen=True)
class Temperature:
    """Below 1 samples keep to what is likely: of the components, and of the values around a component's mean."""

    mixture: float = 1.0  # divides the components' logits
    scale: float = 1.0  # multiplies the components' scales

    def __post_init__(self) -> None:
        if self.mixture <= 0 or self.scale <= 0:
            raise UserError(f"temperature of {self.mixture} and {self.scale} is out of range: use positive numbers.")


@torch.no_grad()
def draw(
    network: Network,
    likelihood: Likelihood,
    images: Tensor,
    known: Tensor,
    h: Tensor | None,
    uniforms: Tensor,
    temperature: Temperature,
    on_pixel: Callable[[], object],
) -> None:
    """Fill in the pixels of ``images`` uint8 (N, C, H, W) where ``known`` bool (H, W) is False.

    Each is drawn given all pixels before it, known or drawn; known pixels after it play no part. uniforms: float64
    (N, likelihood.num_uniforms, H, W). ``on_pixel`` is called after each pixel.
    """
    x = likelihood.scale(images.to(next(network.parameters()).dtype))
    is_known = known.tolist()
    for i, j, parameters in pixel_parameters_in_order(network, x, h):
        if not is_known[i][j]:
            # In float64, where uniform numbers reach masses below 2^-24.
            at_pixel = parameters[:, :, None, None].double()
            levels = likelihood.sample_levels(
                at_pixel, uniforms[:, :, i, j, None, None], temperature.mixture, temperature.scale
            )[:, :, 0, 0]
            images[:, :, i, j] = levels
            x[:, :, i, j] = likelihood.scale(levels.to(x.dtype))
        on_pixel()


def uniforms_of(seed: int, first: int, n: int, shape: tuple[int, int, int]) -> Tensor:
    """Uniform numbers float64 (n, *shape) for images first .. first+n-1, each from (seed, its number) alone."""
    return torch.stack([_uniforms(seed, first + k, shape) for k in range(n)])


def _uniforms(seed: int, k: int, shape: tuple[int, int, int]) -> Tensor:
    state = np.random.SeedSequence((seed, k)).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(state >> 1))
    return torch.rand(shape, generator=generator, dtype=torch.float64)
