"""One module per kind of node: what `pixelcnn.network.topology` names, as layers with weights.

F is the number of filters, D the number of features of the condition h; every module's forward takes the node's inputs,
(N, F, H, W) each. Where a condition enters, h is (N, D) for whole images or a map (N, D, H, W).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelcnn.network.layers import CausalConv2d, CausalConvTranspose2d
from pixelcnn.network.nonlinearities import NONLINEARITIES, gated
from pixelcnn.network.topology import POINT, Window


def condition_weights(condition_features: int, channels: int) -> nn.Parameter | None:
    """hw (D, channels) of a new layer, None without a condition."""
    return nn.Parameter(torch.empty(condition_features, channels).normal_(0, 0.05)) if condition_features else None


def project(h: Tensor, hw: Tensor) -> Tensor:
    """What a condition adds to the input of a gate: (N, D) to (N, channels, 1, 1), a map to (N, channels, H, W)."""
    return (h @ hw)[:, :, None, None] if h.ndim == 2 else torch.einsum("ndhw,dc->nchw", h, hw)


class ShiftedConv(nn.Module):
    """Convolution of the image, moved down and right; what is moved in is zero, without the bias."""

    def __init__(self, in_channels: int, num_filters: int, window: Window, shift: tuple[int, int]) -> None:
        super().__init__()
        self.conv = CausalConv2d(in_channels, num_filters, window)
        self.shift = shift

    def forward(self, image: Tensor) -> Tensor:
        """(N, C + 1, H, W) to (N, F, H, W)."""
        down, right = self.shift
        return F.pad(self.conv(image), (right, -right, down, -down))


class Add(nn.Module):
    """Sum of the inputs."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """(N, F, H, W) each."""
        return torch.stack(inputs).sum(0) if len(inputs) > 2 else inputs[0] + inputs[1]


class GatedResidualBlock(nn.Module):
    """x + a * sigmoid(b), with a and b the two halves of conv2(dropout(nl(conv1(nl(x)) + aux_dense(nl(aux))))) + h hw.

    Figure 2 of the paper and `gated_resnet` of its code; nl is concat_elu, elu or relu. In the paper conv2 starts at a
    tenth of unit scale, so that a fresh block is nearly the identity.
    ``aux_features``: how many each auxiliary input has.
    """

    def __init__(
        self,
        num_filters: int,
        window: Window,
        aux_features: Sequence[int],
        nonlinearity: str,
        dropout: float,
        condition_features: int,
        init_scale: float,
    ) -> None:
        super().__init__()
        self.nonlinearity, expansion = NONLINEARITIES[nonlinearity]
        self.dropout, self.aux_features, self.expansion = dropout, tuple(aux_features), expansion
        self.conv1 = CausalConv2d(expansion * num_filters, num_filters, window)
        if aux_features:
            self.aux_dense = CausalConv2d(expansion * sum(aux_features), num_filters, POINT)
        self.conv2 = CausalConv2d(expansion * num_filters, 2 * num_filters, window, init_scale=init_scale)
        self.hw = condition_weights(condition_features, 2 * num_filters)

    def forward(self, x: Tensor, *aux: Tensor, h: Tensor | None = None) -> Tensor:
        """x (N, F, H, W), each aux with features of its own, h as the model has it; returns (N, F, H, W)."""
        nl = self.nonlinearity
        c1 = self.conv1(nl(x, padding=self.conv1.padding), True)
        if aux:
            c1 = c1 + self.aux_dense(nl(torch.cat(aux, dim=1)))
        c2 = self.conv2(nl(c1, self.dropout if self.training else 0.0, self.conv2.padding), True)
        if self.hw is not None:
            assert h is not None
            c2 = c2 + project(h, self.hw)
        return gated(x, c2)


class UpsamplingConv(nn.Module):
    """Transposed convolution to twice the input's size."""

    def __init__(self, num_filters: int, window: Window) -> None:
        super().__init__()
        self.conv = CausalConvTranspose2d(num_filters, num_filters, window)

    def forward(self, x: Tensor) -> Tensor:
        """(N, F, H, W) to (N, F, 2H, 2W)."""
        return self.conv(x)


class OutputLayer(nn.Module):
    """elu, whatever the network's nonlinearity, then a 1x1 layer."""

    def __init__(self, num_filters: int, num_parameters: int, init_scale: float) -> None:
        super().__init__()
        self.dense = CausalConv2d(num_filters, num_parameters, POINT, init_scale=init_scale)

    def forward(self, x: Tensor) -> Tensor:
        """(N, F, H, W) to (N, P, H, W), in the weights' own precision under autocast too: bf16 would cost nats."""
        with torch.autocast(x.device.type, enabled=False):
            return self.dense(F.elu(x.to(self.dense.v.dtype)))
