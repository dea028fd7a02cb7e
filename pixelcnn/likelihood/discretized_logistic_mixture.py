"""Mixture of discretized logistics with linear dependence between R, G and B (section 2.1 and 2.2 of the paper).

A value v of {0 .. L-1} means x = 2 v / (L-1) - 1 in [-1, 1]. Its bin reaches half a level to each side; the first and
the last bin extend to infinity.
"""

import math
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelcnn.errors import UserError
from pixelcnn.image_shape import ImageShape
from pixelcnn.likelihood.bin_mass import log_bin_mass
from pixelcnn.likelihood.coupled_logistics import CoupledLogistics


class DiscretizedLogisticMixture(CoupledLogistics):
    """The likelihood of one pixel's channels given its parameters.

    ``tails="exact"`` scores each value with the exact mass of its bin: the masses sum to one and `sample` draws from
    them. ``tails="original"`` scores 256 levels by the original's four branches, which replace a bin's mass by the
    density at its centre where the mass is below 1e-5.
    """

    name: ClassVar[str] = "discretized_logistic_mixture"

    def __init__(
        self,
        image: ImageShape,
        *,
        num_mixtures: int = 10,
        tails: Literal["exact", "original"] = "exact",
        residual: Literal["none", "left", "gradient", "neighbours"] = "none",
        spread: bool = False,
    ) -> None:
        super().__init__(image, num_mixtures=num_mixtures, residual=residual, spread=spread)
        if tails == "original" and image.levels != 256:
            raise UserError(
                f"likelihood.tails=original is defined for 256 levels but the data has {image.levels}: "
                "use likelihood.tails=exact."
            )
        self.tails = tails

    def log_terms(self, centered: Tensor, log_scales: Tensor, images: Tensor) -> Tensor:
        """log of the mass of the value's bin; with the original's tails, of its substitute where the mass is small."""
        log_mass = log_bin_mass(centered, log_scales, images, self.levels)
        if self.tails == "exact":
            return log_mass
        middle = centered * torch.exp(-log_scales)
        log_density = middle - log_scales - 2 * F.softplus(middle) + math.log(2 / (self.levels - 1))
        has_two_edges = (images > 0) & (images < self.levels - 1)
        return torch.where(has_two_edges[:, None] & (log_mass <= math.log(1e-5)), log_density, log_mass)
