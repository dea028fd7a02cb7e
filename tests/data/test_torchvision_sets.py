"""torchvision's data sets by name, from tiny files in their own formats."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from pixelcnn.data.fingerprint import fingerprint
from pixelcnn.data.framing import Framing
from pixelcnn.data.torchvision_sets import Torchvision
from pixelcnn.errors import OutOfRangeError, UserError

DRAW = np.random.default_rng(0)
FASHION = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist


def data_of(name, root, **options):
    sizes = {"batch_size": 2, "val_size": 2, "num_workers": 0, "seed": 0}
    return Torchvision(name, str(root), **{**sizes, **options})


def write_idx(file, values):
    file.parent.mkdir(parents=True, exist_ok=True)
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    file.write_bytes(bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes())


def write_mnist(raw, names=("train-{}", "t10k-{}"), size=28):
    """Images and labels by split, in files of MNIST's format."""
    written = {}
    for split, name, count in zip(("train", "test"), names, (12, 5), strict=True):
        images = DRAW.integers(0, 256, (count, size, size), dtype=np.uint8)
        labels = DRAW.integers(0, 10, count, dtype=np.uint8)
        write_idx(raw / name.format("images-idx3-ubyte"), images)
        write_idx(raw / name.format("labels-idx1-ubyte"), labels)
        written[split] = images, labels
    return written


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_idx_files(name, tmp_path, no_network):
    written = write_mnist(tmp_path / name / "raw")
    data = data_of(name, tmp_path)
    data.prepare_data()
    for split, (images, labels) in written.items():
        np.testing.assert_array_equal(data.arrays(split).images[:, 0], images)
        np.testing.assert_array_equal(data.arrays(split).labels, labels)
    assert data.class_names == tuple(getattr(datasets, name).classes)
    assert str(data.shape) == "28x28 with 1 channels and 256 levels" and data.where() == str(tmp_path)


def test_own_arguments(tmp_path, no_network):
    written = write_mnist(tmp_path / "EMNIST" / "raw", ("emnist-letters-train-{}", "emnist-letters-test-{}"))
    data = data_of("EMNIST", tmp_path, options={"split": "letters"})
    data.prepare_data()
    np.testing.assert_array_equal(data.arrays("train").images[:, 0], written["train"][0])
    np.testing.assert_array_equal(data.arrays("test").labels, written["test"][1])
    assert data.class_names[1] == "a" and data.class_names[26] == "z"


