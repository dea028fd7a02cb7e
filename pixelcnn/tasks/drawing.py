"""What tasks that draw pixels share: the device, full float32, and a progress bar."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from omegaconf import DictConfig
from rich.progress import Progress
from torch import Tensor

from pixelcnn.execution import full_float32
from pixelcnn.launch.devices import one_device
from pixelcnn.model import PixelModel
from pixelcnn.sampling.sampler import Temperature


@contextmanager
def drawing(
    model: PixelModel, config: DictConfig, condition: Tensor | None, images: str, count: int, pixels: int
) -> Iterator[dict[str, Any]]:
    """Within it ``count`` ``images`` are drawn, of ``pixels`` each, by ``model.sample`` or ``complete``.

    Yields the arguments that ``task.*`` and ``seed`` have for either, and the condition on the model's device, the one
    that ``trainer.*`` names.
    """
    full_float32()
    task, device = config.task, torch.device(one_device(config.trainer))
    model.to(device)
    with Progress() as progress:
        bar = progress.add_task(f"{count} {images}", total=-(-count // task.batch_size) * pixels)
        yield {
            "condition": None if condition is None else condition.to(device),
            "seed": config.seed,
            "temperature": Temperature(task.mixture_temperature, task.scale_temperature),
            "batch_size": task.batch_size,
            "on_pixel": partial(progress.advance, bar),
        }
