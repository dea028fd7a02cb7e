"""Models are tiny: what is tested is exactness, not speed. One thread suffices, and tests in a row do not compete."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch starts its threads, and for the processes that tests start

from typing import Any

import pytest
import torch

from pixelcnn.model import PixelModel, build
from pixelcnn.options import (
    DiscretizedLogisticMixtureOptions,
    ImageShape,
    ModelDescription,
    PixelCNNPPOptions,
    UnconditionalOptions,
)


def tiny_description(
    channels: int = 3,
    height: int = 8,
    width: int = 8,
    levels: int = 256,
    num_filters: int = 4,
    num_resnet_blocks: int = 1,
    num_stages: int = 3,
    nonlinearity: str = "concat_elu",
    dropout: float = 0.5,
    num_mixtures: int = 2,
    tails: str = "exact",
    conditioning: Any = None,
) -> ModelDescription:
    """A PixelCNN++ small enough for a test."""
    return ModelDescription(
        image=ImageShape(channels, height, width, levels),
        model=PixelCNNPPOptions(num_filters, num_resnet_blocks, num_stages, nonlinearity, dropout),
        likelihood=DiscretizedLogisticMixtureOptions(num_mixtures, tails),
        conditioning=conditioning or UnconditionalOptions(),
    )


def tiny_model(dtype: torch.dtype = torch.float32, seed: int = 0, **options) -> PixelModel:
    """`tiny_description` built, in evaluation mode, every weight random (gains and biases too)."""
    torch.manual_seed(seed)
    model = build(tiny_description(**options))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith((".g", ".b")):
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model.to(dtype).eval()


def random_images(model: PixelModel, n: int, seed: int = 0) -> torch.Tensor:
    """Uniformly random uint8 images of the model's shape."""
    shape = model.image
    generator = torch.Generator().manual_seed(seed)
    size = (n, shape.channels, shape.height, shape.width)
    return torch.randint(0, shape.levels, size, generator=generator).to(torch.uint8)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
