"""Images of several sizes become one: a centre crop, then a resize."""

import numpy as np
import pytest
from PIL import Image

from pixelcnn.data.fingerprint import fingerprint
from pixelcnn.data.framing import Framing
from pixelcnn.data.images import Images
from pixelcnn.errors import OutOfRangeError, UserError

DRAW = np.random.default_rng(0)


def pixels(height, width, mode="RGB"):
    return DRAW.integers(0, 256, (height, width, 3) if mode == "RGB" else (height, width), dtype=np.uint8)


def framed(image, **options):
    return np.asarray(Framing(**options)(Image.fromarray(image)))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_crops_are_about_the_centre(mode):
    image = pixels(7, 10, mode)
    np.testing.assert_array_equal(framed(image, crop=[3, 4]), image[2:5, 3:7])
    np.testing.assert_array_equal(framed(image, crop=5), image[1:6, 2:7])
    np.testing.assert_array_equal(framed(image, crop="square"), image[:, 1:8])
    np.testing.assert_array_equal(framed(image), image)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_larger_crop_is_filled_with_black(mode):
    image = pixels(27, 27, mode)
    found = framed(image, crop=28)
    assert found.shape[:2] == (28, 28)
    inside = [found[top : top + 27, left : left + 27] for top in (0, 1) for left in (0, 1)]
    assert any(np.array_equal(one, image) for one in inside) and found.sum() == image.sum()
    np.testing.assert_array_equal(framed(image, crop=[29, 27])[1:28], image)


def test_resizing_is_bicubic_with_antialiasing_after_the_crop():
    image = pixels(40, 60)
    expected = Image.fromarray(image[:, 10:50]).resize((9, 16), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(framed(image, crop="square", size=[16, 9]), np.asarray(expected))
    stripes = np.resize(np.array([0, 255], np.uint8), (64, 64))  # every other column: grey, where nothing aliases
    assert np.abs(framed(stripes, size=16)[:, 2:-2].astype(int) - 127).max() <= 2
    flat = np.full((9, 9, 3), 77, np.uint8)
    assert (framed(flat, size=[12, 5]) == 77).all()


@pytest.mark.parametrize("options", [{"size": 0}, {"size": [32]}, {"crop": [8, 8, 3]}, {"crop": [8, 0]}, {"size": []}])
def test_what_is_not_a_size(options):
    [(key, value)] = options.items()
    with pytest.raises(OutOfRangeError) as caught:
        Framing(**options)
    assert str(caught.value) == f"data.{key}={value} is out of range: use a number of pixels, or [height,width]."


def folder(root, **options):
    return Images(str(root), **{"batch_size": 2, "val_size": 2, "num_workers": 0, "seed": 0, **options})


@pytest.fixture
def mixed(tmp_path):
    """Folders of images of several sizes."""
    sizes = [(12, 9), (9, 12), (20, 20), (13, 17)]
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        for place, size in enumerate(sizes):
            Image.fromarray(pixels(*size)).save(tmp_path / split / f"{place}.png")
    return tmp_path


def test_folders_of_mixed_sizes_are_brought_to_one(mixed):
    data = folder(mixed, crop="square", size=8)
    data.setup("fit")
    data.setup("test")
    assert str(data.shape) == "8x8 with 3 channels and 256 levels"
    for place, image in enumerate(data.arrays("train").images):
        with Image.open(mixed / "train" / f"{place}.png") as opened:
            expected = Framing(8, "square")(opened)
        np.testing.assert_array_equal(image.transpose(1, 2, 0), np.asarray(expected))


@pytest.mark.parametrize(("crop", "told"), [(None, "1.png is 9x12 RGB"), ("square", "2.png is 20x20 RGB")])
def test_mixed_sizes_are_refused_with_the_keys_that_help(mixed, crop, told):
    with pytest.raises(UserError, match=rf"{told} .*data.crop=square"):
        folder(mixed, crop=crop).arrays("train")


def test_the_record_of_a_run_tells_sizes_apart(mixed):
    records = [fingerprint(folder(mixed, crop=crop, size=size)) for crop, size in ((None, 8), (9, 8), (None, 9))]
    assert len({record["train"] for record in records}) == 3
