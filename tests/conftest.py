"""Models are tiny: what is tested is exactness, not speed. One thread suffices, and tests in a row do not compete."""

import gc
import os
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch starts its threads, and for the processes that tests start

from functools import partial
from typing import Any, TypeVar

import pytest
import torch
from hypothesis import settings
from torch import nn

from pixelcnn.conditioning import Unconditional
from pixelcnn.description import ModelDescription
from pixelcnn.image_shape import ImageShape
from pixelcnn.likelihood import DiscretizedLogisticMixture
from pixelcnn.model import PixelModel, build
from pixelcnn.network import PixelCNNPP
from pixelcnn.orders import USUAL
from pixelcnn.report import plots
from pixelcnn.report.page import Picture
from tests.browser import browser, look  # noqa: F401  fixtures
from tests.parsed_once import parse_once

Module = TypeVar("Module", bound=nn.Module)

# The same cases each time, so that what was green stays green; HYPOTHESIS_PROFILE=search draws new ones, and `whole`
# twice as many of the same (`tests.drawn.cases`), as mutation testing does.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("whole", derandomize=True, deadline=None)
settings.register_profile("search", derandomize=False, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

parse_once()

EMPTY_PLOT = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E"
DRAWN_PLOT = plots._picture


# Most of the suite's time.
WHOLE_PROGRAMS = (
    "tests/tasks/",
    "tests/examples/",
    "tests/explore/",
    "tests/training/test_leaving.py",
    "tests/training/test_lost_loggers.py",
    "tests/training/test_reporting.py",
    "tests/training/test_resume.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of whole programs."""
    for item in items:
        if item.nodeid.startswith(WHOLE_PROGRAMS):
            item.add_marker(pytest.mark.program)


def pytest_collection_finish() -> None:
    """Leave what is loaded by now out of garbage collections, a tenth of the time otherwise, and have fewer of them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


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
    order: Any = USUAL,
) -> ModelDescription:
    """A PixelCNN++ small enough for a test."""
    return ModelDescription(
        image=ImageShape(channels, height, width, levels),
        network=partial(
            PixelCNNPP,
            num_filters=num_filters,
            num_resnet_blocks=num_resnet_blocks,
            num_stages=num_stages,
            nonlinearity=nonlinearity,
            dropout=dropout,
        ),
        likelihood=partial(DiscretizedLogisticMixture, num_mixtures=num_mixtures, tails=tails),
        conditioning=conditioning or Unconditional,
        order=order,
    )


def tiny_model(dtype: torch.dtype = torch.float32, seed: int = 0, **options) -> PixelModel:
    """`tiny_description` built, in evaluation mode, every weight random (gains and biases too)."""
    torch.manual_seed(seed)
    return randomised(build(tiny_description(**options))).to(dtype).eval()


def randomised(module: Module) -> Module:
    """``module`` with gains and biases away from 1 and 0, which hide what they multiply and add."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith((".g", ".b")):
                parameter.add_(0.3 * torch.randn_like(parameter))
    return module


def random_images(model: PixelModel, n: int, seed: int = 0) -> torch.Tensor:
    """Uniformly random images of the model's shape."""
    shape = model.image
    generator = torch.Generator().manual_seed(seed)
    size = (n, shape.channels, shape.height, shape.width)
    return torch.randint(0, shape.levels, size, generator=generator).to(shape.dtype)


@pytest.fixture(scope="module", autouse=True)
def _undrawn(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave the plots of reports empty, except in modules marked ``drawn``: matplotlib takes a third of a tiny run."""
    with pytest.MonkeyPatch.context() as patch:
        if request.node.get_closest_marker("drawn") is None:
            patch.setattr(plots, "_picture", lambda figure, alt, on_a_phone=None: Picture(EMPTY_PLOT, alt))
        yield


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
