"""Bits per dimension over a whole split, whatever its batches and however many devices share it."""

import math

import torch
from torch import Tensor
from torchmetrics import Metric


class BitsPerDim(Metric):
    """Sum of -log2 p over all images seen, divided by the number of their dimensions.

    Nats are summed in float64. Over several devices sums and counts are added, so that each image counts once
    provided that each device is given other images.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = False

    nats: Tensor
    dimensions: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("nats", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("dimensions", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, log_prob: Tensor, dimensions: int) -> None:
        """log_prob: (N,) in nats, of images of ``dimensions`` sub-pixels each."""
        self.nats -= log_prob.double().sum()
        self.dimensions += log_prob.numel() * dimensions

    def compute(self) -> Tensor:
        """Bits per dimension, a float64 scalar; NaN before the first image."""
        return self.nats / math.log(2) / self.dimensions
