"""Triton kernels for what a block of PixelCNN++ computes at a pixel between its matrix products.

For GPUs, where a pixel's time is the number of its kernels: six small operations of a block become two.
`pixelcnn.sampling.rows` and the block's stepper define what is computed, in float32 or float64, and choose.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from pixelcnn.network.fused import expm1

BLOCK = 256  # values of a program


def write_concat_elu(value: Tensor, pixel: Tensor) -> None:
    """pixel (N, 2F) = concat_elu(value (N, F)); rows of ``pixel`` are contiguous."""
    n, channels = value.shape
    with torch.cuda.device_of(pixel):
        _concat_elu[(triton.cdiv(n * channels, BLOCK),)](
            value, pixel, n, channels, *value.stride(), pixel.stride(0), block=BLOCK
        )


def write_gated(x: Tensor, ab: Tensor, pixel: Tensor, activation: Tensor | None) -> None:
    """pixel (N, F) = x + a * sigmoid(b), x (N, F), ab (N, 2F) the two side by side; activation (N, 2F) = concat_elu of
    it. Rows of all but ``ab`` are contiguous."""
    n, channels = x.shape
    activates = activation is not None
    with torch.cuda.device_of(pixel):
        _gate[(triton.cdiv(n * channels, BLOCK),)](
            x,
            ab,
            pixel,
            activation if activates else pixel,
            n,
            channels,
            x.stride(0),
            *ab.stride(),
            pixel.stride(0),
            activation.stride(0) if activation is not None else 0,
            activates=activates,
            block=BLOCK,
        )


@triton.jit
def _elu(v):
    negative = tl.where(v > 0, 0.0, v)
    below = expm1(negative) if v.dtype == tl.float32 else tl.exp(negative) - 1
    return tl.where(v > 0, v, below)


@triton.jit
def _concat_elu(value, pixel, n, channels, vn, vc, pn, block: tl.constexpr):
    k = tl.program_id(0) * block + tl.arange(0, block)
    image, c = k // channels, k % channels
    exists = image < n
    v = tl.load(value + image * vn + c * vc, mask=exists, other=0.0)
    place = pixel + image * pn + c
    tl.store(place, _elu(v), mask=exists)
    tl.store(place + channels, _elu(-v), mask=exists)


@triton.jit
def _gate(
    x, ab, pixel, activation,
    n, channels, xn, gn, gc, pn, an,
    activates: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    k = tl.program_id(0) * block + tl.arange(0, block)
    image, c = k // channels, k % channels
    exists = image < n
    of_ab = ab + image * gn + c * gc
    a = tl.load(of_ab, mask=exists, other=0.0)
    b = tl.load(of_ab + channels * gc, mask=exists, other=0.0)
    v = tl.load(x + image * xn + c, mask=exists, other=0.0) + a / (1 + tl.exp(-b))
    tl.store(pixel + image * pn + c, v, mask=exists)
    if activates:
        place = activation + image * an + c
        tl.store(place, _elu(v), mask=exists)
        tl.store(place + channels, _elu(-v), mask=exists)
