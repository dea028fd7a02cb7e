"""The logistic mass of a level's bin, half a level to each side; the outer bins extend to infinity."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def log_bin_mass(centered: Tensor, log_scales: Tensor, images: Tensor, levels: int) -> Tensor:
    """log of the logistic mass between the edges of each value's bin, stable for any scale and distance.

    centered: the values, scaled to [-1, 1], minus the logistics' means (N, M, C, H, W); log_scales likewise; images:
    integers (N, C, H, W) with ``levels`` levels. With upper edge a and lower edge b in units of the scale, sigmoid(a) -
    sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)); the outer bins have no lower or no upper edge.
    """
    values = images[:, None]
    half_bin = 1 / (levels - 1)
    inverse_scale = torch.exp(-log_scales)
    below_upper = F.logsigmoid((centered + half_bin) * inverse_scale)
    above_lower = F.logsigmoid(-(centered - half_bin) * inverse_scale)
    inside = below_upper + above_lower + _log_one_minus_exp(math.log(2 * half_bin) - log_scales)
    return torch.where(values == 0, below_upper, torch.where(values == levels - 1, above_lower, inside))


def bin_mass(above: Tensor) -> Tensor:
    """The logistic mass (...) between two edges, by the mean minus the lower and the upper in units of scale (..., 2).

    Computed on the side of the mean where the distribution function is small, so that small masses keep their digits.
    """
    side = torch.where(above[..., :1] < 0, -1.0, 1.0).to(above.dtype)
    return (above * side).exp_().add_(1).reciprocal_().diff(dim=-1)[..., 0].abs()


def _log_one_minus_exp(log_width: Tensor) -> Tensor:
    """log(1 - exp(-w)) from log w, with value and gradient finite where w underflows."""
    width = log_width.exp()
    narrow = width < 1e-3
    series = log_width - width / 2 + width.square() / 24
    return torch.where(narrow, series, torch.log(-torch.expm1(-torch.where(narrow, 1.0, width))))
