"""No network, and a data set whose pixels tell the image's place, which a batch's index is checked against."""

import urllib.request
from collections.abc import Callable

import numpy as np
import pytest

from pixelcnn.data.base import ImageArrays, ImageDataModule


class Numbered(ImageDataModule):
    """Grey images of 2x3 pixels; image i of the training set is all i, image i of the test set all 255 - i."""

    def __init__(self, train_size: int = 23, test_size: int = 9, **loading: int) -> None:
        super().__init__(**loading)
        self.sizes = {"train": train_size, "test": test_size}

    def load(self, split: str) -> ImageArrays:
        place = np.arange(self.sizes[split])
        value = place if split == "train" else 255 - place
        images = np.broadcast_to(value[:, None, None, None], (len(place), 1, 2, 3)).astype(np.uint8)
        return ImageArrays(images, labels=place % 4)


@pytest.fixture
def numbered() -> Callable[..., Numbered]:
    """``Numbered``, with small sizes unless others are given."""

    def make(**sizes: int) -> Numbered:
        return Numbered(**{"batch_size": 4, "val_size": 3, "num_workers": 0, "seed": 5, **sizes})

    return make


@pytest.fixture
def no_network(monkeypatch):
    """A proxy at which nobody listens."""
    monkeypatch.setattr(urllib.request, "_opener", None)  # urllib keeps the first one, with its proxies
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
