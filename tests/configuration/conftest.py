"""Composing as ``run.py`` does, without running."""

from collections.abc import Callable, Iterator

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from pixelcnn.cli import CONF
from pixelcnn.configuration.groups import register


@pytest.fixture
def composed() -> Iterator[Callable[..., DictConfig]]:
    """The configuration for the given overrides."""
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield lambda *overrides: compose("config", list(overrides))
