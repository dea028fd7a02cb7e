"""data.levels: fewer levels of any data set, in every batch."""

import numpy as np
import pytest

from pixelcnn.data.arrays import Arrays
from pixelcnn.data.base import ImageArrays, ImageDataModule
from pixelcnn.data.few_levels import few_levels
from pixelcnn.data.fingerprint import fingerprint
from pixelcnn.data.mapped import mapped
from pixelcnn.errors import OutOfRangeError

SIZES = {"batch_size": 4, "val_size": 8, "num_workers": 0, "seed": 0}
VALUES = np.random.default_rng(0).integers(0, 256, (40, 3, 4, 4), dtype=np.uint8)


class Of(ImageDataModule):
    """Given images of so many levels."""

    def __init__(self, images=VALUES, of=256, **options) -> None:
        super().__init__(**{**SIZES, **options})
        self.images, self.of = images, of

    def load(self, split: str) -> ImageArrays:
        return ImageArrays(self.images, self.of)


@pytest.mark.parametrize("bits", range(1, 9))
def test_bits_are_dropped(bits):
    data = Of(levels=2**bits)
    data.setup("fit")
    data.setup("test")
    assert data.shape.levels == 2**bits
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    batches = [batch for loader in loaders for batch in loader]
    batches += [data.initialisation_batch(5), data.first("val", 3), data.at("train", np.array([7, 2]))]
    for batch in batches:
        np.testing.assert_array_equal(batch["images"], VALUES[batch["index"]] >> (8 - bits))


@pytest.mark.parametrize(("levels", "of"), [(3, 256), (100, 256), (4, 17), (17, 17)])
def test_any_number_of_levels_is_used_to_the_last(levels, of):
    values = np.resize(np.arange(of), (40, 1, 4, 4)).astype(np.uint8)
    data = Of(values, of, levels=levels)
    data.setup("test")
    found = np.concatenate([batch["images"] for batch in data.test_dataloader()])
    np.testing.assert_array_equal(found, values.astype(int) * levels // of)
    assert set(found.ravel().tolist()) >= {0, levels - 1} and data.shape.levels == levels


def test_mapped_files_stay_mapped(tmp_path):
    np.save(tmp_path / "images.npy", VALUES)
    data = Of(mapped(tmp_path / "images.npy"), levels=32)
    data.setup("fit")
    assert isinstance(data.arrays("train").images, np.memmap)
    np.testing.assert_array_equal(data.first("train", 40)["images"][0], VALUES[data.first("train", 1)["index"][0]] // 8)


def test_the_record_of_a_run_tells_levels_apart():
    records = [fingerprint(Of(levels=levels)) for levels in (None, 256, 32, 16)]
    assert records[0] == records[1] and len({record["train"] for record in records}) == 3


@pytest.mark.parametrize(
    ("levels", "told"), [(1, "use 2 to 65536"), (65_537, "use 2 to 65536"), (32, "17 levels; use 2 to 17")]
)
def test_levels_that_the_images_do_not_have(levels, told):
    with pytest.raises(OutOfRangeError, match=f"^data.levels={levels} is out of range: .*{told}"):
        Of(VALUES % 17, 17, levels=levels).setup("test")


def test_files_say_what_they_hold(tmp_path):
    np.savez(tmp_path / "data.npz", images=VALUES[:, 0] // 8)
    data = Arrays(train=str(tmp_path / "data.npz"), test=None, levels=32, **SIZES)
    data.setup("fit")
    assert data.shape.levels == 32
    np.testing.assert_array_equal(data.at("train", np.arange(40))["images"][:, 0], VALUES[:, 0] // 8)


@pytest.mark.parametrize(
    ("stored", "levels", "told"),
    [
        ([0, 255], None, "set data.levels=2."),
        ([0, 255], 128, "set data.levels=2."),
        ([0, 255], 2, None),
        ([0, 85, 170, 255], None, "set data.levels=4."),
        ([0, 1], None, "use data=arrays data.levels=2."),
    ],
)
def test_what_tells_the_values_apart_is_recommended(stored, levels, told):
    data = Of(np.resize(stored, (40, 1, 4, 4)).astype(np.uint8), levels=levels)
    data.setup("fit")
    found = few_levels(data)
    assert found is None if told is None else found.endswith(told)
