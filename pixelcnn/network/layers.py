"""Weight-normalised convolutions with causal windows.

The norm is taken over everything but the *output* channel in every kind of layer: see `pixelcnn.network.weight_norm`.
Images are NCHW.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelcnn.network.nonlinearities import Padding
from pixelcnn.network.topology import Window
from pixelcnn.network.weight_norm import normalized


class WeightNormalized(nn.Module):
    """Direction V, gain g and bias b of a layer; ``init_scale`` is the standard deviation that data-dependent
    initialisation gives its output, None to leave the layer as it is."""

    out_dim: int  # which axis of V is the output channel

    def __init__(self, v_shape: tuple[int, ...], init_scale: float) -> None:
        super().__init__()
        self.v = nn.Parameter(torch.empty(v_shape).normal_(0, 0.05))
        self.g = nn.Parameter(torch.ones(v_shape[self.out_dim]))
        self.b = nn.Parameter(torch.zeros(v_shape[self.out_dim]))
        self.init_scale: float | None = init_scale
        self.computed: Tensor | None = None  # the weight, where the network has computed it: see `given`

    def direction(self) -> Tensor:
        """V, without the entries that the layer does not use."""
        return self.v

    def weight(self) -> Tensor:
        """W in the shape and type of V."""
        return normalized([self.direction()], [self.g], [self.out_dim], self.v.dtype)[0]

    def weight_of_pass(self) -> Tensor:
        """W for a convolution: what the network has computed, unless autocast is off here and was on there."""
        if self.computed is not None and self.computed.dtype == convolution_type(self.v):
            return self.computed
        return self.weight()

    def with_margin(self, output: Tensor, *inputs: Tensor) -> Tensor:
        """The values whose moments data-dependent initialisation sets, of a forward pass that returned ``output``."""
        return output


def convolution_type(v: Tensor) -> torch.dtype:
    """The type to which autocast, where it is on, converts a weight of V's type in a convolution."""
    device = v.device.type
    on = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if on and v.dtype != torch.float64 else v.dtype


def weights_of(layers: Sequence[WeightNormalized]) -> dict[WeightNormalized, Tensor]:
    """The weights of many layers by common operations, of the type of their convolutions."""
    if not layers:
        return {}
    weights = normalized(
        [layer.direction() for layer in layers],
        [layer.g for layer in layers],
        [layer.out_dim for layer in layers],
        convolution_type(layers[0].v),
    )
    return dict(zip(layers, weights, strict=True))


@contextmanager
def given(weights: Mapping[WeightNormalized, Tensor]) -> Iterator[None]:
    """Within it these layers convolve with ``weights`` in place of computing their own."""
    for layer, weight in weights.items():
        layer.computed = weight
    try:
        yield
    finally:
        for layer in weights:
            layer.computed = None


class CausalConv2d(WeightNormalized):
    """Convolution whose output (i, j) sees ``window`` around (stride * i, stride * j), zeros outside the image."""

    out_dim = 0

    def __init__(
        self, in_channels: int, out_channels: int, window: Window, stride: int = 1, init_scale: float = 1.0
    ) -> None:
        super().__init__((out_channels, in_channels, window.rows, window.columns), init_scale)
        self.stride = stride
        self.padding = Padding(window.left, window.right, window.above, 0)

    def forward(self, x: Tensor, padded: bool = False) -> Tensor:
        """(N, in, H, W) to (N, out, H / stride, W / stride); ``padded``: x has this layer's ``padding`` already."""
        if any(self.padding) and not padded:
            x = F.pad(x, self.padding)
        return F.conv2d(x, self.weight_of_pass(), self.b, stride=self.stride)


class MaskedConv2d(CausalConv2d):
    """Causal convolution that stops at the pixel itself, of which it sees some groups of channels only.

    ``in_groups`` and ``out_groups`` name the group of every channel; output group g sees input groups up to g at its
    own pixel, or below g if ``strict`` (masks B and A of van den Oord et al. 2016a).
    """

    mask: Tensor

    def __init__(
        self,
        in_groups: Sequence[int],
        out_groups: Sequence[int],
        window: Window,
        strict: bool = False,
        init_scale: float = 1.0,
    ) -> None:
        super().__init__(len(in_groups), len(out_groups), window, init_scale=init_scale)
        mask = torch.ones(self.v.shape)
        own_row = mask[:, :, window.above]
        own_row[:, :, window.left + 1 :] = 0
        source, target = torch.tensor(in_groups), torch.tensor(out_groups)[:, None]
        own_row[:, :, window.left] = (source < target if strict else source <= target).to(mask.dtype)
        self.register_buffer("mask", mask, persistent=False)

    def direction(self) -> Tensor:
        return self.v * self.mask


class CausalConvTranspose2d(WeightNormalized):
    """Transposed convolution of stride 2, cut to twice the input's size such that the streams stay causal.

    The margin that is cut takes part in the moments of data-dependent initialisation, as in the original.
    """

    out_dim = 1

    def __init__(self, in_channels: int, out_channels: int, window: Window) -> None:
        super().__init__((in_channels, out_channels, window.rows, window.columns), init_scale=1.0)
        # What torch adds below and at the right of what it has cut alike on both sides.
        self.cut, self.added = (0, window.right), (2 - window.rows, 1 + window.right - window.left)
        assert all(added in (0, 1) for added in self.added)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, 2H, 2W)."""
        return F.conv_transpose2d(
            x, self.weight_of_pass(), self.b, stride=2, padding=self.cut, output_padding=self.added
        )

    def with_margin(self, output: Tensor, *inputs: Tensor) -> Tensor:
        """(N, out, 2H + rows - 1, 2W + columns - 1)."""
        (x,) = inputs
        return F.conv_transpose2d(x, self.weight_of_pass(), self.b, stride=2, output_padding=1)
