"""A network without a topology: rows above by one convolution, pixels to the left by another."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Rows(nn.Module):
    """Residual layers of two causal convolutions each. ``width``: features; ``depth``: layers; ``reach``: of each."""

    def __init__(
        self,
        image_channels: int,
        num_parameters: int,
        condition_features: int = 0,
        *,
        width: int = 16,
        depth: int = 2,
        reach: int = 3,
    ) -> None:
        super().__init__()
        if depth < 1:
            raise ValueError(f"depth={depth} is out of range: use at least one layer")
        self.reach = reach
        self.first = nn.Conv2d(image_channels, width, (1, reach))
        self.above = nn.ModuleList(nn.Conv2d(width, width, (reach, 2 * reach - 1)) for _ in range(depth))
        self.left = nn.ModuleList(nn.Conv2d(width, width, (1, reach)) for _ in range(depth))
        self.condition = nn.Linear(condition_features, width, bias=False) if condition_features else None
        self.last = nn.Conv2d(width, num_parameters, 1)

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        """x (N, C, H, W) in [-1, 1], h None or (N, D); returns (N, P, H, W)."""
        reach = self.reach
        # Moved right by one, so that no pixel sees itself: only the first layer sees the image.
        y = self.first(F.pad(x, (reach, -1, 0, 0)))
        if self.condition is not None:
            y = y + self.condition(h)[:, :, None, None]
        for above, left in zip(self.above, self.left, strict=True):
            rows = above(F.pad(y, (reach - 1, reach - 1, reach, -1)))
            y = y + torch.tanh(rows + left(F.pad(y, (reach - 1, 0, 0, 0))))
        return self.last(y)
