"""Where the time of a training step goes: its fifteen longest kernels."""

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from bench.gpu.models import random_images
from bench.gpu.steps import eager
from bench.gpu.worker import Options, Report
from bench.sampling import papers_model
from pixelcnn.execution import full_float32

SHOWN = 15


def run(report: Report, options: Options) -> None:
    """One step at batch 64, channels-last, bf16."""
    full_float32(False)
    model = papers_model(**options.size, side=options.side).train().to(options.device)
    images = random_images(2 if options.cpu else 64, options.side, options.side).to(options.device)
    step = eager(model, images)
    for _ in range(2):
        step()
    kind = ProfilerActivity.CPU if options.cpu else ProfilerActivity.CUDA
    with profile(activities=[kind]) as profiled:
        step()
        if not options.cpu:
            torch.cuda.synchronize()
    own = DeviceType.CPU if options.cpu else DeviceType.CUDA
    seen = [event for event in profiled.key_averages() if event.device_type == own]
    rows = sorted(seen, key=lambda event: -_microseconds(event, options))
    total = sum(_microseconds(event, options) for event in rows)
    report.value("milliseconds in kernels", total / 1000)
    for event in rows[:SHOWN]:
        share = _microseconds(event, options) / total
        report.value(event.key[:90], f"{_microseconds(event, options) / 1000:.3f} ms, {share:.1%}, {event.count} calls")
    report.check("kernels were seen", total > 0)


def _microseconds(event: object, options: Options) -> float:
    return event.self_cpu_time_total if options.cpu else event.self_device_time_total  # type: ignore[attr-defined]
