"""Shared by the tasks that code pixels: device, full float32 and progress bar."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from omegaconf import DictConfig

from pixelcnn.execution import full_float32
from pixelcnn.launch.devices import one_device
from pixelcnn.model import PixelModel
from pixelcnn.report.words import plural
from pixelcnn.training.progress import Line


@contextmanager
def coding(model: PixelModel, config: DictConfig, doing: str, count: int, pixels: int) -> Iterator[Callable[[], None]]:
    """Prepare to code ``count`` images on the one device that ``trainer.*`` names, with a progress bar.

    Yields the function to call after each of ``pixels``, the pixels of all batches."""
    full_float32()
    model.to(torch.device(one_device(config.trainer)))
    with Line(f"{doing} {plural(count, 'image')}", pixels, images=count / max(pixels, 1)) as line:
        yield line.advanced
