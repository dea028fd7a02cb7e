"""``run.json``: what made a run."""

import json
import math
import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import nn

from pixelcnn.durable import replacing
from pixelcnn.weights_hash import weights_hash

PACKAGES = ("pixelcnn", "torch", "torchvision", "pytorch-lightning", "torchmetrics", "hydra-core", "wandb", "numpy")


def run_record(model: nn.Module, device: torch.device) -> dict[str, Any]:
    """Command, working directory, versions, git revision, number of parameters and device, as plain values."""
    return {
        "command": shlex.join([sys.executable, *sys.argv]),
        "directory": os.getcwd(),
        "host": platform.node(),
        "system": platform.platform(),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "git_revision": git_revision(Path(__file__).parent),
        "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "device": _described(device),
    }


class RankRecord(Callback):
    """Adds ``ranks`` to the record at ``path``: for each rank its overrides, the world size and hashes of its weights.

    The hashes are of the weights at the start and at the end of training; the latter are null unless the run finishes.
    """

    def __init__(self, path: Path, overrides: list[str]) -> None:
        self.path = path
        self.overrides = overrides
        self._initial: str | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._initial = weights_hash(pl_module)
        self._write(trainer, None)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer, weights_hash(pl_module))

    def _write(self, trainer: Trainer, final: str | None) -> None:
        place = {"rank": trainer.global_rank, "world_size": trainer.world_size}
        hashes = {"initial_weights": self._initial, "final_weights": final}
        ranks = _of_all_ranks({**place, "overrides": self.overrides, **hashes})
        if trainer.is_global_zero:
            write_record(self.path, {**json.loads(self.path.read_text()), "ranks": ranks})


def _of_all_ranks(value: dict[str, Any]) -> list[dict[str, Any]]:
    """``value`` of each rank, in their order."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [value]
    values: list[dict[str, Any]] = [{}] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write ``record`` as JSON, in which a number that is not finite is null."""
    with replacing(path) as file:
        file.write((json.dumps(_finite(record), indent=2, allow_nan=False) + "\n").encode())


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


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
