"""Losses per sub-pixel over a whole split, whatever its batches and however many devices share it."""

import torch
from torch import Tensor
from torchmetrics import Metric


class LossPerDimension(Metric):
    """Sum of the losses of all images seen, divided by the number of their dimensions and by ``unit``.

    With losses in nats and a unit of log 2 these are bits/dim. Losses are summed in float64. Over several devices sums
    and counts are added, so that each image counts once provided that each device is given other images.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = False

    total: Tensor
    dimensions: Tensor

    def __init__(self, unit: float) -> None:
        super().__init__()
        self.unit = unit
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("dimensions", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, losses: Tensor, dimensions: int) -> None:
        """losses: (N,), of images of ``dimensions`` sub-pixels each."""
        self.total += losses.double().sum()
        self.dimensions += losses.numel() * dimensions

    def compute(self) -> Tensor:
        """A float64 scalar; NaN before the first image."""
        return self.total / self.unit / self.dimensions
