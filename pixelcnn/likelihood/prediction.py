"""Causal predictions of a pixel from its neighbours, to which a mixture's means may be relative.

A prediction sees only pixels before its own in raster order, so the shifted mixture is still a distribution of the
pixel given those before it. Outside the image values are 0, the middle of [-1, 1].
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Neighbours(NamedTuple):
    """The values in [-1, 1] beside a pixel, or beside all pixels of images: each (N, C, H, W)."""

    left: Tensor
    above: Tensor
    above_left: Tensor


def neighbours_of(x: Tensor) -> Neighbours:
    """The neighbours of every pixel of x (N, C, H, W)."""
    height, width = x.shape[2:]
    padded = F.pad(x, (1, 0, 1, 0))
    return Neighbours(
        left=padded[:, :, 1:, :width], above=padded[:, :, :height, 1:], above_left=padded[:, :, :height, :width]
    )


def left(neighbours: Neighbours) -> Tensor:
    """The pixel to the left, as PNG's filter "Sub"."""
    return neighbours.left


def gradient(neighbours: Neighbours) -> Tensor:
    """The median of left, above and left + above - above_left, which follows edges.

    The predictor of LOCO-I, the algorithm in JPEG-LS (Weinberger, Seroussi and Sapiro 2000, section III.A).
    """
    low = torch.minimum(neighbours.left, neighbours.above)
    high = torch.maximum(neighbours.left, neighbours.above)
    plane = neighbours.left + neighbours.above - neighbours.above_left
    return torch.maximum(low, torch.minimum(high, plane))


PREDICTIONS = {"left": left, "gradient": gradient}
