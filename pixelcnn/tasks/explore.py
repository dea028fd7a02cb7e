"""``task=explore``: serves a page on this machine to draw, complete and score images."""

import threading
from pathlib import Path

import torch
from omegaconf import DictConfig

from pixelcnn.checkpoint import load
from pixelcnn.configuration.description import require_agreement
from pixelcnn.configuration.groups import instantiated, trusted_packages
from pixelcnn.data.base import ImageDataModule
from pixelcnn.errors import UserError
from pixelcnn.execution import full_float32
from pixelcnn.explore.explorer import Explorer
from pixelcnn.launch.devices import one_device
from pixelcnn.model import PixelModel


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> None:
    """Serve the page until Ctrl-C."""
    full_float32()
    task = config.task
    device = torch.device(one_device(config.trainer))
    model = load(config.checkpoint, trusted_packages(config)).to(device)
    require_agreement(model.description, config.checkpoint, config, overrides)
    models = {config.checkpoint: model}
    if task.beside is not None:
        models[task.beside] = load(task.beside, trusted_packages(config), "task.beside").to(device)
        require_same_images(model, models[task.beside], config)
    data = images_there(config, model)
    explorers = [
        Explorer(name, each, data) for name, each in zip(short_names(list(models)), models.values(), strict=True)
    ]
    try:
        from pixelcnn.explore.page import page_of, serve
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise UserError("task=explore needs gradio: pip install -r requirements-explore.txt.") from error
    blocks = page_of(explorers, data)
    print(f"Open {serve(blocks, task.host, task.port)} in a browser. Ctrl-C ends it.", flush=True)
    try:
        wait()
    except KeyboardInterrupt:
        print("Ended.")
    finally:
        blocks.close(verbose=False)


def wait() -> None:
    """Until Ctrl-C."""
    threading.Event().wait()


def require_same_images(model: PixelModel, other: PixelModel, config: DictConfig) -> None:
    """Raise UserError unless both models have the same images and classes."""
    told = f"task.beside={config.task.beside} and checkpoint={config.checkpoint} are models of"
    if model.image != other.image:
        raise UserError(f"{told} different images, {other.image} and {model.image}: give two of the same.")
    classes = {each.num_classes for each in (model, other)} - {None}
    if len(classes) > 1:
        raise UserError(f"{told} different classes, {other.num_classes} and {model.num_classes}: give two of the same.")


def images_there(config: DictConfig, model: PixelModel) -> ImageDataModule | None:
    """The data set if its test images are on this machine and fit the model; else print why not."""
    try:
        data: ImageDataModule = instantiated(config, "data")
        data.setup("test")
    except (UserError, OSError) as error:
        print(f"The page has no test images to choose from: {error}")
        return None
    if data.shape != model.image:
        print(f"The page has no test images to choose from: data has {data.shape}, the model {model.image}.")
        return None
    return data


def short_names(paths: list[str]) -> list[str]:
    """The last component in which ``paths`` differ; for checkpoints of runs, the run's directory."""
    parts = [Path(path).parts for path in paths]
    if len(parts) == 1:
        folders = [part for part in parts[0] if part != "checkpoints"]
        return ["/".join(folders[-2:])]
    differing = [[part for part in own if part not in other] or list(own[-1:]) for own, other in (parts, parts[::-1])]
    return ["/".join(each[-2:]) for each in differing]
