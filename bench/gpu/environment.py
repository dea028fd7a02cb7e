"""What this machine is, and what it can do at best."""

import platform

import torch
from torch import Tensor

from bench.gpu.worker import Options, Report
from bench.measuring import seconds
from pixelcnn.execution import full_float32
from pixelcnn.network.kernels import has_kernels
from pixelcnn.training.arithmetic import matmul_peak


def run(report: Report, options: Options) -> None:
    """Versions, memory, peak matmul throughput by precision, and memory bandwidth."""
    device = torch.device(options.device)
    report.value("python", platform.python_version())
    for name in ("torch", "triton", "pytorch_lightning", "torchmetrics", "numpy"):
        report.value(name, _version(name))
    if not options.cpu:
        properties = torch.cuda.get_device_properties(device)
        report.value("device", properties.name)
        report.value("multiprocessors", properties.multi_processor_count)
        report.value("memory_GB", properties.total_memory / 1e9)
        report.value("cuda", torch.version.cuda)
        report.value("cudnn", torch.backends.cudnn.version())
    report.value("runs Triton's kernels", has_kernels(torch.empty(1, device=device)))
    budget = 0.001 if options.cpu else 0.5
    for name, dtype, full in (
        ("float32", torch.float32, True),
        ("tf32", torch.float32, False),
        ("bf16", torch.bfloat16, True),
    ):
        full_float32(full)
        report.value(f"peak_{name}_tflops", matmul_peak(device, dtype, budget) / 1e12)
    full_float32()
    source = torch.randn(2**16 if options.cpu else 2**30, device=device)
    report.value("bandwidth_TB_per_second", _bandwidth(source, device))
    report.check("a product on the device is right", _product_is_right(device))


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name.replace("_", "-"))
    except PackageNotFoundError:
        return "none"


def _bandwidth(source: Tensor, device: torch.device) -> float:
    target = torch.empty_like(source)
    fastest = min(seconds(lambda: target.copy_(source), device) for _ in range(5))
    return 2 * source.nbytes / fastest / 1e12


def _product_is_right(device: torch.device) -> bool:
    a, b = torch.randn(64, 64), torch.randn(64, 64)
    return torch.allclose((a.to(device) @ b.to(device)).cpu(), a @ b, atol=1e-3)
