"""Cumulative sums that are reproducible bit for bit, on GPUs too."""

from collections.abc import Callable

import torch
from torch import Tensor


def cumulative_sum(x: Tensor, dim: int) -> Tensor:
    """``x.cumsum(dim)``, on a GPU with deterministic algorithms `by_doubling`: torch's is not deterministic there."""
    if x.is_cuda and torch.are_deterministic_algorithms_enabled():
        return by_doubling(x, dim)
    return x.cumsum(dim)


def by_doubling(x: Tensor, dim: int) -> Tensor:
    """``x.cumsum(dim)`` by adding the values 1, 2, 4, ... places before, always in the same order."""
    length, reach = x.shape[dim], 1
    while reach < length:
        first, rest = x.split([reach, length - reach], dim)
        x = torch.cat([first, rest + x.narrow(dim, 0, length - reach)], dim)
        reach *= 2
    return x


def distribution_function_of(masses: Tensor) -> Callable[[Tensor], Tensor]:
    """The distribution function of levels from their masses (N, L): see `Likelihood.conditionals`."""
    cumulative = cumulative_sum(masses, dim=1)

    def below(bounds: Tensor) -> Tensor:
        bounds = bounds.expand(len(cumulative), -1)
        found = cumulative.gather(1, (bounds - 1).clamp_min(0)) / cumulative[:, -1:]
        return torch.where(bounds == 0, 0.0, found)

    return below
