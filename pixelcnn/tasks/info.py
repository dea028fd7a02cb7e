"""``task=info``: what is here, what is missing, and what training the configured model would take here."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import Progress

from pixelcnn.configuration.description import describe
from pixelcnn.configuration.groups import checked_group, instantiated, target_of
from pixelcnn.errors import OutOfRangeError, UserError
from pixelcnn.image_shape import ImageShape
from pixelcnn.launch.devices import one_device, processes
from pixelcnn.model import PixelModel, build
from pixelcnn.training.machine import EXTRAS, gpus, installed, processor, versions
from pixelcnn.training.needs import Memory, Pace, memory_of, pace_of
from pixelcnn.training.record import write_record
from pixelcnn.training.wandb_run import why_not_logged_in

CLASSES = 10  # of a class-conditional model where nothing is said; they matter little
PAPER_STEPS = 5000 * (50_000 // 128)  # the original's epochs of CIFAR-10


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> None:
    """Print what is found, and write it to ``info.json``."""
    there = data_sets(config)
    found: dict[str, Any] = {"versions": versions(), "processor": processor(), "gpus": gpus()}
    _print("Environment", (f"{name} {number or 'is not installed'}" for name, number in found["versions"].items()))
    _print("Devices", _devices(found["processor"], found["gpus"]))
    account = why_not_logged_in()
    _print("Weights & Biases", [account or "logged in: runs are online where its server answers"])
    found["extras"] = {file: all(map(installed, packages)) for file, (_, packages) in EXTRAS.items()}
    _print("Extras", (_extra(file, there) for file, there in found["extras"].items()))
    found["data"] = there
    _print("Data sets", (f"data={name:<15} {told}" for name, told in found["data"].items()))
    found["model"] = needs(config)
    write_record(run_dir / "info.json", {**found, "wandb": account})


def data_sets(config: DictConfig) -> dict[str, str]:
    """For each option of ``data`` where its images are, or how to get them; the chosen one's by its own keys, for which
    UserError where one is out of range."""
    context = HydraConfig.get()
    chosen = context.runtime.choices["data"]
    folder = next(Path(source.path) for source in context.runtime.config_sources if source.provider == "main")
    told = {}
    for name in sorted(path.stem for path in (folder / "data").glob("*.yaml")):
        try:
            composed = config
            if name != chosen:
                composed = compose("config", [f"data={name}"])
                checked_group(composed, "data")
            told[name] = f"is there: {instantiated(composed, 'data').where()}"
        except UserError as error:
            if name == chosen and isinstance(error, OutOfRangeError):
                raise
            told[name] = f"is missing: {error}"
    return told


def needs(config: DictConfig) -> dict[str, Any]:
    """Print and return what the configured model takes: parameters, bytes, seconds a step and days.

    In float32, neither compiled nor with activation checkpointing.
    """
    options, batch_size = config.trainer, config.data.batch_size
    devices = processes(options) * options.num_nodes
    a_device = -(-batch_size // devices)
    model, batch = model_and_batch(config)
    objective = instantiated(config, "objective")
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
    title = f"model={model.description.network.name} on {size}x{size} RGB images, data.batch_size={batch_size}"
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
    size, key = config.task.image_size, getattr(target_of(config, "conditioning"), "size_key", None)
    if key not in (None, "num_classes") and config.conditioning.get(key) is None:
        raise UserError(f"conditioning.{key} is the data set's, which task=info does not read: give a number.")
    model = build(describe(config, ImageShape(3, size, size), {"labels": CLASSES}))
    features = model.conditioning.features or 1
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
