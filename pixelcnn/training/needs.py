"""What training a model takes: memory counted off one image's pass, seconds measured on a few and extrapolated."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pixelcnn.model import PixelModel
from pixelcnn.objective import Objective

# Of float32 for each parameter: the weight, its gradient, Adam's two moments and the moving average.
COPIES = 5
FLOAT32 = 4  # bytes

Tick = Callable[[int], None]


@dataclass(frozen=True)
class Memory:
    """Bytes that training keeps on a device, beside what single operations take for a moment."""

    state: int  # weights, normalised too, gradients, moments and average
    activations_of_an_image: int  # what the forward pass leaves for the backward one

    def for_images(self, count: int) -> int:
        """All bytes with ``count`` images on the device."""
        return self.state + count * self.activations_of_an_image


@dataclass(frozen=True)
class Pace:
    """A forward and a backward pass of ``images`` images at once took ``seconds``."""

    images: int
    seconds: float

    def for_images(self, count: int) -> float:
        """Seconds for ``count`` images at once, as if they took as long each."""
        return self.seconds * count / self.images


def memory_of(model: PixelModel, objective: Objective, batch: Mapping[str, Tensor]) -> Memory:
    """Counted in forward passes of one image and of two; ``batch`` is of one, which is repeated."""
    one, two = (_kept(model, objective, _repeated(batch, images)) for images in (1, 2))
    count = sum(parameter.numel() for parameter in model.parameters())
    # What does not grow with the images, such as normalised weights, belongs to the state.
    return Memory(COPIES * FLOAT32 * count + 2 * one - two, two - one)


def _kept(model: PixelModel, objective: Objective, batch: Mapping[str, Tensor]) -> int:
    """Bytes that a forward pass keeps for the backward one, each tensor once, beside the parameters."""
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = objective.losses(model, batch, noise_seed=None).sum()
    del loss  # until here the graph has kept the storages, and no two had the same address
    return sum(kept.values())


def pace_of(
    model: PixelModel, objective: Objective, batch: Mapping[str, Tensor], seconds: float, most: int, tick: Tick
) -> Pace:
    """Measured on 1, 2, 4, … images, at most ``most``, until about ``seconds`` are spent; the largest number counts.

    ``batch`` is of one image, which is repeated; ``tick`` is told each number.
    """
    _timed(model, objective, batch, 1)  # what happens once, and the first touch of memory
    began, images = time.perf_counter(), 1
    while True:
        tick(images)
        pace = Pace(images, _timed(model, objective, batch, images))
        # Twice as many take up to twice as long.
        if 2 * images > most or time.perf_counter() - began + 2 * pace.seconds > seconds:
            return pace
        images *= 2


def _timed(model: PixelModel, objective: Objective, batch: Mapping[str, Tensor], images: int) -> float:
    repeated = _repeated(batch, images)
    began = time.perf_counter()
    objective.losses(model, repeated, noise_seed=None).sum().backward()
    if next(model.parameters()).is_cuda:
        torch.cuda.synchronize()
    elapsed = time.perf_counter() - began
    model.zero_grad(set_to_none=True)
    return elapsed


def _repeated(batch: Mapping[str, Tensor], images: int) -> dict[str, Tensor]:
    return {name: values.repeat_interleave(images, dim=0) for name, values in batch.items()}
