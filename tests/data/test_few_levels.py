import re

import numpy as np
import pytest

from pixelcnn.data.arrays import Arrays
from pixelcnn.data.base import ImageArrays, ImageDataModule
from pixelcnn.data.digits import Digits
from pixelcnn.data.few_levels import few_levels

SIZES = {"batch_size": 2, "val_size": 2, "num_workers": 0, "seed": 0}


class Of(ImageDataModule):
    """Images that hold given values, by a data set without a key for levels."""

    def __init__(self, values: np.ndarray, of: int = 256) -> None:
        super().__init__(**SIZES)
        self.values, self.of = values, of

    def load(self, split: str) -> ImageArrays:
        return ImageArrays(np.resize(self.values, (500, 1, 4, 4)).astype(np.uint8), levels=self.of)


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        ([0, 1], "set data.levels=2."),
        (range(17), "set data.levels=17."),
        ([0, 255], "0, 255 but are modelled with 256 levels: store them as 0 to 1 .*data.levels=2."),
    ],
)
def test_a_data_set_with_a_key_for_levels_is_told_it(tmp_path, stored, told):
    np.savez(tmp_path / "data.npz", images=np.resize(list(stored), (20, 4, 4)).astype(np.uint8))
    data = Arrays(train=str(tmp_path / "data.npz"), test=None, **SIZES)
    data.setup("fit")
    assert re.search(told, few_levels(data))


def test_one_without_is_told_of_one_with():
    data = Of(np.array([0, 1]))
    data.setup("fit")
    assert "data=arrays data.levels=2" in few_levels(data)


def test_a_value_in_one_image_counts():
    values = np.zeros(500 * 16)
    values[16 * 3 : 16 * 3 + 16] = range(16)
    values[16 * 5 : 16 * 5 + 16] = range(16, 32)
    values[16 * 7] = 200
    data = Of(values)
    data.setup("fit")
    assert few_levels(data) is None


@pytest.mark.parametrize("levels", [2, 7, 8, 9, 17, 256])
def test_values_that_use_their_levels_are_not_few(levels):
    data = Of(np.arange(levels), levels)
    data.setup("fit")
    assert few_levels(data) is None


def test_digits_know_their_levels():
    data = Digits(**SIZES)
    data.setup("fit")
    assert few_levels(data) is None
