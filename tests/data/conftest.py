"""A data set whose pixels tell the image's place, so that a batch's images can be checked against its index."""

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
