"""Conversion of levels 0 .. L-1 to [-1, 1], the range that networks and likelihoods use."""

from torch import Tensor


def scale(levels: Tensor, num_levels: int) -> Tensor:
    """0 .. num_levels-1, as floats, to [-1, 1], by the original's formula, so that float32 agrees to the bit."""
    half = (num_levels - 1) / 2
    return (levels - half) / half


def nearest_level(x: Tensor, num_levels: int) -> Tensor:
    """The level nearest to x, clamped to the first and the last; floats, like x."""
    half = (num_levels - 1) / 2
    return (x * half + half).round().clamp(0, num_levels - 1)
