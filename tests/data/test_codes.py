"""`data=codes`: integers of any type and number of levels, small in memory, checked."""

import numpy as np
import pytest
import torch

from pixelcnn.data.codes import Codes
from pixelcnn.data.few_levels import few_levels
from pixelcnn.errors import UserError
from pixelcnn.image_shape import ImageShape

LOADING = {"batch_size": 2, "val_size": 2, "num_workers": 0, "seed": 0}


@pytest.fixture
def stored(tmp_path):
    """Writes its arguments to a new .npz file."""

    def write(**columns):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.npz"
        np.savez(path, **columns)
        return str(path)

    return write


def codes_up_to(highest, shape=(6, 4, 5), dtype=np.int64):
    codes = np.random.default_rng(0).integers(0, highest + 1, shape).astype(dtype)
    codes.flat[0] = highest
    return codes


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.int64])
@pytest.mark.parametrize("levels", [2, 256, 257, 1024, 65_536])
def test_codes_are_kept_as_small_as_they_are(stored, dtype, levels):
    codes = codes_up_to(min(levels - 1, np.iinfo(dtype).max), dtype=dtype)
    data = Codes(stored(codes=codes, levels=levels, labels=np.arange(6)), None, **LOADING)
    data.setup("fit")
    assert data.shape == ImageShape(1, 4, 5, levels)
    assert data.arrays("train").images.dtype == (np.uint8 if levels <= 256 else np.uint16)
    batch = data.initialisation_batch(4)
    assert batch["images"].dtype == (torch.uint8 if levels <= 256 else torch.int32)
    np.testing.assert_array_equal(batch["images"][:, 0], codes[batch["labels"]])
    assert few_levels(data) is None


def test_channels_come_first(stored):
    codes = codes_up_to(9, (6, 2, 4, 5))
    data = Codes(stored(codes=codes), None, **LOADING)
    np.testing.assert_array_equal(data.arrays("train").images, codes)
    assert data.shape == ImageShape(2, 4, 5, 10)


def test_without_levels_the_largest_code_of_both_files_says_how_many(stored):
    train, test = stored(codes=codes_up_to(700)), stored(codes=codes_up_to(800))
    for files, levels, expected in [
        ((train, test), None, 801),
        ((train, None), None, 701),
        ((train, test), 1024, 1024),
    ]:
        data = Codes(*files, levels, **LOADING)
        assert data.arrays("train").levels == expected
    data = Codes(train, test, **LOADING)
    assert data.arrays("test").shape == data.arrays("train").shape


def test_levels_that_one_file_states_are_those_of_both(stored):
    train, test = stored(codes=codes_up_to(9), levels=10), stored(codes=codes_up_to(12))
    assert Codes(train, test, **LOADING).arrays("train").levels == 10
    with pytest.raises(UserError, match=r"data\.test=.* 12\b.* 10 levels"):
        Codes(train, test, **LOADING).arrays("test")
    assert Codes(test, train, **{**LOADING, "val_size": 1}).arrays("test").levels == 10


@pytest.mark.parametrize(
    "columns, levels, named",
    [
        ({"images": codes_up_to(5)}, None, "`codes`"),
        ({"codes": codes_up_to(5).astype(np.float32)}, None, "float32"),
        ({"codes": codes_up_to(5, (6, 4))}, None, r"\(6, 4\)"),
        ({"codes": codes_up_to(5) - 1}, None, "-1"),
        ({"codes": codes_up_to(5)}, 5, "5.*data.levels"),
        ({"codes": codes_up_to(65_536)}, None, "65536"),
        ({"codes": codes_up_to(5), "levels": 65_537}, None, "65537"),
    ],
)
def test_what_are_not_codes_is_refused(stored, columns, levels, named):
    file = stored(**columns)
    with pytest.raises(UserError, match=f"^data.train={file} .*{named}"):
        Codes(file, None, levels, **LOADING).arrays("train")


def test_uniform_codes_replace_some(stored):
    codes = np.zeros((40, 8, 8), np.int64)
    data = Codes(stored(codes=codes), None, 1000, mutate=0.5, **LOADING)
    images = next(iter(data.train_dataloader()))["images"]
    assert images.dtype == torch.int32 and int(images.max()) > 255 and 0.3 < float((images > 0).float().mean()) < 0.7
