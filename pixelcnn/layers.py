"""Weight-normalised convolutions with causal windows, and the nonlinearities.

W = g * V / max(||V||, 1e-6), the norm taken over everything but the *output* channel in every kind of layer
(Salimans and Kingma 2016). Images are NCHW.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelcnn.topology import Window


def concat_elu(x: Tensor) -> Tensor:
    """elu of [x, -x] along the channels: (N, F, ...) to (N, 2F, ...)."""
    return F.elu(torch.cat([x, -x], dim=1))


# Each with the factor by which it multiplies the number of channels.
NONLINEARITIES: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "concat_elu": (concat_elu, 2),
    "elu": (F.elu, 1),
    "relu": (F.relu, 1),
}


class WeightNormalized(nn.Module):
    """Direction V, gain g and bias b of a layer; ``init_scale`` is the standard deviation that data-dependent
    initialisation gives its output."""

    out_dim: int  # which axis of V is the output channel

    def __init__(self, v_shape: tuple[int, ...], init_scale: float) -> None:
        super().__init__()
        self.v = nn.Parameter(torch.empty(v_shape).normal_(0, 0.05))
        self.g = nn.Parameter(torch.ones(v_shape[self.out_dim]))
        self.b = nn.Parameter(torch.zeros(v_shape[self.out_dim]))
        self.init_scale = init_scale

    def direction(self) -> Tensor:
        """V, without the entries that the layer does not use."""
        return self.v

    def weight(self) -> Tensor:
        """W in the shape of V."""
        others = [d for d in range(4) if d != self.out_dim]
        v = self.direction()
        norm = torch.linalg.vector_norm(v, dim=others, keepdim=True).clamp_min(1e-6)
        shape = [1, 1, 1, 1]
        shape[self.out_dim] = -1
        return v * (self.g.view(shape) / norm)


class CausalConv2d(WeightNormalized):
    """Convolution whose output (i, j) sees ``window`` around (stride * i, stride * j), zeros outside the image."""

    out_dim = 0

    def __init__(
        self, in_channels: int, out_channels: int, window: Window, stride: int = 1, init_scale: float = 1.0
    ) -> None:
        super().__init__((out_channels, in_channels, window.rows, window.columns), init_scale)
        self.window, self.stride = window, stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H / stride, W / stride)."""
        window = self.window
        if window.rows > 1 or window.columns > 1:
            x = F.pad(x, (window.left, window.right, window.above, 0))
        return F.conv2d(x, self.weight(), self.b, stride=self.stride)


class MaskedConv2d(CausalConv2d):
    """Causal convolution that in its own row stops at its own pixel, and there sees the groups of channels before.

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


class UncroppedConvTranspose2d(WeightNormalized):
    """Transposed convolution of stride 2 with every output row and column, those outside the image included.

    The margin takes part in the moments of data-dependent initialisation, as in the original, and is cut by the caller.
    """

    out_dim = 1

    def __init__(self, in_channels: int, out_channels: int, window: Window) -> None:
        super().__init__((in_channels, out_channels, window.rows, window.columns), init_scale=1.0)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, 2H + rows - 1, 2W + columns - 1)."""
        return F.conv_transpose2d(x, self.weight(), self.b, stride=2, output_padding=1)
