"""Links in folders of images: to images that are there already, to other places, from one split to the other."""

import numpy as np
import pytest

from pixelcnn.errors import UserError
from tests.data.test_images import images, write


@pytest.fixture
def linked(tmp_path):
    """Three images of two classes to train on and two to test, to be linked to."""
    for name in ("train/a/1.png", "train/a/2.png", "train/b/3.png", "test/a/4.png", "test/b/5.png"):
        write(tmp_path / "data" / name)
    return tmp_path / "data"


def counts(root):
    data = images(root)
    return [np.bincount(data.arrays(split).labels).tolist() for split in ("train", "test")]


@pytest.mark.parametrize(
    "links",
    [
        {"test/a/self": "."},
        {"test/a/up": ".."},
        {"test/self": "."},
        {"train/a/self": ".", "train/a/again": "."},
        {"train/a/x": "../b", "train/b/y": "../a"},
        {"train/0": "b"},
        {"train/a/0": "../b/3.png", "train/a/0.png": "../b/3.png", "test/a/twin.png": "4.png"},
        {"test/a/nothing": "nothing", "test/a/ring": "ring"},
    ],
    ids=str,
)
def test_links_to_what_is_there_add_nothing(linked, links):
    for link, target in links.items():
        (linked / link).symlink_to(target)
    assert counts(linked) == [[2, 1], [1, 1]]


def test_links_to_other_places_are_followed(linked, tmp_path):
    pixels = write(tmp_path / "store" / "deep" / "6.png")
    write(tmp_path / "store" / "7.png")
    (tmp_path / "store" / "back").symlink_to("deep")
    (linked / "train" / "c").symlink_to(tmp_path / "store", target_is_directory=True)
    (linked / "train" / "b" / "twice").symlink_to(tmp_path / "store" / "deep", target_is_directory=True)
    # As git-annex and DVC have it: the image itself is in a hidden folder.
    write(linked / "train" / ".annex" / "8.png")
    (linked / "train" / "a" / "8.png").symlink_to("../.annex/8.png")
    data = images(linked)
    train = data.arrays("train")
    assert np.bincount(train.labels).tolist() == [3, 2, 1] and data.num_classes == 3
    assert sum((image == pixels.transpose(2, 0, 1)).all() for image in train.images) == 1


@pytest.mark.parametrize(
    ("link", "target", "named"),
    [
        ("test/a/6.png", "../../train/a/1.png", "test/a/6.png is the same file as .*train/a/1.png"),
        ("train/b/all", "../../test/b", "test/b/5.png is the same file as .*train/b/all/5.png"),
        ("test/a/root", "../..", "test/a/root/train/a/1.png is the same file as .*/train/a/1.png"),
    ],
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_an_image_in_train_and_test_is_refused(linked, split, link, target, named):
    (linked / link).symlink_to(target)
    with pytest.raises(UserError, match=named):
        images(linked).arrays(split)


def test_a_whole_split_that_is_the_other_is_refused(tmp_path):
    write(tmp_path / "train" / "1.png")
    (tmp_path / "test").symlink_to("train")
    with pytest.raises(UserError, match=r"test/1\.png .*train/1\.png"):
        images(tmp_path).arrays("train")


def test_a_folder_without_images_is_no_class(linked):
    (linked / "train" / "0").mkdir()
    (linked / "train" / "1").symlink_to("a")
    assert counts(linked) == [[2, 1], [1, 1]]
