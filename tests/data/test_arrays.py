import numpy as np
import pytest
import torch

from pixelcnn.data.arrays import Arrays
from pixelcnn.errors import UserError
from pixelcnn.image_shape import ImageShape

generator = np.random.default_rng(0)
IMAGES = generator.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
IMAGES[0, 0, 0, 0] = 255


def arrays(train=None, test=None, levels=None, **sizes):
    files = {"train": train and str(train), "test": test and str(test)}
    return Arrays(**files, levels=levels, **{"batch_size": 2, "val_size": 2, "num_workers": 0, "seed": 0, **sizes})


@pytest.fixture
def stored(tmp_path):
    """Writes its arguments to a new .npz file."""

    def write(**columns):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.npz"
        np.savez(path, **columns)
        return path

    return write


def test_colour_images_with_all_that_may_come_with_them(stored):
    maps = generator.normal(size=(6, 2, 4, 5))
    columns = {"labels": np.arange(6, dtype=np.int32), "embeddings": np.eye(6), "maps": maps, "index": np.arange(6)}
    data = arrays(stored(images=IMAGES, **columns))
    data.setup("fit")
    assert data.shape == ImageShape(channels=3, height=4, width=5, levels=256)
    assert data.num_classes == 6
    batch = data.initialisation_batch(3)
    place = batch["index"].numpy()
    np.testing.assert_array_equal(batch["images"], IMAGES[place].transpose(0, 3, 1, 2))
    assert torch.equal(batch["labels"], batch["index"])
    np.testing.assert_array_equal(batch["embeddings"], np.eye(6, dtype=np.float32)[place])
    np.testing.assert_array_equal(batch["maps"], maps.astype(np.float32)[place])
    assert batch["embeddings"].dtype == batch["maps"].dtype == torch.float32


def test_grey_images_have_one_channel(stored):
    data = arrays(stored(images=IMAGES[..., 0]))
    data.setup("fit")
    assert data.shape == ImageShape(channels=1, height=4, width=5)
    assert data.num_classes is None
    np.testing.assert_array_equal(data.arrays("train").images[:, 0], IMAGES[..., 0])


def test_levels_stored_given_and_otherwise_256(stored):
    few = IMAGES // 16
    for path, option, levels in (
        (stored(images=few, levels=16), None, 16),
        (stored(images=few, levels=np.array(16, np.uint8)), 32, 32),
        (stored(images=few), 16, 16),
        (stored(images=few), None, 256),
    ):
        assert arrays(path, levels=option).arrays("train").levels == levels


def test_only_the_file_that_is_needed_is_read(stored):
    held_out = arrays(train=stored(images=IMAGES))
    held_out.setup("fit")
    tested = arrays(test=stored(images=IMAGES))
    tested.setup("test")
    with pytest.raises(UserError, match=r"^data\.train "):
        tested.setup("fit")
    with pytest.raises(UserError, match=r"^data\.test "):
        held_out.setup("test")
    with pytest.raises(UserError, match=r"^data\.test .*data\.val_size"):
        arrays(train=stored(images=IMAGES), val_size=0).setup("fit")


