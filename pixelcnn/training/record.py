"""What made a run: ``run.json``."""

import json
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

PACKAGES = ("pixelcnn", "torch", "torchvision", "pytorch-lightning", "torchmetrics", "hydra-core", "wandb", "numpy")


def run_record(model: nn.Module, device: torch.device) -> dict[str, Any]:
    """Command, versions, git revision, number of parameters and device, as plain values."""
    return {
        "command": shlex.join([sys.executable, *sys.argv]),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "git_revision": git_revision(Path(__file__).parent),
        "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "device": _described(device),
    }


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write ``record`` as JSON."""
    path.write_text(json.dumps(record, indent=2) + "\n")


def git_revision(folder: Path) -> str | None:
    """The commit that is checked out around ``folder``, "-dirty" if files were changed; None outside a checkout."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    except FileNotFoundError:  # no git
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a checkout that is not installed
        return None


def _described(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({platform.processor() or platform.machine()}, {torch.get_num_threads()} threads)"
