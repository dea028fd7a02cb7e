"""Skipping of steps whose loss or gradient is not finite.

Gradients are averaged over ranks and summed over accumulated batches, so one bad value reaches every rank's gradient,
and all ranks decide alike without communication. `with_bad_gradient_if_not_finite` ensures that a bad loss has a bad
gradient.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor


def with_bad_gradient_if_not_finite(loss: Tensor) -> Tensor:
    """``loss``, a scalar; one that is not finite becomes NaN, and so do all gradients that it has."""
    return loss * torch.where(loss.detach().isfinite(), 1.0, math.nan)


def gradient_norm(gradients: Iterable[Tensor]) -> Tensor:
    """The Euclidean norm of all ``gradients`` together, a scalar.

    It is finite if they are, and if the sum of their squares, which Adam averages, is finite too.
    """
    return torch.nn.utils.get_total_norm(gradients)
