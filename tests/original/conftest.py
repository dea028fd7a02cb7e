"""Sources such as the original's train.py leaves, made from a model with known weights."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from pixelcnn.conditioning import ClassLabels
from pixelcnn.model import PixelModel, build
from pixelcnn.original.checkpoint import AVERAGE
from pixelcnn.original.variables import original_shape, parameters_by_original_name, to_original
from tests.conftest import tiny_description, tiny_model


def original_model(classes: int = 0, **options) -> PixelModel:
    """A model like the original's: 256 levels, the original's tails, images of 32x32."""
    model = tiny_model(height=32, width=32, tails="original", **options)
    if not classes:
        return model
    plain = tiny_description(height=32, width=32, tails="original", **options)
    conditional = replace(plain, conditioning=partial(ClassLabels, num_classes=classes))
    return build(conditional).eval()


def source_of(model: PixelModel, steps: int = 7, gpus: int = 2, seed: int = 0) -> dict[str, np.ndarray]:
    """Its variables with a moving average, and Adam's state, at random values, as the original names them."""
    rng = np.random.default_rng(seed)
    named = parameters_by_original_name(model)
    variables = {name: to_original(name, parameter).copy() for name, parameter in named.items()}
    slots = [np.zeros(16, np.int32)] * gpus if model.conditioning.features else []
    slots.append(np.float32(steps + 1))
    for name, parameter in named.items():
        shape = original_shape(name, parameter)
        variables[name + AVERAGE] = variables[name] + rng.normal(0, 0.01, shape).astype(np.float32)
        slots += [rng.random(shape, np.float32), rng.normal(0, 1, shape).astype(np.float32)]
    variables.update({f"Variable_{k}" if k else "Variable": np.asarray(value) for k, value in enumerate(slots)})
    return variables


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(0, 256, (2, 3, 32, 32), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
