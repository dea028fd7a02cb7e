"""``task=info``: what is here, what is missing, and what training the configured model would take here."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import Progress

from pixelcnn.configuration.data import data_module
from pixelcnn.configuration.description import SIZES, describe
from pixelcnn.configuration.devices import one_device, processes
from pixelcnn.configuration.objective import require_trainable
from pixelcnn.configuration.trainer import trainer_options
from pixelcnn.errors import UserError
from pixelcnn.model import PixelModel, build
from pixelcnn.options import ClassOptions, ImageShape
from pixelcnn.training.machine import EXTRAS, gpus, installed, processor, versions
from pixelcnn.training.needs import Memory, Pace, memory_of, pace_of
from pixelcnn.training.objective import build_objective
from pixelcnn.training.wandb_run import why_not_logged_in

CLASSES = 10  # of a class-conditional model where nothing is said; they matter little
PAPER_STEPS = 5000 * (50_000 // 128)  # the original's epochs of CIFAR-10


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> None:
    """Print what is found, and write it to ``info.json``."""
    found: dict[str, Any] = {"versions": versions(), "processor": processor(), "gpus": gpus()}
    _print("Environment", (f"{name} {number or 'is not installed'}" for name, number in found["versions"].items()))
    _print("Devices", _devices(found["processor"], found["gpus"]))
    account = why_not_logged_in()
    _print("Weights & Biases", [account or "logged in: runs are online where its server answers"])
    found["extras"] = {file: all(map(installed, packages)) for file, (_, packages) in EXTRAS.items()}
    _print("Extras", (_extra(file, there) for file, there in found["extras"].items()))
    found["data"] = data_sets(config)
    _print("Data sets", (f"data={name:<15} {told}" for name, told in found["data"].items()))
    found["model"] = needs(config)
    (run_dir / "info.json").write_text(json.dumps({**found, "wandb": account}, indent=2) + "\n")


def data_sets(config: DictConfig) -> dict[str, str]:
    """For each option of ``data`` where its images are, or how to get them; the chosen one's by its own keys."""
    context = HydraConfig.get()
    chosen = context.runtime.choices["data"]
    folder = next(Path(source.path) for source in context.runtime.config_sources if source.provider == "main")
    told = {}
    for name in sorted(path.stem for path in (folder / "data").glob("*.yaml")):
        options = config.data if name == chosen else compose("config", [f"data={name}"]).data
        try:
            told[name] = f"is there: {data_module(options).where()}"
        except UserError as error:
            told[name] = f"is missing: {error}"
    return told


