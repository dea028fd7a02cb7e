"""Mixture of discretized logistics with linear dependence between R, G and B (section 2.1 and 2.2 of the paper).

A value v of {0 .. L-1} stands for x = 2 v / (L-1) - 1 in [-1, 1]; its bin reaches half a level to both sides, the first
and the last bin to infinity.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelcnn.errors import UserError
from pixelcnn.likelihood.coupled_logistics import CoupledLogistics
from pixelcnn.options import DiscretizedLogisticMixtureOptions, ImageShape


class DiscretizedLogisticMixture(CoupledLogistics):
    """The likelihood of one pixel's channels given its parameters.

    ``tails="exact"`` scores each value with the exact mass of its bin: the masses sum to one and `sample` draws from
    them. ``tails="original"`` scores 256 levels by the original's four branches, which replace a bin's mass by the
    density at its centre where the mass is below 1e-5.
    """

    is_bound = False

    def __init__(
        self, options: DiscretizedLogisticMixtureOptions, image: ImageShape, masked_channels: bool = False
    ) -> None:
        super().__init__(options.num_mixtures, image)
        if options.tails == "original" and image.levels != 256:
            raise UserError(
                f"likelihood.tails=original is defined for 256 levels but the data has {image.levels}: "
                "use likelihood.tails=exact."
            )
        self.tails = options.tails

    def log_terms(self, centered: Tensor, log_scales: Tensor, images: Tensor) -> Tensor:
        """log of the logistic mass between the bin's edges, stable for any scale and distance.

        With upper edge a and lower edge b in units of the scale, sigmoid(a) - sigmoid(b) =
        sigmoid(a) sigmoid(-b) (1 - exp(b - a)); the outer bins have no lower or no upper edge.
        """
        levels = images[:, None]
        half_bin = 1 / (self.levels - 1)
        inverse_scale = torch.exp(-log_scales)
        below_upper = F.logsigmoid((centered + half_bin) * inverse_scale)
        above_lower = F.logsigmoid(-(centered - half_bin) * inverse_scale)
        inside = below_upper + above_lower + _log_one_minus_exp(math.log(2 * half_bin) - log_scales)
        if self.tails == "original":
            middle = centered * inverse_scale
            log_density = middle - log_scales - 2 * F.softplus(middle)
            inside = torch.where(inside > math.log(1e-5), inside, log_density + math.log(2 * half_bin))
        return torch.where(levels == 0, below_upper, torch.where(levels == self.levels - 1, above_lower, inside))


def _log_one_minus_exp(log_width: Tensor) -> Tensor:
    """log(1 - exp(-w)) from log w, with value and gradient finite where w underflows."""
    width = log_width.exp()
    narrow = width < 1e-3
    series = log_width - width / 2 + width.square() / 24
    return torch.where(narrow, series, torch.log(-torch.expm1(-torch.where(narrow, 1.0, width))))
