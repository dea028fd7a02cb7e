"""Weight-normalised convolutions with causal windows.

W = g * V / max(||V||, 1e-6), the norm taken over everything but the *output* channel in every kind of layer
(Salimans and Kingma 2016). Images are NCHW.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pixelcnn.network.topology import Window

SMALLEST_NORM = 1e-6


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

    def direction(self) -> Tensor:
        """V, without the entries that the layer does not use."""
        return self.v

    def weight(self) -> Tensor:
        """W in the shape of V."""
        return _WeightNorm.apply(self.direction(), self.g, self.out_dim)


class _WeightNorm(torch.autograd.Function):
    """g V / max(||V||, 1e-6), whose gradient autograd would find in twice as many passes over V."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, g: Tensor, out_dim: int) -> Tensor:
        ctx.others = [d for d in range(v.ndim) if d != out_dim]
        norm = torch.linalg.vector_norm(v, dim=ctx.others, keepdim=True)
        g = g.view([-1 if d == out_dim else 1 for d in range(v.ndim)])
        ctx.save_for_backward(v, g, norm)
        return v * (g / norm.clamp_min(SMALLEST_NORM))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        v, g, norm = ctx.saved_tensors
        divisor = norm.clamp_min(SMALLEST_NORM)
        of_g = (gradient * v).sum(ctx.others, keepdim=True) / divisor
        # Below the smallest norm the divisor is constant.
        radial = torch.where(norm < SMALLEST_NORM, 0.0, g * of_g / divisor.square())
        of_v = (gradient * (g / divisor)).addcmul_(v, radial, value=-1)
        return of_v, of_g.flatten(), None


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
