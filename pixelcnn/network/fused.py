"""concat_elu with the dropout and padding that follow it, and a block's gate: each one Triton kernel, the gradient too.

For GPUs, whose time between convolutions goes into passes over memory; `pixelcnn.network.nonlinearities` defines what
is computed and chooses. Arithmetic is in float32, whatever the type of the activations.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from pixelcnn.network.nonlinearities import Padding, empty_like_with

BLOCK = 1024  # elements of a program


class FusedConcatElu(torch.autograd.Function):
    """As `concat_elu` of a tensor (N, F, H, W) of at most 32 bits. It keeps only its result, in which -0 marks exactly
    the elements that dropout has dropped.

    Dropout draws one number from torch's generator, from which the kernel makes its own by Philox.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, dropout: float, padding: Padding) -> Tensor:
        ctx.dropout, ctx.padding = dropout, padding
        n, channels, height, width = x.shape
        size = height + padding.above + padding.below, width + padding.left + padding.right
        y = empty_like_with(x, 2 * channels, size)
        seed = torch.empty((), dtype=torch.int64, device=x.device)
        if dropout:
            seed.random_()
        with torch.cuda.device_of(x):
            _forward[_grid(y, n, channels, *size)](
                x,
                y,
                seed,
                channels,
                *size,
                height,
                width,
                padding.left,
                padding.above,
                *x.stride(),
                *y.stride(),
                dropout,
                1 / (1 - dropout),
                drops=dropout > 0,
                channels_last=y.stride(1) == 1,
                block=BLOCK,
            )
        ctx.save_for_backward(y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (y,) = ctx.saved_tensors
        left, right, above, below = ctx.padding
        n, channels = y.shape[0], y.shape[1] // 2
        size = y.shape[2] - above - below, y.shape[3] - left - right
        of_x = empty_like_with(y, channels, size)
        with torch.cuda.device_of(y):
            _backward[_grid(y, n, channels, *size)](
                gradient,
                y,
                of_x,
                channels,
                *size,
                left,
                above,
                *gradient.stride(),
                *y.stride(),
                *of_x.stride(),
                1 / (1 - ctx.dropout),
                drops=ctx.dropout > 0,
                channels_last=y.stride(1) == 1,
                block=BLOCK,
            )
        return of_x, None, None


class FusedGate(torch.autograd.Function):
    """As `gated` of tensors of at most 32 bits. Keeps ab alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ab: Tensor) -> Tensor:
        ctx.save_for_backward(ab)
        n, channels, *size = x.shape
        y = empty_like_with(x, channels, size)
        with torch.cuda.device_of(x):
            _gate[_grid(y, n, channels, *size)](
                x,
                ab,
                y,
                channels,
                *size,
                *x.stride(),
                *ab.stride(),
                *y.stride(),
                channels_last=y.stride(1) == 1,
                block=BLOCK,
            )
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        (ab,) = ctx.saved_tensors
        of_ab = torch.empty_like(ab)
        n, channels, *size = gradient.shape
        with torch.cuda.device_of(ab):
            _of_gate[_grid(ab, n, channels, *size)](
                gradient,
                ab,
                of_ab,
                channels,
                *size,
                *gradient.stride(),
                *ab.stride(),
                *of_ab.stride(),
                channels_last=ab.stride(1) == 1,
                block=BLOCK,
            )
        return gradient, of_ab


def _grid(y: Tensor, n: int, channels: int, height: int, width: int) -> tuple[int, int]:
    """Programs: for each row, or each plane, as many as its elements fill."""
    last = y.stride(1) == 1
    outer, inner = (n * height, width * channels) if last else (n * channels, height * width)
    return outer, triton.cdiv(inner, BLOCK)


@triton.jit
def _places(channels, height, width, channels_last: tl.constexpr, block: tl.constexpr):
    """n, c, i and j of this program's elements, in the order of memory; which exist; the number of each."""
    outer, inner = tl.program_id(0), tl.program_id(1) * block + tl.arange(0, block)
    if channels_last:
        n, i, j, c, size = outer // height, outer % height, inner // channels, inner % channels, width * channels
    else:
        n, c, i, j, size = outer // channels, outer % channels, inner // width, inner % width, height * width
    return n.to(tl.int64), c, i, j, inner < size, outer * size + inner


@triton.jit
def expm1(v):
    """exp(v) - 1 for float32 v <= 0, by its series where the difference would lose digits."""
    series = 1 + v * (1 / 7) * (1 + v * (1 / 8))
    series = 1 + v * (1 / 4) * (1 + v * (1 / 5) * (1 + v * (1 / 6) * series))
    series = v * (1 + v * (1 / 2) * (1 + v * (1 / 3) * series))
    return tl.where(v > -0.5, series, tl.exp(v) - 1)


@triton.jit
def _minus_zero(like):
    """Not written -0.0, which Triton compiles to 0."""
    return tl.full(like.shape, -2147483648, tl.int32).to(tl.float32, bitcast=True)


@triton.jit
def _forward(
    x, y, seed,
    channels, height, width, x_height, x_width, left, above,
    xn, xc, xh, xw, yn, yc, yh, yw,
    dropout, scale,
    drops: tl.constexpr, channels_last: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    n, c, i, j, exists, number = _places(channels, height, width, channels_last, block)
    row, column = i - above, j - left
    inside = exists & (row >= 0) & (row < x_height) & (column >= 0) & (column < x_width)
    v = tl.load(x + n * xn + c * xc + row * xh + column * xw, mask=inside, other=0.0).to(tl.float32)
    below = tl.where(v == 0, 0.0, expm1(-tl.abs(v)))
    upright, negated = tl.where(v > 0, v, below), tl.where(v < 0, -v, below)
    if drops:
        a, b, _, _ = tl.rand4x(tl.load(seed), number)
        upright = tl.where(a < dropout, _minus_zero(v), upright * scale)
        negated = tl.where(b < dropout, _minus_zero(v), negated * scale)
    place = y + n * yn + c * yc + i * yh + j * yw
    tl.store(place, upright.to(y.dtype.element_ty), mask=exists)
    tl.store(place + channels * yc, negated.to(y.dtype.element_ty), mask=exists)


@triton.jit
def _backward(
    gradient, y, of_x,
    channels, height, width, left, above,
    gn, gc, gh, gw, yn, yc, yh, yw, xn, xc, xh, xw,
    scale,
    drops: tl.constexpr, channels_last: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    n, c, i, j, exists, _ = _places(channels, height, width, channels_last, block)
    g = gradient + n * gn + c * gc + (i + above) * gh + (j + left) * gw
    place = y + n * yn + c * yc + (i + above) * yh + (j + left) * yw
    upright = _half(g, place, exists, scale, drops)
    negated = _half(g + channels * gc, place + channels * yc, exists, scale, drops)
    tl.store(of_x + n * xn + c * xc + i * xh + j * xw, (upright - negated).to(of_x.dtype.element_ty), mask=exists)


@triton.jit
def _half(gradient, y, exists, scale, drops: tl.constexpr):
    """The gradient by one half's argument, from the half's value: elu's slope is 1, or its value + 1 below zero."""
    value = tl.load(y, mask=exists, other=0.0).to(tl.float32)
    by_argument = tl.load(gradient, mask=exists, other=0.0).to(tl.float32) * tl.where(value > 0, scale, value + scale)
    if drops:
        dropped = value.to(tl.int32, bitcast=True) == -2147483648
        by_argument = tl.where(dropped, 0.0, by_argument)
    return by_argument


@triton.jit
def _gate(
    x, ab, y,
    channels, height, width, xn, xc, xh, xw, gn, gc, gh, gw, yn, yc, yh, yw,
    channels_last: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    n, c, i, j, exists, _ = _places(channels, height, width, channels_last, block)
    place = ab + n * gn + c * gc + i * gh + j * gw
    a = tl.load(place, mask=exists, other=0.0).to(tl.float32)
    b = tl.load(place + channels * gc, mask=exists, other=0.0).to(tl.float32)
    v = tl.load(x + n * xn + c * xc + i * xh + j * xw, mask=exists, other=0.0).to(tl.float32)
    v += a * tl.sigmoid(b)
    tl.store(y + n * yn + c * yc + i * yh + j * yw, v.to(y.dtype.element_ty), mask=exists)


@triton.jit
def _of_gate(
    gradient, ab, of_ab,
    channels, height, width, yn, yc, yh, yw, gn, gc, gh, gw, on, oc, oh, ow,
    channels_last: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    n, c, i, j, exists, _ = _places(channels, height, width, channels_last, block)
    place = ab + n * gn + c * gc + i * gh + j * gw
    a = tl.load(place, mask=exists, other=0.0).to(tl.float32)
    gate = tl.sigmoid(tl.load(place + channels * gc, mask=exists, other=0.0).to(tl.float32))
    g = tl.load(gradient + n * yn + c * yc + i * yh + j * yw, mask=exists, other=0.0).to(tl.float32)
    of_a, of_b = g * gate, g * a * gate * (1 - gate)
    place = of_ab + n * on + c * oc + i * oh + j * ow
    tl.store(place, of_a.to(of_ab.dtype.element_ty), mask=exists)
    tl.store(place + channels * oc, of_b.to(of_ab.dtype.element_ty), mask=exists)