def needs(config: DictConfig) -> dict[str, Any]:
    """Print and return what the configured model takes: parameters, bytes, seconds a step and days.

    In float32, neither compiled nor with activation checkpointing.
    """
    options, batch_size = trainer_options(config), config.data.batch_size
    devices = processes(options) * options.num_nodes
    a_device = -(-batch_size // devices)
    model, batch = model_and_batch(config)
    objective = build_objective(**config.objective)
    device = torch.device(one_device(options))
    model.to(device)
    batch = {name: values.to(device) for name, values in batch.items()}
    memory = memory_of(model, objective, batch)
    there = torch.cuda.mem_get_info()[1] if device.type == "cuda" else processor()["memory"]
    most = max(1, (there // 2 - memory.state) // memory.activations_of_an_image)
    pace = None
    if config.task.seconds > 0:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task("a first pass", total=None)
            tell = lambda images: progress.update(bar, description=f"timing {images} images")  # noqa: E731
            pace = pace_of(model, objective, batch, config.task.seconds, min(a_device, most), tell)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    size = config.task.image_size
    kind = "GPU" if device.type == "cuda" else "CPU"
    title = f"model={config.model.name} on {size}x{size} RGB images, data.batch_size={batch_size}"
    steps = config.trainer.max_steps if config.trainer.max_steps > 0 else PAPER_STEPS
    shared = f", {a_device} images on each of {devices} devices" if devices > 1 else ""
    lines = [f"{parameters:,} parameters", *_memory_told(memory, a_device, there, kind)]
    lines += [] if pace is None else _pace_told(pace, a_device, steps, kind)
    _print(title + shared, lines)
    seconds = None if pace is None else pace.for_images(a_device)
    return {
        "parameters": parameters,
        "batch_size": batch_size,
        "devices": devices,
        "memory": {**asdict(memory), "of_a_step": memory.for_images(a_device)},
        "seconds_a_step": seconds,
        "measured": None if pace is None else asdict(pace),
        "days": None if seconds is None else seconds * steps / 86400,
        "steps": steps,
    }


def model_and_batch(config: DictConfig) -> tuple[PixelModel, dict[str, torch.Tensor]]:
    """The configured model for RGB images of ``task.image_size``, and one such image with all kinds of conditions.

    UserError where the number of a condition's features is left to a data set.
    """
    require_trainable(OmegaConf.to_object(config.objective), OmegaConf.to_object(config.likelihood))
    conditioning: Any = OmegaConf.to_object(config.conditioning)
    kind, size = type(conditioning), config.task.image_size
    if kind in SIZES and kind is not ClassOptions and conditioning.num_features is None:
        raise UserError("conditioning.num_features is the data set's, which task=info does not read: give a number.")
    model = build(describe(config, ImageShape(3, size, size), {"labels": CLASSES}))
    features = getattr(conditioning, "num_features", None) or 1
    batch = {
        "images": torch.randint(0, 256, (1, 3, size, size), dtype=torch.uint8),
        "index": torch.zeros(1, dtype=torch.int64),
        "labels": torch.zeros(1, dtype=torch.int64),
        "embeddings": torch.zeros(1, features),
        "maps": torch.zeros(1, features, size, size),
    }
    return model, batch


def _print(title: str, lines: Iterable[str]) -> None:
    print(title, *(f"  {line}" for line in lines), "", sep="\n", flush=True)


def _devices(cpu: dict[str, Any], found: list[dict[str, Any]]) -> list[str]:
    allowed = "" if cpu["cores_allowed"] == cpu["cores"] else f" ({cpu['cores_allowed']} of them for this process)"
    lines = [
        f"CPU {cpu['model']}, {cpu['cores']} cores{allowed}, {cpu['threads']} threads in use, "
        f"{_bytes(cpu['memory'])} of memory, {_bytes(cpu['memory_available'])} free"
    ]
    lines += [f"GPU {i}: {gpu['name']}, {_bytes(gpu['memory'])}" for i, gpu in enumerate(found)]
    return lines if found else [*lines, "no GPU that PyTorch can use"]


def _extra(file: str, there: bool) -> str:
    purpose, _ = EXTRAS[file]
    return f"{purpose}: " + ("installed" if there else f"not installed; pip install -r {file}")


def _memory_told(memory: Memory, images: int, there: int, device: str) -> list[str]:
    need = memory.for_images(images)
    lines = [
        f"{_bytes(memory.state)} for weights, gradients, Adam and average, {_bytes(memory.activations_of_an_image)} "
        f"of activations for each image: {_bytes(need)} for {images} images (counted; single operations take more)"
    ]
    if need > there:
        fit = max(0, (there - memory.state) // memory.activations_of_an_image)
        lines.append(f"That is more than the {device}'s {_bytes(there)}, which holds {fit} images at a time.")
    return lines


def _pace_told(pace: Pace, images: int, steps: int, device: str) -> list[str]:
    seconds = pace.for_images(images)
    how = "measured" if pace.images == images else f"extrapolated from {pace.images} in {pace.seconds:.2f} s"
    return [
        f"{_number(seconds)} s a step of {images} images on the {device} ({how})",
        f"{_number(seconds * steps / 86400)} days for {steps:,} steps"
        + (", the original's 5,000 epochs of CIFAR-10" if steps == PAPER_STEPS else ""),
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _bytes(count: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
