"""The nonlinearities of the residual blocks, with the dropout and padding that follow, and the gate that ends a block.

Between the convolutions of a block, time goes into memory traffic: what counts is how often activations pass through
memory and which of them are kept for the gradient.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from pixelcnn.network.kernels import has_kernels

Nonlinearity = Callable[..., Tensor]


class Padding(NamedTuple):
    """Zeros beside an image, in the order of `torch.nn.functional.pad`."""

    left: int
    right: int
    above: int
    below: int


NONE = Padding(0, 0, 0, 0)


def concat_elu(x: Tensor, dropout: float = 0.0, padding: Padding = NONE) -> Tensor:
    """elu of [x, -x] along the channels, then dropout of that probability: (N, F, ...) to (N, 2F, ...), padded.

    The gradient is found from the result, which the convolution that reads it keeps anyway.
    """
    if torch.compiler.is_compiling():  # which fuses the formula by itself
        return _padded(F.dropout(F.elu(torch.cat([x, -x], dim=1)), dropout), padding)
    if x.ndim == 4 and x.itemsize <= 4 and has_kernels(x):
        from pixelcnn.network.fused import FusedConcatElu  # which imports Triton

        return FusedConcatElu.apply(x, dropout, padding)
    return _ConcatElu.apply(x, dropout, padding)


def elu(x: Tensor, dropout: float = 0.0, padding: Padding = NONE) -> Tensor:
    """elu, then dropout of that probability, in the shape of x, padded."""
    return _padded(F.dropout(F.elu(x), dropout), padding)


def gated(x: Tensor, ab: Tensor) -> Tensor:
    """x + a * sigmoid(b), a and b the two halves of the channels of ab: (N, F, H, W) and (N, 2F, H, W) to the first.

    Torch's own gated linear unit is slow in the channels_last memory format.
    """
    if torch.compiler.is_compiling():
        return x + F.glu(ab, dim=1)
    if x.ndim == 4 and x.dtype == ab.dtype and x.itemsize <= 4 and has_kernels(x):
        from pixelcnn.network.fused import FusedGate  # which imports Triton

        return FusedGate.apply(x, ab)
    return _Gated.apply(x, ab)


def relu(x: Tensor, dropout: float = 0.0, padding: Padding = NONE) -> Tensor:
    """max(x, 0), then dropout of that probability, in the shape of x, padded."""
    return _padded(F.dropout(F.relu(x), dropout), padding)


# Each with the factor by which it multiplies the number of channels.
NONLINEARITIES: dict[str, tuple[Nonlinearity, int]] = {
    "concat_elu": (concat_elu, 2),
    "elu": (elu, 1),
    "relu": (relu, 1),
}


class _ConcatElu(torch.autograd.Function):
    """Keeps its result, with dropout's zeros and factor 1 / (1 - p) in it, and which elements dropout has kept.

    Zeros stay zeros, so that it is x that is padded, before it has twice the channels.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, dropout: float, padding: Padding) -> Tensor:
        ctx.scale, ctx.padding = 1 / (1 - dropout), padding
        x = _padded(x, padding)
        y = empty_like_with(x, 2 * x.shape[1], x.shape[2:])
        upright, negated = y.chunk(2, dim=1)
        # exp(x) - 1 >= x: it stands for both, where the other is positive.
        below = x.abs().neg_().expm1_()
        torch.maximum(x, below, out=upright)
        torch.maximum(torch.neg(x, out=negated), below, out=negated)
        keep = kept(y, dropout) if dropout else None
        if keep is not None:
            y.mul_(keep.to(y.dtype).mul_(ctx.scale))
        ctx.save_for_backward(y, keep)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        y, keep = ctx.saved_tensors
        if keep is not None:
            gradient = keep.to(gradient.dtype).mul_(gradient)
        by_half = torch.ops.aten.elu_backward(gradient, 1, ctx.scale, 1, True, y)
        upright, negated = _inside(by_half, ctx.padding).chunk(2, dim=1)
        return upright - negated, None, None


class _Gated(torch.autograd.Function):
    """Keeps ab alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ab: Tensor) -> Tensor:
        ctx.save_for_backward(ab)
        a, b = ab.chunk(2, dim=1)
        return torch.addcmul(x, a, _gate(b, x))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        (ab,) = ctx.saved_tensors
        a, b = ab.chunk(2, dim=1)
        gate = _gate(b, gradient)
        of_ab = torch.empty_like(ab)
        of_a, of_b = of_ab.chunk(2, dim=1)
        torch.mul(gradient, gate, out=of_a)
        torch.mul(of_a, a, out=of_b).addcmul_(of_b, gate, value=-1)
        return gradient, of_ab


def _gate(b: Tensor, like: Tensor) -> Tensor:
    """sigmoid(b) in the order of memory of ``like``.

    It is copied there first: on CPUs the sigmoid of bf16 takes eight times as long where its input has strides.
    """
    return torch.empty_like(like, dtype=b.dtype).copy_(b).sigmoid_()


def _padded(x: Tensor, padding: Padding) -> Tensor:
    return F.pad(x, padding) if any(padding) else x


def _inside(x: Tensor, padding: Padding) -> Tensor:
    """x without its padding."""
    if not any(padding):
        return x
    height, width = x.shape[2:]
    return x[:, :, padding.above : height - padding.below, padding.left : width - padding.right]


def empty_like_with(x: Tensor, channels: int, size: Sequence[int]) -> Tensor:
    """Values like x (N, F, ...) of other ``channels`` and another ``size``, in the same order in memory."""
    last = x.ndim == 4 and x.stride(1) == 1 and not x.is_contiguous()
    order = torch.channels_last if last else torch.contiguous_format
    return torch.empty((x.shape[0], channels, *size), dtype=x.dtype, device=x.device, memory_format=order)


def kept(x: Tensor, dropout: float) -> Tensor:
    """Which elements dropout keeps, bool in the shape and order of x, from torch's generator.

    A CPU's generator takes as long for one bit as for 64. So numbers of 64 bits are cut into pieces of 16 bits, or of 8
    if these express the probability, which is rounded by at most 1e-5.
    """
    keep = torch.empty_like(x, dtype=torch.bool)
    if x.device.type != "cpu":
        return keep.bernoulli_(1 - dropout)
    dtype = torch.int8 if (256 * dropout).is_integer() else torch.int16
    bits = torch.iinfo(dtype).bits
    words = torch.empty(math.ceil(x.numel() * bits / 64), dtype=torch.int64).random_(-(2**63), None)
    pieces = words.view(dtype)[: x.numel()].as_strided(x.shape, x.stride())
    return torch.ge(pieces, round(dropout * 2**bits) - 2 ** (bits - 1), out=keep)
