"""The same images in the same order have the same fingerprint, and no others."""

import numpy as np
import pytest

from pixelcnn.data import fingerprint as module
from pixelcnn.data.base import ImageArrays, ImageDataModule
from pixelcnn.data.fingerprint import fingerprint


class Given(ImageDataModule):
    def __init__(self, arrays: ImageArrays, **loading: int) -> None:
        super().__init__(**{"batch_size": 4, "val_size": 5, "num_workers": 0, "seed": 0, **loading})
        self.given = arrays

    def load(self, split: str) -> ImageArrays:
        return self.given


def images(n: int = 40, height: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 9, (n, 1, height, 3), dtype=np.uint8)


LABELS = np.arange(40) % 3


def of(pixels=None, labels=LABELS, levels=9, **loading):
    pixels = images() if pixels is None else pixels
    return fingerprint(Given(ImageArrays(pixels, levels, labels), **loading))


def test_loading_does_not_matter():
    transposed = np.ascontiguousarray(images().transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert of() == of(transposed) == of(batch_size=7, num_workers=1)


@pytest.mark.parametrize("part", ["train", "val"])
@pytest.mark.parametrize("at_once", [1, 7, 64])
def test_one_pixel_or_label_matters(part, at_once, monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    data = Given(ImageArrays(images()))
    other = {"train": "val", "val": "train"}[part]
    for place in data.evenly_spaced(part, 1000):
        pixels, labels = images(), LABELS.copy()
        pixels[place, 0, 1, 2] ^= 1
        labels[place] += 1
        for changed in (of(pixels), of(labels=labels)):
            assert changed[part] != of()[part] and changed[other] == of()[other]


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"val_size": 6},
        {"levels": 10},
        {"labels": None},
        {"pixels": images()[::-1], "labels": LABELS[::-1]},
        {"pixels": images(39), "labels": LABELS[:39]},
        {"pixels": images(height=3)},
        {"pixels": images().reshape(40, 1, 3, 2)},
    ],
)
def test_what_is_another_set(changed):
    assert of(**changed)["train"] != of()["train"] and of(**changed)["val"] != of()["val"]


def test_of_many_images_some_are_looked_at(monkeypatch):
    data = Given(ImageArrays(images()))
    for most in (1, 2, 3, 34, 35, 36):
        index = data.evenly_spaced("train", most).tolist()
        places = data.evenly_spaced("train", 1000).tolist()
        assert len(set(index)) == min(most, 35) and set(index) <= set(places) and index[0] == places[0]
        assert most == 1 or index[-1] == places[-1]
    monkeypatch.setattr(module, "MOST", 3)
    first, middle, last = (data.evenly_spaced("train", 35)[place] for place in (0, 17, -1))
    for place in range(40):
        pixels = images()
        pixels[place, 0, 0, 0] ^= 1
        assert (of(pixels)["train"] != of()["train"]) == (place in (first, middle, last))


def test_without_held_out_images_those_are_the_test_images():
    assert of(val_size=0)["val"].startswith("40 images of 2x3 with 1 channels and 9 levels, ")
