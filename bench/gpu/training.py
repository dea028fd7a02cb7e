"""The paper's training step in bf16: milliseconds, images/s, share of the peak, memory and kernels."""

import torch

from bench.gpu.steps import Measured, captured, ways
from bench.gpu.worker import Options, Report
from pixelcnn.training.arithmetic import matmul_peak

GOALS = {256: 0.40, 16: 0.25}  # share of the measured peak, by batch


def run(report: Report, options: Options) -> None:
    """By batch and way of execution: eager in both orders of memory, cuDNN's search, replayed as a CUDA graph."""
    device = torch.device(options.device)
    peak = matmul_peak(device, torch.bfloat16, 0.001 if options.cpu else 0.5)
    report.value("peak_bf16_tflops", peak / 1e12)
    for batch in (2,) if options.cpu else (16, 64, 256):
        best = 0.0
        for way, make in ways().items():
            if report.has(15):
                measured = report.attempt(f"batch {batch}, {way}", Measured.of, make, batch, options, peak)
                best = max(best, _say(report, f"batch {batch}, {way}", measured))
        if not options.cpu and report.has(15):
            measured = report.attempt(f"batch {batch}, captured", Measured.of, captured, batch, options, peak)
            best = max(best, _say(report, f"batch {batch}, captured", measured))
        report.value(f"batch {batch}: best share of the peak", best)


def _say(report: Report, name: str, measured: Measured | None) -> float:
    if measured is None:
        return 0.0
    report.value(name, measured.line())
    return measured.share
