"""The machine as PyTorch sees it: versions, processors, memory, GPUs."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "hydra-core", "omegaconf", "wandb", "numpy")
# Optional, by the file that installs them: what they are for, and the packages.
EXTRAS = {
    "requirements-huggingface.txt": ("data=huggingface", ("datasets",)),
    "requirements-sweeps.txt": (
        "sweep=optuna, hydra/launcher=joblib and submitit",
        ("hydra-optuna-sweeper", "hydra-joblib-launcher", "hydra-submitit-launcher"),
    ),
    "requirements-tensorboard.txt": ("logger=tensorboard", ("tensorboard",)),
    "requirements-tensorflow.txt": ("task=import of TensorFlow checkpoints", ("tensorflow-cpu",)),
}


def versions() -> dict[str, str | None]:
    """Of Python and of what the project stands on; None for what is not installed."""
    return {"python": platform.python_version(), **{name: installed(name) for name in PACKAGES}}


def installed(package: str) -> str | None:
    """The version of ``package`` (``tensorflow-cpu`` may be ``tensorflow``), None where it is not installed."""
    for name in (package, package.removesuffix("-cpu")):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def processor() -> dict[str, Any]:
    """Model, cores (of the machine, and those this process may use), PyTorch's threads, memory in bytes."""
    page = os.sysconf("SC_PAGE_SIZE")
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "model": _processor_name(),
        "cores": os.cpu_count(),
        "cores_allowed": allowed,
        "threads": torch.get_num_threads(),
        "memory": page * os.sysconf("SC_PHYS_PAGES"),
        "memory_available": _available() or page * os.sysconf("SC_PHYS_PAGES"),
    }


def gpus() -> list[dict[str, Any]]:
    """Name and memory in bytes of each GPU that PyTorch can use."""
    found = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return [{"name": gpu.name, "memory": gpu.total_memory} for gpu in found]


def _processor_name() -> str:
    table = Path("/proc/cpuinfo")
    lines = table.read_text().splitlines() if table.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _available() -> int | None:
    """Bytes that programs could still have, where the system tells (Linux)."""
    table = Path("/proc/meminfo")
    lines = table.read_text().splitlines() if table.is_file() else []
    told = (int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    return next(told, None)
