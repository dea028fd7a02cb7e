"""``task=info``: prints versions and data sets, and what training the configured model takes."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from omegaconf import DictConfig

from pixelcnn.conditioning import Conditioning
from pixelcnn.conditioning.several import MAPPED, kinds_of
from pixelcnn.configuration.description import describe
from pixelcnn.configuration.groups import checked_group, instantiated
from pixelcnn.configuration.trainer import planned_steps
from pixelcnn.errors import OutOfRangeError, UserError
from pixelcnn.image_shape import ImageShape
from pixelcnn.launch.devices import one_device, processes
from pixelcnn.memory_limit import available_memory
from pixelcnn.model import PixelModel, build
from pixelcnn.training.arithmetic import training_flops
from pixelcnn.training.needs import memory_of
from pixelcnn.training.record import run_record, write_record

RGB = ImageShape(3, 32, 32)  # counted for if the data set is missing, with ten classes
CLASSES = 10


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> None:
    """Print everything and write it to ``info.json``."""
    there = data_sets(config)
    image, sizes, batches, why = shape_of_data(config)
    model = build(describe(config, image, sizes))
    device = torch.device(one_device(config.trainer))
    record = run_record(model, device)
    _print("Environment", [f"{name} {number}" for name, number in record["versions"].items() if number])
    _print("Device", [record["device"]])
    _print("Data sets", (f"data={name:<15} {told}" for name, told in there.items()))
    needs = needs_of(config, model, batches)
    lines = [f"for images of {image}{why}", *told_of(needs, memory_there(device))]
    _print(f"model={model.description.network.name}", lines)
    write_record(run_dir / "info.json", {**record, "data": there, "image": asdict(image), "model": needs})


def data_sets(config: DictConfig) -> dict[str, str]:
    """For each option of ``data``, including a user's own, where its images are or how to get them. The chosen option
    uses its own keys; UserError if one is out of range."""
    chosen = HydraConfig.get().runtime.choices["data"]
    told = {}
    for name in GlobalHydra.instance().config_loader().get_group_options("data", ObjectType.CONFIG):
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


def shape_of_data(config: DictConfig) -> tuple[ImageShape, dict[str, int], int | None, str]:
    """The shape of the data set's images, its ``condition_sizes``, the batches per epoch, and a remark about them.

    Nothing is downloaded: if the images are missing, those of `RGB` are assumed.
    """
    size = config.task.image_size
    if size is not None:
        return ImageShape(3, size, size), {"labels": CLASSES}, None, ", as task.image_size asks"
    try:
        data = instantiated(config, "data")
        data.setup("fit")
    except OutOfRangeError:
        raise
    except (UserError, OSError):
        if is_here(config):
            raise
        return RGB, {"labels": CLASSES}, None, ", since the data set is not here"
    return data.shape, data.condition_sizes, data.batches_per_epoch, ""


def is_here(config: DictConfig) -> bool:
    """Whether the data set's files are there."""
    try:
        instantiated(config, "data").where()
    except UserError:
        return False
    return True


def needs_of(config: DictConfig, model: PixelModel, batches: int | None) -> dict[str, Any]:
    """What training takes in float32 without activation checkpointing: parameters, FLOP, bytes per device, steps."""
    batch_size = config.data.batch_size
    a_device = -(-batch_size // (processes(config.trainer) * config.trainer.num_nodes))
    memory = memory_of(model, instantiated(config, "objective"), an_image(model))
    flops = training_flops(model)
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "flop_of_an_image": flops,
        "flop_of_a_step": flops * batch_size,
        "batch_size": batch_size,
        "images_on_a_device": a_device,
        "memory": {**asdict(memory), "of_a_step": memory.for_images(a_device)},
        "steps_per_epoch": None if batches is None else -(-batches // config.trainer.accumulate_grad_batches),
        "steps": None if batches is None else planned_steps(config.trainer, batches),
    }


def an_image(model: PixelModel) -> dict[str, torch.Tensor]:
    """A batch of one image with the conditions that the model takes."""
    image = model.image
    conditions = {key: _a_condition(key, kind, image) for key, kind in kinds_of(model.conditioning).items()}
    return {
        **conditions,
        "images": torch.randint(0, image.levels, (1, image.channels, image.height, image.width), dtype=image.dtype),
        "index": torch.zeros(1, dtype=torch.int64),
    }


def _a_condition(key: str, kind: Conditioning, image: ImageShape) -> torch.Tensor:
    if key == "labels":
        return torch.zeros(1, dtype=torch.int64)
    if key == "coarse":
        return torch.zeros(1, image.height, image.width, dtype=torch.int32)
    return torch.zeros(1, kind.features, *((image.height, image.width) if key in MAPPED else ()))


def memory_there(device: torch.device) -> int | None:
    """Bytes of the GPU, or those available to this process; None if unknown."""
    return torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else available_memory()


def told_of(needs: dict[str, Any], there: int | None) -> list[str]:
    """The lines about ``needs``, on a device of ``there`` bytes."""
    memory, images = needs["memory"], needs["images_on_a_device"]
    state, each, all_ = (_bytes(memory[name]) for name in ("state", "activations_of_an_image", "of_a_step"))
    lines = [
        f"{needs['parameters']:,} parameters",
        f"{needs['flop_of_an_image']:.3g} FLOP per image, forward and backward; {needs['flop_of_a_step']:.3g} "
        f"per step of {needs['batch_size']} images",
        f"{state} for weights, gradients, Adam and EMA, {each} of activations per image: {all_} for {images} "
        "images on a device (counted; single operations take more)",
    ]
    if there is not None and memory["of_a_step"] > there:
        lines.append(f"That is more than the {_bytes(there)} available.")
    if needs["steps_per_epoch"] is not None:
        steps = "no limit" if needs["steps"] is None else f"{needs['steps']:,} in all"
        lines.append(f"{needs['steps_per_epoch']:,} steps per epoch, {steps}")
    return lines


def _print(title: str, lines: Iterable[str]) -> None:
    print(title, *(f"  {line}" for line in lines), "", sep="\n", flush=True)


def _bytes(count: int) -> str:
    return f"{count / 10**9:.3g} GB" if count >= 10**9 else f"{count / 10**6:.3g} MB"
