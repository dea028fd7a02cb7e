"""A data set with conditions of all kinds."""

from pathlib import Path

import numpy as np
import pytest

rng = np.random.default_rng(0)
COLUMNS = {
    "images": rng.integers(0, 256, (11, 8, 8, 3), dtype=np.uint8),
    "labels": np.arange(11) % 3,
    "embeddings": rng.normal(size=(11, 2)),
    "maps": rng.normal(size=(11, 2, 8, 8)),
}


@pytest.fixture(scope="session")
def file(tmp_path_factory) -> Path:
    """A data set with conditions of every kind but codes."""
    path = tmp_path_factory.mktemp("conditions") / "data.npz"
    np.savez(path, **COLUMNS)
    return path
