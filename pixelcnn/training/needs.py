"""The memory that training a model takes, counted from forward passes of one image and of two."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pixelcnn.model import PixelModel
from pixelcnn.objective import Objective

# float32 numbers per parameter: the weight, its gradient, Adam's two moments and the EMA.
COPIES = 5
FLOAT32 = 4  # bytes


@dataclass(frozen=True)
class Memory:
    """Bytes that training keeps on a device, without the temporary memory of single operations."""

    state: int  # weights, raw and normalised, gradients, moments and EMA
    activations_of_an_image: int  # what the forward pass leaves for the backward one

    def for_images(self, count: int) -> int:
        """All bytes with ``count`` images on the device."""
        return self.state + count * self.activations_of_an_image


def memory_of(model: PixelModel, objective: Objective, batch: Mapping[str, Tensor]) -> Memory:
    """Counted in forward passes of one image and of two; ``batch`` is of one, which is repeated."""
    one, two = (_kept(model, objective, _repeated(batch, images)) for images in (1, 2))
    count = sum(parameter.numel() for parameter in model.parameters())
    # Memory that does not grow with the images, such as normalised weights, counts as state.
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
    del loss  # until here the graph kept the storages alive, so no two shared an address
    return sum(kept.values())


def _repeated(batch: Mapping[str, Tensor], images: int) -> dict[str, Tensor]:
    return {name: values.repeat_interleave(images, dim=0) for name, values in batch.items()}
