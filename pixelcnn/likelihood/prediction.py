"""Causal predictions of a pixel from its neighbours, to which the means of a mixture's components may be relative.

A prediction sees only pixels before its own in raster order, so the shifted mixture is still a distribution of the
pixel given those before it. Outside the image values are 0, the middle of [-1, 1].
"""

from collections.abc import Callable
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


def above(neighbours: Neighbours) -> Tensor:
    """The pixel above, as PNG's filter "Up"."""
    return neighbours.above


def halfway(neighbours: Neighbours) -> Tensor:
    """3/4 left + 3/4 above - 1/2 above_left, halfway between the mean of left and above and a plane through all three.

    From -2 to 2, beyond the range of values.
    """
    return 0.75 * (neighbours.left + neighbours.above) - 0.5 * neighbours.above_left


def gradient(neighbours: Neighbours) -> Tensor:
    """The median of left, above and left + above - above_left, which follows edges.

    The predictor of LOCO-I, the algorithm in JPEG-LS (Weinberger, Seroussi and Sapiro 2000, section III.A).
    """
    low = torch.minimum(neighbours.left, neighbours.above)
    high = torch.maximum(neighbours.left, neighbours.above)
    plane = neighbours.left + neighbours.above - neighbours.above_left
    return torch.maximum(low, torch.minimum(high, plane))


# By the value of ``residual``, the predictions that the components take in turn; fewer components take the first ones.
PREDICTIONS: dict[str, tuple[Callable[[Neighbours], Tensor], ...]] = {
    "left": (left,),
    "gradient": (gradient,),
    "neighbours": (left, above, halfway, gradient),
}


def predictions(residual: str, neighbours: Neighbours, num_mixtures: int) -> Tensor:
    """What each component's mean is relative to, (N, C, M, H, W), or (N, C, 1, H, W) if it is the same for all."""
    every = [predict(neighbours) for predict in PREDICTIONS[residual]]
    if len(every) == 1:
        return every[0][:, :, None]
    return torch.stack([every[k % len(every)] for k in range(num_mixtures)], dim=2)
