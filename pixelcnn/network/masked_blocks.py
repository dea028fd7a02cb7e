"""The modules of Gated PixelCNN and PixelCNN, where channels are masked by group.

F is the number of filters, split evenly into groups as the image's channels are; every module's forward takes the
node's inputs, (N, F, H, W) each, and a condition h as in `pixelcnn.network.blocks`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelcnn.errors import require
from pixelcnn.network.blocks import condition_weights, project
from pixelcnn.network.layers import CausalConv2d, MaskedConv2d
from pixelcnn.network.parallel import require_dropout, require_positive
from pixelcnn.network.topology import POINT, Window

BEFORE_ALL = -1  # the group of what every group may see


def groups_of(channels: int, num_groups: int) -> list[int]:
    """The group of each of ``channels`` channels; all groups have equally many."""
    assert channels % num_groups == 0
    return [channel * num_groups // channels for channel in range(channels)]


def require_masked_network(
    num_groups: int,
    num_filters: int,
    num_output_features: int,
    first_kernel_size: int,
    kernel_size: int,
    dropout: float,
) -> None:
    """Raise UserError for the first argument that a network of masked layers cannot have."""
    for key, features in {"num_filters": num_filters, "num_output_features": num_output_features}.items():
        require_positive(**{key: features})
        shared = f"use a multiple of {num_groups}, the number of channel groups that the likelihood draws in turn"
        require(features % num_groups == 0, key, features, shared)
    for key, size in {"first_kernel_size": first_kernel_size, "kernel_size": kernel_size}.items():
        require(size >= 3 and size % 2 == 1, key, size, "use an odd number, 3 or more")
    require_dropout(dropout)


class MaskedImageLayer(nn.Module):
    """Masked convolution of the image, mask A; its channel of ones is seen everywhere."""

    def __init__(self, image_channels: int, num_filters: int, window: Window, num_groups: int) -> None:
        super().__init__()
        seen = [*groups_of(image_channels, num_groups), BEFORE_ALL]
        self.conv = MaskedConv2d(seen, groups_of(num_filters, num_groups), window, strict=True)

    def forward(self, image: Tensor) -> Tensor:
        """(N, C + 1, H, W) to (N, F, H, W)."""
        return self.conv(image)


def gated(x: Tensor) -> Tensor:
    """tanh(a) * sigmoid(b), a and b the two halves of the channels (equation 2 of van den Oord et al. 2016b)."""
    a, b = x.chunk(2, dim=1)
    return torch.tanh(a) * torch.sigmoid(b)


class GateLayer(nn.Module):
    """The gate of the vertical stack; the condition enters in front of it (their equations 3 to 5)."""

    def __init__(self, num_filters: int, condition_features: int) -> None:
        super().__init__()
        self.hw = condition_weights(condition_features, 2 * num_filters)

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        """(N, 2F, H, W) to (N, F, H, W)."""
        if self.hw is not None:
            assert h is not None
            x = x + project(h, self.hw)
        return gated(x)


class HorizontalLayer(nn.Module):
    """x + res(dropout(gate(conv(x) + link(v) + h hw))), the right half of figure 2 of van den Oord et al. 2016b."""

    def __init__(
        self, num_filters: int, window: Window, num_groups: int, dropout: float, condition_features: int
    ) -> None:
        super().__init__()
        groups = groups_of(num_filters, num_groups)
        self.dropout = dropout
        self.conv = MaskedConv2d(groups, groups * 2, window)
        self.link = CausalConv2d(2 * num_filters, 2 * num_filters, POINT)
        self.hw = condition_weights(condition_features, 2 * num_filters)
        self.res = MaskedConv2d(groups, groups, POINT)

    def forward(self, x: Tensor, v: Tensor, h: Tensor | None = None) -> Tensor:
        """x (N, F, H, W), v (N, 2F, H, W); returns (N, F, H, W)."""
        joined = self.conv(x) + self.link(v)
        if self.hw is not None:
            assert h is not None
            joined = joined + project(h, self.hw)
        return x + self.res(F.dropout(gated(joined), self.dropout, self.training))


class ResidualLayer(nn.Module):
    """x + expand(relu(conv(relu(reduce(relu(x)))) + h hw)), figure 5 of van den Oord et al. 2016a.

    x has 2F channels, F between. The paper's model has no condition; here it enters at the masked convolution.
    """

    def __init__(
        self, num_filters: int, window: Window, num_groups: int, dropout: float, condition_features: int
    ) -> None:
        super().__init__()
        narrow, wide = groups_of(num_filters, num_groups), groups_of(2 * num_filters, num_groups)
        self.dropout = dropout
        self.reduce = MaskedConv2d(wide, narrow, POINT)
        self.conv = MaskedConv2d(narrow, narrow, window)
        self.hw = condition_weights(condition_features, num_filters)
        self.expand = MaskedConv2d(narrow, wide, POINT)

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        """(N, 2F, H, W) to (N, 2F, H, W)."""
        inner = self.conv(F.relu(self.reduce(F.relu(x))))
        if self.hw is not None:
            assert h is not None
            inner = inner + project(h, self.hw)
        return x + self.expand(F.dropout(F.relu(inner), self.dropout, self.training))


class MaskedOutputLayer(nn.Module):
    """Two masked 1x1 layers with relu before each (table 1 of van den Oord et al. 2016a)."""

    def __init__(self, channels: int, num_output_features: int, num_parameters: int, num_groups: int) -> None:
        super().__init__()
        features = groups_of(num_output_features, num_groups)
        self.hidden = MaskedConv2d(groups_of(channels, num_groups), features, POINT)
        self.dense = MaskedConv2d(features, groups_of(num_parameters, num_groups), POINT)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, P, H, W), in the weights' own precision under autocast too."""
        with torch.autocast(x.device.type, enabled=False):
            return self.dense(F.relu(self.hidden(F.relu(x.to(self.dense.v.dtype)))))