def test_crop_size_and_levels(tmp_path):
    written = write_mnist(tmp_path / "MNIST" / "raw", size=27)
    images, _ = written["train"]
    padded = data_of("MNIST", tmp_path, crop=28, levels=4)
    padded.setup("fit")
    np.testing.assert_array_equal(padded.at("train", np.arange(12))["images"][:, 0, 1:, 1:], images // 64)
    resized = data_of("MNIST", tmp_path, size=[8, 6]).arrays("train").images
    np.testing.assert_array_equal(resized[3, 0], np.asarray(Framing([8, 6])(Image.fromarray(images[3]))))
    records = [fingerprint(data_of("MNIST", tmp_path, **of)) for of in ({}, {"crop": 28}, {"size": 32}, {"levels": 4})]
    assert len({record["train"] for record in records}) == 4


def test_svhn_and_its_further_split(tmp_path, monkeypatch):
    written = {}
    for split, (url, file, _) in list(datasets.SVHN.split_list.items()):
        images, labels = DRAW.integers(0, 256, (32, 32, 3, 6), dtype=np.uint8), np.arange(1, 7)[:, None]
        labels[-1] = 10  # what its files call a 0
        savemat(tmp_path / file, {"X": images, "y": labels})
        monkeypatch.setitem(datasets.SVHN.split_list, split, [url, file, None])
        written[split] = images.transpose(3, 2, 0, 1)
    for train in ("train", "extra"):
        data = data_of("SVHN", tmp_path, train=train)
        data.prepare_data()
        np.testing.assert_array_equal(data.arrays("train").images, written[train])
        np.testing.assert_array_equal(data.arrays("test").images, written["test"])
        assert data.arrays("train").labels.tolist() == [1, 2, 3, 4, 5, 0] and data.class_names is None


@pytest.fixture
def photographs(tmp_path):
    """Country211 with photographs of mixed sizes."""
    for split in ("train", "test"):
        for country, sizes in {"AD": [(20, 30), (31, 16)], "ZW": [(25, 25)]}.items():
            folder = tmp_path / "country211" / split / country
            folder.mkdir(parents=True)
            for place, size in enumerate(sizes):
                pixels = DRAW.integers(0, 256, (*size, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{place}.jpg")
    return tmp_path


def test_image_files_are_converted_once_into_mapped_arrays(photographs):
    root = photographs
    data = data_of("Country211", root, crop="square", size=8, val_size=1, converted=str(root / "kept"))
    data.prepare_data()
    data.setup("fit")
    files = sorted((root / "country211" / "train").rglob("*.jpg"))
    expected = [np.asarray(Framing(8, "square")(Image.open(file))).transpose(2, 0, 1) for file in files]
    arrays = data.arrays("train")
    assert isinstance(arrays.images, np.memmap) and arrays.labels.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(arrays.images, expected)
    assert data.class_names == ("AD", "ZW")
    [folder] = (root / "kept").glob("Country211_train_8x8_*[0-9a-f]")
    (folder / "images.npy").touch()
    modified = (folder / "images.npy").stat().st_mtime_ns
    again = data_of("Country211", root, crop="square", size=8, val_size=1, converted=str(root / "kept"))
    np.testing.assert_array_equal(again.arrays("train").images, expected)
    assert (folder / "images.npy").stat().st_mtime_ns == modified
    other = data_of("Country211", root, crop="square", size=4, val_size=1, converted=str(root / "kept"))
    assert other.arrays("train").images.shape == (3, 3, 4, 4)
    grey = data_of("Country211", root, crop="square", size=8, channels=1, val_size=1, converted=str(root / "kept"))
    assert grey.arrays("train").images.shape == (3, 1, 8, 8)


def test_mixed_sizes_name_the_keys_that_help(photographs):
    with pytest.raises(UserError, match=r"Country211/train/[12] is .* data.crop=square data.size=32"):
        data_of("Country211", photographs, val_size=1).arrays("train")


@pytest.mark.parametrize(("options", "labels"), [({}, None), ({"target_type": "identity"}, [7, 8, 9])])
def test_targets_that_are_not_classes_are_left_out(tmp_path, monkeypatch, options, labels):
    monkeypatch.setattr(datasets.CelebA, "file_list", [("", None, name) for _, _, name in datasets.CelebA.file_list])
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{place:06}.jpg" for place in range(5)]
    for name in names:
        Image.new("RGB", (178, 218)).save(folder / "img_align_celeba" / name)
    rows = {
        "list_eval_partition.txt": (0, [[split] for split in (0, 0, 0, 2, 2)]),
        "identity_CelebA.txt": (0, [[7 + place] for place in range(5)]),
        **{f"list_{kind}.txt": (2, [[1, -1]] * 5) for kind in ("bbox_celeba", "landmarks_align_celeba", "attr_celeba")},
    }
    for file, (headers, values) in rows.items():
        lines = ["5", "a b"][:headers] + [
            " ".join(map(str, [name, *row])) for name, row in zip(names, values, strict=True)
        ]
        (folder / file).write_text("\n".join(lines) + "\n")
    data = data_of("CelebA", tmp_path, crop=148, size=64, options=options, val_size=1)
    data.prepare_data()
    found = data.arrays("train")
    assert found.images.shape == (3, 3, 64, 64)
    assert found.labels is None if labels is None else found.labels.tolist() == labels


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (None, {}, "data.name is not set: give data.name=MNIST, or another of torchvision's data sets."),
        ("MNST", {}, "data.name=MNST is not a data set of torchvision: did you mean MNIST?"),
        ("fashionmnist", {}, "data.name=fashionmnist is not a data set of torchvision: did you mean FashionMNIST?"),
        ("horses", {}, "data.name=horses is not a data set of torchvision: use MNIST, FashionMNIST, SVHN or another"),
        ("EuroSAT", {}, "data.name=EuroSAT has no training and test split in torchvision: put"),
        ("ImageFolder", {}, "data.name=ImageFolder has no training and test split in torchvision: put"),
        ("EMNIST", {}, "data.options.split has no value: give data.options.split=VALUE."),
        ("EMNIST", {"options": {"spilt": "letters"}}, "data.options.spilt is not a key of"),
        ("SVHN", {"options": {"split": "extra"}}, "data.options.split is not a key of"),
        ("MNIST", {"options": {"train": True}}, "data.options.train is not a key of"),
        ("QMNIST", {"options": {"what": "nist"}}, "data.options.what is not a key of"),
    ],
)
def test_names_and_arguments_that_are_none(name, options, message, tmp_path):
    with pytest.raises(UserError) as caught:
        data_of(name, tmp_path, **options)
    assert str(caught.value).startswith(message)


def test_sets_of_two_splits_have_no_others(tmp_path):
    with pytest.raises(OutOfRangeError, match=r"^data.test=val .*train and test"):
        data_of("MNIST", tmp_path, test="val")


@pytest.mark.parametrize(("name", "options"), [("EMNIST", {"options": {"split": "lettres"}}), ("SVHN", {"test": "x"})])
def test_what_torchvision_refuses(name, options, tmp_path):
    with pytest.raises(UserError, match=f"^data.name={name} .*Valid values are "):
        data_of(name, tmp_path, **options).where()


def test_no_network_and_no_files(tmp_path, no_network):
    data = data_of("MNIST", tmp_path / "somewhere")
    with pytest.raises(UserError, match=r"^data.name=MNIST .*data.ro"):
        data.prepare_data()
    with pytest.raises(UserError, match=r"^data.name=MNIST .*somewhere "):
        data.where()
    with pytest.raises(UserError, match=r"^data.name=MNIST .*data=digits"):
        data.load("train")


@pytest.mark.parametrize("content", [b"", b"damaged", bytes([0, 0, 8, 3, 0, 0, 0, 9])])
def test_damaged_files(content, tmp_path, no_network):
    write_mnist(tmp_path / "MNIST" / "raw")
    (tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(content)
    data = data_of("MNIST", tmp_path)
    for action in (data.prepare_data, lambda: data.setup("fit")):
        with pytest.raises(UserError, match=r"^data.name=MNIST .*data.root="):
            action()


@pytest.mark.skipif(not FASHION.is_dir(), reason="needs Debian's package dataset-fashion-mnist")
def test_fashion_mnist_of_debian(tmp_path, no_network):
    import gzip

    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for file in FASHION.glob("*.gz"):
        (raw / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    data = data_of("FashionMNIST", tmp_path)
    data.prepare_data()
    train, test = data.arrays("train"), data.arrays("test")
    assert len(train.images) == 60_000 and np.bincount(test.labels).tolist() == [1000] * 10
    assert data.class_names[train.labels[0]] == "Ankle boot" and data.class_names[test.labels[1]] == "Pullover"
    assert round(float(train.images.mean()), 2) == 72.94
