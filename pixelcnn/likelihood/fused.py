"""A Triton kernel that draws a pixel from a mixture of logistics.

For GPUs, where a draw's forty small operations would each be a kernel. `CoupledLogistics.sample` defines what is
computed, in float64, and chooses.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from pixelcnn.image_shape import tensor_type

IMAGES = 16  # of a program


def draw_levels(parameters: Tensor, uniforms: Tensor, channels: int, levels: int, min_log_scale: float) -> Tensor:
    """Integers (N, C): one pixel of each of N images, from float64 parameters (N, P) and uniforms (N, M + C)."""
    n, mixtures = len(parameters), uniforms.shape[1] - channels
    drawn = torch.empty(n, channels, dtype=tensor_type(levels), device=parameters.device)
    with torch.cuda.device_of(parameters):
        _draw[(triton.cdiv(n, IMAGES),)](
            parameters,
            uniforms,
            drawn,
            n,
            *parameters.stride(),
            *uniforms.stride(),
            levels,
            min_log_scale,
            mixtures=mixtures,
            padded=triton.next_power_of_2(mixtures),
            channels=channels,
            images=IMAGES,
        )
    return drawn


@triton.jit
def _tanh(v):
    return 1 - 2 / (tl.exp(2 * v) + 1)


@triton.jit
def _drawn(own, u, exists, step, min_log_scale):
    """The value of a channel without its couplings; ``own`` points to the component's mean, its log-scale follows."""
    mean = tl.load(own, mask=exists, other=0.0)
    log_scale = tl.load(own + step, mask=exists, other=0.0)
    u = tl.load(u, mask=exists, other=0.5)
    scale = tl.exp(tl.where(log_scale < min_log_scale, min_log_scale, log_scale))
    return mean + scale * (tl.log(u) - tl.log(1 - u))


@triton.jit
def _level(x, half):
    level = tl.floor(x * half + half + 0.5)
    return tl.minimum(tl.maximum(level, 0.0), 2 * half)


@triton.jit
def _draw(
    parameters, uniforms, drawn,
    n, pn, pp, un, up, levels, min_log_scale,
    mixtures: tl.constexpr, padded: tl.constexpr, channels: tl.constexpr, images: tl.constexpr,
):  # fmt: skip
    image = tl.program_id(0) * images + tl.arange(0, images)
    exists, component = image < n, tl.arange(0, padded)
    parameters, uniforms = parameters + image * pn, uniforms + image * un
    there = exists[:, None] & (component < mixtures)[None, :]
    logits = tl.load(parameters[:, None] + component[None, :] * pp, mask=there, other=-float("inf"))
    u = tl.load(uniforms[:, None] + component[None, :] * up, mask=there, other=0.5)
    chosen = tl.argmax(logits - tl.log(-tl.log(u)), axis=1)

    half = (levels - 1) / 2.0
    step = mixtures * pp  # from one kind of parameter to the next
    own, u = parameters + chosen * pp + step, uniforms + mixtures * up
    red = _level(_drawn(own, u, exists, step, min_log_scale), half)
    drawn += image * channels
    tl.store(drawn, red.to(tl.int32).to(drawn.dtype.element_ty), mask=exists)
    if channels == 3:
        a = _tanh(tl.load(own + 2 * step, mask=exists, other=0.0))
        b = _tanh(tl.load(own + 5 * step, mask=exists, other=0.0))
        c = _tanh(tl.load(own + 8 * step, mask=exists, other=0.0))
        r = (red - half) / half
        green = _level(_drawn(own + 3 * step, u + up, exists, step, min_log_scale) + a * r, half)
        g = (green - half) / half
        blue = _level(_drawn(own + 6 * step, u + 2 * up, exists, step, min_log_scale) + b * r + c * g, half)
        tl.store(drawn + 1, green.to(tl.int32).to(drawn.dtype.element_ty), mask=exists)
        tl.store(drawn + 2, blue.to(tl.int32).to(drawn.dtype.element_ty), mask=exists)
