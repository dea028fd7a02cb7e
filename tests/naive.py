"""Sampling as anyone would write it, a forward pass for each site, by the random numbers of `model.sample`."""

import itertools

import torch
from torch import Tensor

from pixelcnn.model import PixelModel
from pixelcnn.sampling.sampler import uniforms_of


@torch.no_grad()
def naive_samples(model: PixelModel, n: int, condition: Tensor | None = None, seed: int = 0) -> Tensor:
    """What ``model.sample(n, condition, seed)`` is to return."""
    shape, groups = model.image, model.likelihood.num_groups
    images = torch.zeros(n, shape.channels, shape.height, shape.width, dtype=shape.dtype)
    by_group = images.unflatten(1, (groups, -1))
    uniforms = uniforms_of(seed, range(n), (model.likelihood.num_uniforms, shape.height, shape.width))
    of_group = uniforms.unflatten(1, (groups, -1))
    for i, j, group in itertools.product(range(shape.height), range(shape.width), range(groups)):
        site = (slice(None), group, slice(None), slice(i, i + 1), slice(j, j + 1))
        parameters = model.pixel_parameters(images, condition).unflatten(1, (groups, -1))[site].double()
        by_group[site] = model.likelihood.sample_levels(parameters, of_group[site])
    return images
