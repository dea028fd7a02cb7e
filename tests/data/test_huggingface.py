"""Data sets of the Hugging Face library, made here and loaded from folders."""

import builtins

import numpy as np
import pytest
from PIL import Image

from pixelcnn.data.framing import Framing
from pixelcnn.data.huggingface import HuggingFace
from pixelcnn.errors import UserError

DRAW = np.random.default_rng(0)


def data_of(name, tmp_path, **options):
    sizes = {"batch_size": 2, "val_size": 1, "num_workers": 0, "seed": 0}
    return HuggingFace(str(name), **{**sizes, "converted": str(tmp_path / "converted"), **options})


@pytest.fixture
def library(tmp_path, monkeypatch):
    library = pytest.importorskip("datasets", reason="an optional extra: requirements-huggingface.txt")
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(library.config, "HF_HUB_OFFLINE", True)
    library.disable_progress_bars()
    return library


def pixels_of(count, size=(6, 5)):
    return DRAW.integers(0, 256, (count, *size, 3), dtype=np.uint8)


@pytest.fixture
def saved(library, tmp_path):
    """A folder that save_to_disk has left; its images by split, and the labels."""
    kinds = {
        "picture": library.Image(),
        "kind": library.ClassLabel(names=["cat", "dog"]),
        "age": library.Value("int32"),
    }
    images = {"train": pixels_of(5), "test": pixels_of(3)}
    splits = {}
    for split, pixels in images.items():
        columns = {"picture": list(map(Image.fromarray, pixels)), "kind": [1, 0, 1, 1, 0][: len(pixels)]}
        columns["age"] = list(range(7, 7 + len(pixels)))
        splits[split] = library.Dataset.from_dict(columns, features=library.Features(kinds))
    library.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    return tmp_path / "saved", images


def test_a_saved_data_set_becomes_mapped_arrays(saved, tmp_path):
    folder, images = saved
    data = data_of(folder, tmp_path)
    data.setup("fit")
    data.setup("test")
    for split, pixels in images.items():
        arrays = data.arrays(split)
        assert isinstance(arrays.images, np.memmap)
        np.testing.assert_array_equal(arrays.images, pixels.transpose(0, 3, 1, 2))
        assert arrays.labels.tolist() == [1, 0, 1, 1, 0][: len(pixels)]
    assert data.class_names == ("cat", "dog") and data.where() == str(folder)


def test_columns_and_splits_are_chosen(saved, tmp_path):
    folder, images = saved
    data = data_of(
        folder, tmp_path, train="test", test="train", image_key="picture", label_key="age", channels=1, size=4
    )
    arrays = data.arrays("test")
    assert arrays.labels.tolist() == [7, 8, 9, 10, 11] and arrays.class_names is None
    grey = Framing(4)(Image.fromarray(images["train"][2]).convert("L"))
    np.testing.assert_array_equal(arrays.images[2, 0], np.asarray(grey))
    assert len(data.arrays("train").images) == 3


def test_a_folder_of_images_is_loaded_and_converted_once(library, tmp_path):
    images = pixels_of(4)
    for split in ("train", "test"):
        for place, pixels in enumerate(images):
            folder = tmp_path / "mine" / split / "ab"[place % 2]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"{place}.png")
    first = data_of(tmp_path / "mine", tmp_path).arrays("train")
    np.testing.assert_array_equal(first.images, images[[0, 2, 1, 3]].transpose(0, 3, 1, 2))
    assert first.labels.tolist() == [0, 0, 1, 1] and first.class_names == ("a", "b")
    [converted] = (tmp_path / "converted").glob("mine_train_6x5_*[0-9a-f]")
    modified = (converted / "images.npy").stat().st_mtime_ns
    np.testing.assert_array_equal(data_of(tmp_path / "mine", tmp_path).arrays("train").images, first.images)
    assert (converted / "images.npy").stat().st_mtime_ns == modified
    half = data_of(tmp_path / "mine", tmp_path, train="train[:50%]").arrays("train")
    np.testing.assert_array_equal(half.images, first.images[:2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"image_key": "image"},
            "data.image_key=image is not a column of data.name=.*saved: it has picture, kind, age.",
        ),
        ({"image_key": "age"}, "data.image_key=age .*: columns of images are picture."),
        ({"label_key": "label"}, "data.label_key=label is not a column of data.name=.*: it has picture, kind, age."),
        (
            {"label_key": "picture"},
            "data.label_key=picture is not a column of whole numbers: leave it out for no labels.",
        ),
        ({"train": "valid"}, "data.train=valid is not a split of data.name=.*saved: it has train, test."),
    ],
)
def test_what_a_data_set_does_not_have(saved, tmp_path, options, message):
    with pytest.raises(UserError, match=f"^{message}$"):
        data_of(saved[0], tmp_path, **options).arrays("train")


@pytest.mark.parametrize("name", ["nobody/nothing", "absent/folder/of/images"])
def test_without_a_network_a_folder_is_recommended(library, tmp_path, name):
    with pytest.raises(UserError, match=rf"^data.name={name} .*data.name=DIR"):
        data_of(name, tmp_path).arrays("train")


def test_images_of_several_sizes(library, tmp_path):
    for split in ("train", "test"):
        (tmp_path / "mixed" / split).mkdir(parents=True)
        for place, size in enumerate([(6, 5), (8, 9)]):
            Image.fromarray(pixels_of(1, size)[0]).save(tmp_path / "mixed" / split / f"{place}.png")
    with pytest.raises(UserError, match=r"mixed/train/1 is 8x9 RGB .* data.crop=square data.size=32"):
        data_of(tmp_path / "mixed", tmp_path).arrays("train")
    arrays = data_of(tmp_path / "mixed", tmp_path, crop="square", size=4).arrays("train")
    assert arrays.images.shape == (2, 3, 4, 4) and arrays.labels is None


def test_without_the_extra_it_is_named(tmp_path, monkeypatch):
    there = builtins.__import__

    def absent(name, *arguments, **others):
        if name == "datasets":
            raise ModuleNotFoundError("No module named 'datasets'", name=name)
        return there(name, *arguments, **others)

    monkeypatch.setattr(builtins, "__import__", absent)
    for action in ("where", "setup"):
        with pytest.raises(UserError, match=r"^data=huggingface .*pip install -r requirements-huggingface.txt"):
            getattr(data_of("owner/name", tmp_path), action)(*(["fit"] if action == "setup" else []))


def test_a_name_is_needed():
    with pytest.raises(UserError, match=r"^data.name .*data.name=OWNER/NAME"):
        HuggingFace(None, batch_size=2, val_size=1, num_workers=0, seed=0)