def test_splits_of_different_levels_are_refused(stored):
    data = arrays(stored(images=IMAGES // 16, levels=16), stored(images=IMAGES), val_size=0)
    with pytest.raises(UserError, match=r"256 levels .* 16 levels"):
        data.setup("fit")


NOT_FINITE = np.ones((6, 3))
NOT_FINITE[4, 1] = np.nan


@pytest.mark.parametrize(
    ("columns", "levels", "fault"),
    [
        ({"pictures": IMAGES}, None, "no array `images`"),
        ({"images": IMAGES / 255}, None, "`images` of type float64"),
        ({"images": IMAGES.astype(np.int64)}, None, "`images` of type int64"),
        ({"images": IMAGES.transpose(0, 3, 1, 2)}, None, r"`images` of shape \(6, 3, 4, 5\)"),
        ({"images": IMAGES[..., :2]}, None, r"`images` of shape \(6, 4, 5, 2\)"),
        ({"images": IMAGES[0, 0]}, None, r"`images` of shape \(5, 3\)"),
        ({"images": IMAGES[:0]}, None, r"`images` of shape \(0, 4, 5, 3\)"),
        ({"images": IMAGES, "levels": 16}, None, "`images` with the value 255, while 16 levels go from 0 to 15"),
        ({"images": IMAGES}, 255, "`images` with the value 255, while 255 levels"),
        ({"images": IMAGES, "levels": 300}, None, "`levels` 300"),
        ({"images": IMAGES, "levels": 16.5}, None, "`levels` 16.5"),
        ({"images": IMAGES, "levels": [256, 256]}, None, "`levels`"),
        ({"images": IMAGES}, 1, "`levels` 1"),
        ({"images": IMAGES}, "many", "`levels` many"),
        ({"images": IMAGES, "labels": np.arange(5)}, None, r"`labels` of type int64 and shape \(5,\)"),
        ({"images": IMAGES, "labels": np.arange(6) / 2}, None, "`labels` of type float64"),
        ({"images": IMAGES, "labels": np.arange(6) - 1}, None, "`labels` from -1 to 4: number the classes from 0 on"),
        ({"images": IMAGES, "labels": np.full(6, 2**64 - 1, np.uint64)}, None, "`labels` from 18446744073709551615"),
        ({"images": IMAGES, "labels": np.eye(6, dtype=int)}, None, r"`labels` of type int64 and shape \(6, 6\)"),
        ({"images": IMAGES, "embeddings": np.ones((5, 3))}, None, r"`embeddings` .* shape \(5, 3\)"),
        ({"images": IMAGES, "embeddings": np.ones(6)}, None, r"`embeddings` .* shape \(6,\): .*\(6, D\)"),
        ({"images": IMAGES, "embeddings": np.ones((6, 0))}, None, "`embeddings`"),
        ({"images": IMAGES, "embeddings": np.ones((6, 3), int)}, None, "`embeddings` of type int64"),
        ({"images": IMAGES, "embeddings": NOT_FINITE}, None, "`embeddings` with NaN or inf"),
        ({"images": IMAGES, "embeddings": NOT_FINITE * 0 + 1e60}, None, "`embeddings` with NaN or inf"),
        ({"images": IMAGES, "maps": np.ones((6, 2, 5, 4))}, None, r"`maps` .* shape \(6, 2, 5, 4\): .*\(6, D, 4, 5\)"),
        ({"images": IMAGES, "maps": np.full((6, 2, 4, 5), np.inf)}, None, "`maps` with NaN or inf"),
        ({"images": IMAGES.astype(object)}, None, "cannot be read"),
    ],
)
@pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")  # of other tests
def test_wrong_contents_are_named_with_key_and_file(stored, columns, levels, fault):
    path = stored(**columns)
    with pytest.raises(UserError, match=fault) as caught:
        arrays(path, levels=levels).setup("fit")
    assert f"data.train={path}" in str(caught.value)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


@pytest.mark.parametrize("damage", ["absent", "folder", "empty", "text", "truncated", "single", "flipped"])
def test_files_that_are_not_readable_are_named(stored, tmp_path, damage):
    path = stored(images=IMAGES)
    content = path.read_bytes()
    if damage == "absent":
        path.unlink()
    elif damage == "folder":
        path = tmp_path
    elif damage == "single":
        with path.open("wb") as file:
            np.save(file, IMAGES)
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
        path.write_bytes({"empty": b"", "text": b"text\n", "truncated": content[:middle], "flipped": flipped}[damage])
    with pytest.raises(UserError) as caught:
        arrays(test=path).setup("test")
    assert str(caught.value).startswith(f"data.test={path} ") and str(caught.value).endswith(".")
