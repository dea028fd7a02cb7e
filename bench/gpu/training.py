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
    batches = (2,) if options.cpu else (16, 64, 256)
    runs = [(batch, way, make) for batch in batches for way, make in ways().items()]
    if not options.cpu:  # after the others, as a capture that fails may end the process
        runs += [(batch, "captured", captured) for batch in batches]
    best = dict.fromkeys(batches, 0.0)
    for batch, way, make in runs:
        name = f"batch {batch}, {way}"
        measured = report.attempt(name, Measured.of, make, batch, options, peak) if report.has(8) else None
        if measured is not None:
            report.value(name, measured.line())
            best[batch] = max(best[batch], measured.share)
    for batch, share in best.items():
        report.value(f"batch {batch}: best share of the peak", share)
