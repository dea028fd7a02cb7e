"""Losses over a whole split, per image or per sub-pixel, for any batching and number of devices."""

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class LossPerDimension(Metric):
    """Sum of the losses of all images seen, divided by the number of their dimensions and by ``unit``.

    For losses in nats and a unit of log 2 this is bits/dim. Losses are summed in float64. Sums and counts are added
    over devices, so each image counts once if the devices have different images.
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


class ImageScores(Metric):
    """The loss of every image by channel, gathered from all devices, for summing in float64."""

    full_state_update = False
    collected: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("collected", [], dist_reduce_fx="cat")

    def update(self, index: Tensor, label: Tensor | None, losses: Tensor) -> None:
        """index int64 (N,), label int64 (N,) or None, losses (N, C)."""
        no_label = torch.full_like(index, -1)
        columns = [index, no_label if label is None else label, *losses.double().unbind(1)]
        self.collected.append(torch.stack([column.double() for column in columns], dim=1))

    def compute(self) -> Tensor:
        """float64 (N, 2 + C): index, label or -1, losses of each channel."""
        return dim_zero_cat(self.collected)

    def rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """index int64 (N,), label int64 (N,), losses float64 (N, C), in the order of the split; on every device."""
        table = self.compute().cpu().numpy()
        table = table[np.argsort(table[:, 0])]
        return table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:]


class MeanMap(Metric):
    """The mean of maps (C, H, W) over all images seen, on all devices."""

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(shape).double(), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, maps: Tensor) -> None:
        """maps: (N, C, H, W)."""
        self.total += maps.double().sum(dim=0)
        self.count += len(maps)

    def compute(self) -> Tensor:
        """float64 (C, H, W)."""
        return self.total / self.count
