"""Shared by the tasks that draw pixels: device, full float32 and progress bar."""

from collections.abc import Iterator
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
def drawing(
    model: PixelModel, config: DictConfig, condition: Condition, image: str, count: int, pixels_each: int
) -> Iterator[dict[str, Any]]:
    """Prepare to draw ``count`` images by ``model.sample`` or ``complete``, with a progress bar in units of ``image``.

    Yields the arguments for either, from ``task.*`` and ``seed``, and the condition on the device of ``trainer.*``.
    """
    full_float32()
    task, device = config.task, torch.device(one_device(config.trainer))
    model.to(device)
    pixels = -(-count // task.batch_size) * pixels_each
    with Line(f"drawing {plural(count, image)}", pixels, images=count / pixels) as line:
        yield {
            "condition": on_device(condition, device),
            "seed": config.seed,
            "temperature": Temperature(task.mixture_temperature, task.scale_temperature),
            "batch_size": task.batch_size,
            "on_pixel": line.advanced,
        }
