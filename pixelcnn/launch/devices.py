"""Refuses missing devices before anything is loaded."""

import os
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig

from pixelcnn.errors import UserError
from pixelcnn.launch.ranks import started_outside

PROCESSES_TO_TRY = 8  # allowed on any number of cores, to try out eight devices
FORMS = 'use a number, -1 or "auto" for all there are, or a list of which ones'


def check_devices(options: DictConfig) -> None:
    """Raise UserError if this machine lacks what ``trainer.accelerator`` and ``trainer.devices`` ask for.

    Lightning's ``auto`` replaces missing GPUs by as many CPU processes; here these need ``trainer.accelerator=cpu``.
    The names of ``trainer.accelerator`` and ``trainer.strategy`` are checked too. Apple's GPUs are refused, because
    they lack float64, in which scores are summed and pixels drawn.
    """
    _check_names(options)
    accelerator, wanted = options.accelerator, _wanted(options.devices)
    if accelerator == "cpu":
        if isinstance(wanted, list) or wanted == -1:
            raise UserError(f"trainer.devices={options.devices} is not a number of CPU processes: use a whole number.")
        most = max(os.cpu_count() or 1, PROCESSES_TO_TRY)
        if wanted is not None and wanted > most:
            raise UserError(
                f"trainer.devices={options.devices} is more CPU processes than the {os.cpu_count()} cores of "
                f"this machine: use at most {most}."
            )
    elif accelerator in ("auto", "gpu", "cuda"):
        check_gpus(options, _gpus())
    started, asked = started_outside(), processes(options) * options.num_nodes
    if asked > 1 and not _is_parallel(options.strategy):
        raise UserError(
            f"trainer.strategy={options.strategy} trains on one device, but trainer.devices={options.devices} and "
            f"trainer.num_nodes={options.num_nodes} ask for {asked}: use ddp, or one device."
        )
    if started > 1 and started != asked:
        raise UserError(
            f"trainer.devices={options.devices} and trainer.num_nodes={options.num_nodes} ask for {asked} processes, "
            f"but torchrun or srun has started {started}: "
            "use the numbers of devices of one machine and of machines."
        )


def _check_names(options: DictConfig) -> None:
    from pytorch_lightning.accelerators import AcceleratorRegistry
    from pytorch_lightning.strategies import StrategyRegistry

    accelerator, strategy = options.accelerator, options.strategy
    names = ["auto", "gpu", *sorted(AcceleratorRegistry.available_accelerators())]
    if accelerator not in names:
        raise UserError(f"trainer.accelerator={accelerator} does not exist: choose one of {', '.join(names)}.")
    if accelerator == "mps":
        raise UserError("trainer.accelerator=mps has no float64, which scores and samples need: use the CPU, with cpu.")
    ours = ("auto", "gpu", "cpu", "cuda")
    if accelerator not in ours and not AcceleratorRegistry[accelerator]["accelerator"].is_available():
        raise UserError(
            f"trainer.accelerator={accelerator} is not available on this machine: choose one of {', '.join(ours)}."
        )
    if strategy.startswith("fsdp"):
        raise UserError(
            f"trainer.strategy={strategy} is not supported: its devices can disagree about which "
            "steps to skip. Use ddp."
        )
    methods = {name: StrategyRegistry[name]["init_params"].get("start_method") for name in StrategyRegistry}
    usable = ["auto", *(name for name, method in methods.items() if method in (None, "popen"))]
    if strategy in usable:
        return
    if strategy in methods:
        # Such processes are copies of this one without its checks, locks and logs, and would not train.
        raise UserError(
            f"trainer.strategy={strategy} starts processes by {methods[strategy]}, which is not supported: use ddp, "
            "which starts the command again for each."
        )
    raise UserError(f"trainer.strategy={strategy} does not exist: choose one of {', '.join(usable)}.")


def _is_parallel(strategy: str) -> bool:
    from pytorch_lightning.strategies import ParallelStrategy, StrategyRegistry

    return strategy == "auto" or issubclass(StrategyRegistry[strategy]["strategy"], ParallelStrategy)


def require_machines(options: DictConfig) -> None:
    """Raise UserError if several machines are requested but nothing started this run on them: it would wait."""
    if options.num_nodes > 1 and started_outside() == 1 and "MASTER_ADDR" not in os.environ:
        raise UserError(
            f"trainer.num_nodes={options.num_nodes} needs the command to be started on each machine: "
            "start it by torchrun or srun, or leave trainer.num_nodes out."
        )


def processes(options: DictConfig) -> int:
    """The number of processes per machine that ``options`` ask for, one per device."""
    wanted = _wanted(options.devices)
    if isinstance(wanted, list):
        return len(wanted)
    if wanted is None or wanted == -1:
        return 1 if options.accelerator == "cpu" else max(1, _gpus())
    return wanted


def one_device(options: DictConfig) -> str:
    """The device for tasks that use one: the first that ``options`` name; for ``auto`` a GPU if there is one."""
    wanted = _wanted(options.devices)
    if options.accelerator == "cpu" or not _gpus():
        return "cpu"
    return f"cuda:{wanted[0] if isinstance(wanted, list) else 0}"


def check_gpus(options: DictConfig, there: int) -> None:
    """Raise UserError if ``options`` ask for more GPUs than there are."""
    accelerator, given, wanted = options.accelerator, options.devices, _wanted(options.devices)
    asks_for_gpu = accelerator != "auto" or wanted not in (None, 1)
    if there == 0 and asks_for_gpu:
        key = f"trainer.accelerator={accelerator}" if accelerator != "auto" else f"trainer.devices={given}"
        processes = f" trainer.devices={wanted}" if isinstance(wanted, int) and wanted > 1 else " trainer.devices=1"
        raise UserError(
            f"{key} asks for GPUs, but PyTorch finds none on this machine: run on one with GPUs, "
            f"or on the CPU with trainer.accelerator=cpu{processes}."
        )
    last = wanted - 1 if isinstance(wanted, int) else max(wanted or [0])
    if there and last >= there:
        count = "one GPU" if there == 1 else f"{there} GPUs, 0 to {there - 1}"
        raise UserError(f"trainer.devices={given} is more than this machine has, {count}: use one of those.")


def _wanted(devices: Any) -> int | list[int] | None:
    """A number of devices (-1: all), or a list of their indices; None for Lightning's ``auto``."""
    if devices == "auto":
        return None
    if isinstance(devices, str):
        try:
            indices = [int(index) for index in devices.split(",") if index.strip()]
        except ValueError:
            indices = []
        # As in Lightning, "2" is a number of devices and "2," one of them.
        wanted = indices[0] if len(indices) == 1 and "," not in devices else indices
    else:
        wanted = devices
    if type(wanted) is int and (wanted >= 1 or wanted == -1):
        return wanted
    if isinstance(wanted, Sequence) and wanted and all(type(index) is int and index >= 0 for index in wanted):
        return list(wanted)
    raise UserError(f"trainer.devices={devices} does not say which devices: {FORMS}.")


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()
