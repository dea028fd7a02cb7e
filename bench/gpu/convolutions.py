"""The paper's convolutions by themselves in bf16, channels-last: TFLOP/s forward, and forward and backward."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.gpu.worker import Options, Report
from bench.measuring import seconds

# Channels in and out over the number of filters, rows, columns: of a block's first and second convolution in the u and
# the ul stream, the projection of short-cuts, and a block's change of width.
SHAPES = [(2, 1, 2, 3), (2, 2, 2, 3), (2, 1, 2, 2), (2, 2, 2, 2), (2, 1, 1, 1), (4, 1, 1, 1)]


def run(report: Report, options: Options) -> None:
    """At three sizes of the image, by batch, with cuDNN's search."""
    torch.backends.cudnn.benchmark = True
    filters, batches, sides = (4, (2,), (8,)) if options.cpu else (160, (16, 256), (32, 16, 8))
    for batch in batches:
        for side in sides:
            for wide_in, wide_out, rows, columns in SHAPES:
                if report.has(2):
                    shape = (wide_out * filters, wide_in * filters, rows, columns)
                    report.value(f"batch {batch}, {side}x{side}, kernel {shape}", _measure(options, batch, side, shape))


def _measure(options: Options, batch: int, side: int, shape: tuple[int, int, int, int]) -> str:
    device = torch.device(options.device)
    x = _random((batch, shape[1], side + shape[2] - 1, side + shape[3] - 1), device).requires_grad_()
    weight = nn.Parameter(_random(shape, device))
    flops = 2 * batch * side**2 * weight.numel()
    gradient = torch.randn_like(F.conv2d(x, weight))
    calls = 1 if options.cpu else 20

    def forward() -> None:
        with torch.no_grad():
            for _ in range(calls):
                F.conv2d(x, weight)

    def both() -> None:
        for _ in range(calls):
            x.grad = weight.grad = None
            F.conv2d(x, weight).backward(gradient)

    rates = []
    for call, passes in ((forward, 1), (both, 3)):
        call()
        rates.append(calls * passes * flops / min(seconds(call, device) for _ in range(3)) / 1e12)
    return f"{rates[0]:.3g} TFLOP/s forward, {rates[1]:.3g} forward and backward"


def _random(shape: tuple[int, int, int, int], device: torch.device) -> Tensor:
    values = torch.randn(shape, device=device, dtype=torch.bfloat16)
    return values.contiguous(memory_format=torch.channels_last)
