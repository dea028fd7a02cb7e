"""Shared by the tasks that draw or code pixels one after another: device, full float32 and progress bar."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from omegaconf import DictConfig

from pixelcnn.conditioning import Condition
from pixelcnn.conditioning.condition import on_device
from pixelcnn.execution import full_float32
from pixelcnn.launch.devices import one_device
from pixelcnn.model import PixelModel
from pixelcnn.report.words import plural
from pixelcnn.sampling.sampler import Temperature
from pixelcnn.training.progress import Line


@contextmanager
def coding(
    model: PixelModel, config: DictConfig, doing: str, count: int, pixels: int, image: str = "image"
) -> Iterator[Callable[[], None]]:
    """Prepare to code ``count`` images on the one device that ``trainer.*`` names, with a progress bar.

    Yields the function to call after each of ``pixels``, the pixels of all batches.
    """
    full_float32()
    model.to(torch.device(one_device(config.trainer)))
    with Line(f"{doing} {plural(count, image)}", pixels, images=count / max(pixels, 1)) as line:
        yield line.advanced


@contextmanager
def drawing(
    model: PixelModel, config: DictConfig, condition: Condition, image: str, count: int, pixels_each: int
) -> Iterator[dict[str, Any]]:
    """`coding` for ``model.sample`` or ``complete`` of ``count`` images; the bar calls one ``image``.

    Yields the arguments for either, from ``task.*`` and ``seed``, and the condition on the model's device.
    """
    task = config.task
    with coding(model, config, "drawing", count, -(-count // task.batch_size) * pixels_each, image) as on_pixel:
        yield {
            "condition": on_device(condition, next(model.parameters()).device),
            "seed": config.seed,
            "temperature": Temperature(task.mixture_temperature, task.scale_temperature),
            "batch_size": task.batch_size,
            "on_pixel": on_pixel,
        }
