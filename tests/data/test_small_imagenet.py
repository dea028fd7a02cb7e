import io
import logging
import os
import pickle
import tarfile
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from pixelcnn.data import png_files
from pixelcnn.data.imagenet_batches import read_batch
from pixelcnn.data.small_imagenet import SmallImageNet
from pixelcnn.errors import UserError

generator = np.random.default_rng(0)


def small_imagenet(root, variant="oord", resolution=32, **arguments):
    sizes = {"batch_size": 2, "val_size": 1, "num_workers": 0, "seed": 0}
    return SmallImageNet(root=str(root), variant=variant, resolution=resolution, **{**sizes, **arguments})


def random_images(count, resolution=32):
    """uint8 (N, C, H, W)."""
    return generator.integers(0, 256, (count, 3, resolution, resolution), dtype=np.uint8)


def png(image):
    """The bytes of a PNG file of ``image`` uint8 (C, H, W)."""
    content = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(content, "png")
    return content.getvalue()


def write_folder(folder, images):
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        (folder / f"{number:07d}.png").write_bytes(png(image))


def write_tar(file, contents, mode="w"):
    with tarfile.open(file, mode) as archive:
        for name, content in contents:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def write_batches(root, train, test, form="pickle"):
    """``train`` and ``test``: images and labels from 1 on; with the mean image, as the originals."""
    batches = {f"train_data_batch_{k + 1}": part for k, part in enumerate(zip(*train, strict=True))}
    for name, (images, labels) in {**batches, "val_data": test}.items():
        flat = images.reshape(len(images), -1)
        stored = {"data": flat, "labels": [int(label) for label in labels], "mean": flat.mean(0)}
        if form == "npz":
            np.savez(root / f"{name}.npz", **stored)
        else:
            (root / name).write_bytes(pickle.dumps(stored, 3))


@pytest.fixture
def folders(tmp_path):
    """Five and two images in folders, and their pixels by split."""
    images = {"train": random_images(5), "test": random_images(2)}
    write_folder(tmp_path / "train_32x32", images["train"])
    write_folder(tmp_path / "valid_32x32", images["test"])
    return tmp_path, images


@pytest.fixture
def batches(tmp_path):
    """Ten batches of two images and one of three."""
    train = (random_images(20).reshape(10, 2, 3, 32, 32), generator.integers(1, 1001, (10, 2)))
    test = (random_images(3), np.array([1, 1000, 500]))
    return tmp_path, train, test


def refusal(data, stage="fit"):
    with pytest.raises(UserError) as caught:
        data.setup(stage)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message


@pytest.mark.parametrize("part", [2, 4096])
def test_folders_are_read(folders, monkeypatch, part):
    monkeypatch.setattr(png_files, "PART", part)
    root, images = folders
    (root / "train_32x32" / "readme.txt").write_text("not an image")
    (root / "train_32x32" / "._0000000.png").write_text("not an image")
    data = small_imagenet(root)
    data.setup("fit")
    data.setup("test")
    for split in ("train", "test"):
        np.testing.assert_array_equal(data.arrays(split).images, images[split])
    assert data.num_classes is None and data.val_size == 1


@pytest.mark.parametrize("prefix", ["", "train_32x32/", "./train_32x32/"])
def test_a_tar_holds_what_its_folder_would(folders, tmp_path_factory, monkeypatch, prefix):
    monkeypatch.setattr(png_files, "PART", 2)
    _, images = folders
    root = tmp_path_factory.mktemp("tars")
    contents = [(f"{prefix}{number:07d}.png", png(image)) for number, image in enumerate(images["train"])]
    extra = [("long" * 60 + "/notes.txt", b"x" * 700), (f"{prefix}._0000001.png", b"x"), (contents[0][0], b"replaced")]
    write_tar(root / "train_32x32.tar", [*extra, *reversed(contents)])
    np.testing.assert_array_equal(small_imagenet(root).arrays("train").images, images["train"])


def test_sixty_four_pixels(tmp_path):
    images = random_images(2, 64)
    write_folder(tmp_path / "train_64x64", images)
    np.testing.assert_array_equal(small_imagenet(tmp_path, resolution=64).arrays("train").images, images)


def test_links_in_a_folder_add_nothing(folders):
    root, images = folders
    for name in ("self", "again"):
        (root / "train_32x32" / name).symlink_to(".")
    np.testing.assert_array_equal(small_imagenet(root).arrays("train").images, images["train"])


def test_grey_images_are_colours(folders):
    root, _ = folders
    Image.new("L", (32, 32), 40).save(root / "train_32x32" / "0000001.png")
    assert small_imagenet(root).arrays("train").images[1].tolist() == np.full((3, 32, 32), 40).tolist()


@pytest.mark.parametrize("form", ["pickle", "npz"])
def test_batches_are_read_with_labels_from_zero_on(batches, form):
    root, train, test = batches
    write_batches(root, train, test, form)
    data = small_imagenet(root, "chrabaszcz")
    np.testing.assert_array_equal(data.arrays("train").images, train[0].reshape(20, 3, 32, 32))
    np.testing.assert_array_equal(data.arrays("train").labels, train[1].ravel() - 1)
    np.testing.assert_array_equal(data.arrays("test").images, test[0])
    assert data.arrays("test").labels.tolist() == [0, 999, 499] and data.num_classes == 1000


def test_converted_arrays_need_no_files_and_stand_where_they_are_wanted(folders, tmp_path_factory):
    root, images = folders
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "new"
    small_imagenet(root, converted=str(elsewhere)).setup("fit")
    assert sorted(file.name for file in root.iterdir()) == ["train_32x32", "valid_32x32"]
    (root / "train_32x32").rename(root / "away")
    again = small_imagenet(root, converted=str(elsewhere))
    np.testing.assert_array_equal(again.arrays("train").images, images["train"])


def test_the_log_names_the_variant_and_says_where_images_are_missing(folders, caplog):
    with caplog.at_level(logging.INFO):
        small_imagenet(folders[0]).setup("fit")
    assert "32x32 of van den Oord et al. 2016 (data.variant=oord): 5 train images" in caplog.text
    assert "The published train set has 1,281,149 images" in caplog.text


def test_shuffled_batches_hold_the_images_of_their_index_in_workers_too(folders):
    root, images = folders
    orders = []
    for num_workers in (0, 2):
        batches = list(small_imagenet(root, num_workers=num_workers).train_dataloader())
        for batch in batches:
            np.testing.assert_array_equal(batch["images"], images["train"][batch["index"]])
        orders.append([batch["index"].tolist() for batch in batches])
    assert orders[0] == orders[1] and len(set(np.ravel(orders[0]))) == 4


def cut(content):
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (cut, "is cut short: REMEDY"),
        (lambda content: content[:-8], "is cut short: REMEDY"),
        (lambda content: b"", r"cannot be read as an image \(.*\): REMEDY"),
        (lambda content: b"GIF89a" + content, r"cannot be read as an image \(.*\): REMEDY"),
        (lambda content: content[:200] + bytes(200) + content[400:], r"cannot be read as an image \(.*\): REMEDY"),
        (lambda content: png(random_images(1, 64)[0]), r"is 64x64 where data\.resolution=32 asks for 32x32"),
    ],
)
@pytest.mark.parametrize("form", ["folder", "tar"])
def test_odd_png_files_are_named(tmp_path, spoil, fault, form):
    contents = [png(image) for image in random_images(4)]
    contents[2] = spoil(contents[2])
    if form == "tar":
        write_tar(tmp_path / "train_32x32.tar", [(f"{k}.png", content) for k, content in enumerate(contents)])
    else:
        (tmp_path / "train_32x32").mkdir()
        for k, content in enumerate(contents):
            (tmp_path / "train_32x32" / f"{k}.png").write_bytes(content)
    file = tmp_path / ("train_32x32.tar" if form == "tar" else "train_32x32") / "2.png"
    fault = fault.replace("REMEDY", "download the archive again" if form == "tar" else "replace or remove it")
    with pytest.raises(UserError, match=rf"^{file} {fault}.*\.$"):
        small_imagenet(tmp_path).setup("fit")


def test_every_cut_through_a_tar_is_noticed(tmp_path):
    write_tar(tmp_path / "train_32x32.tar", [(f"{k}.png", png(image)) for k, image in enumerate(random_images(2))])
    whole = (tmp_path / "train_32x32.tar").read_bytes()
    end = len(whole.rstrip(b"\0"))
    for length in [*range(0, end, 500), *range(0, end, 512), end]:
        (tmp_path / "train_32x32.tar").write_bytes(whole[:length])
        assert "train_32x32.tar" in refusal(small_imagenet(tmp_path))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_damaged_header_in_a_tar_is_noticed(tmp_path, place):
    file = tmp_path / "train_32x32.tar"
    write_tar(file, [(f"{k}.png", png(image)) for k, image in enumerate(random_images(3))])
    content = bytearray(file.read_bytes())
    with tarfile.open(file) as archive:
        content[archive.getmembers()[place].offset + 150] ^= 1  # in the checksum
    file.write_bytes(content)
    assert str(file) in refusal(small_imagenet(tmp_path))


def test_compressed_and_empty_sources_are_refused(tmp_path):
    write_tar(tmp_path / "train_32x32.tar", [("0.png", png(random_images(1)[0]))], "w:gz")
    assert "train_32x32.tar is damaged or not an uncompressed tar" in refusal(small_imagenet(tmp_path))
    write_tar(tmp_path / "train_32x32.tar", [])
    assert r"train_32x32.tar holds no files that end in .png" in refusal(small_imagenet(tmp_path))
    (tmp_path / "train_64x64").mkdir()
    assert r"train_64x64 holds no files that end in .png" in refusal(small_imagenet(tmp_path, resolution=64))


def test_a_replaced_png_file_is_read_when_the_command_is_repeated(folders):
    root, images = folders
    file = root / "train_32x32" / "0000003.png"
    file.write_bytes(b"")
    assert str(file) in refusal(small_imagenet(root))
    file.write_bytes(png(images["train"][3]))
    np.testing.assert_array_equal(small_imagenet(root).arrays("train").images, images["train"])


def unsafe(root):
    class Unsafe:
        def __reduce__(self):
            return os.mkdir, (str(root / "trace"),)

    return pickle.dumps({"data": Unsafe(), "labels": [1, 2]})


def spoilt(root, **changes):
    stored = {"data": np.zeros((2, 3072), np.uint8), "labels": [1, 2], **changes}
    return pickle.dumps({name: value for name, value in stored.items() if value is not None}, 3)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (lambda root: b"", "cannot be read as plain arrays"),
        (lambda root: cut(spoilt(root)), "cannot be read as plain arrays"),
        (unsafe, r"cannot be read as plain arrays \(it names posix\.mkdir, which is not plain data\)"),
        (lambda root: pickle.dumps([1]), "holds no `data`"),
        (lambda root: pickle.dumps(1), "cannot be read as plain arrays"),
        (lambda root: spoilt(root, data=None), "holds no `data`"),
        (lambda root: spoilt(root, labels=None), "holds no `labels`"),
        (lambda root: spoilt(root, data=np.zeros((2, 12288), np.uint8)), r"shape \(2, 12288\), .*data\.resolution"),
        (lambda root: spoilt(root, data=np.zeros((2, 3072))), "holds `data` of type float64"),
        (lambda root: spoilt(root, data=[[0] * 3072] * 2), "holds `data` of type int64"),
        (lambda root: spoilt(root, data=[[0], [0, 1]]), "cannot be read as plain arrays"),
        (lambda root: spoilt(root, labels=[0, 1]), "holds `labels`"),
        (lambda root: spoilt(root, labels=[1, 1001]), "holds `labels`"),
        (lambda root: spoilt(root, labels=[1]), r"shape \(1,\) for 2 images"),
        (lambda root: spoilt(root, labels=["1", "2"]), "holds `labels`"),
    ],
)
def test_odd_batches_are_named(batches, content, fault):
    root, train, test = batches
    write_batches(root, train, test)
    (root / "train_data_batch_3").write_bytes(content(root))
    with pytest.raises(UserError, match=rf"^{root}/train_data_batch_3 .*{fault}.*\.$"):
        small_imagenet(root, "chrabaszcz").setup("fit")
    assert not (root / "trace").exists()


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_reading_takes_no_more_memory_than_the_images(tmp_path, protocol):
    images = random_images(2000).reshape(2000, -1)
    (tmp_path / "batch").write_bytes(pickle.dumps({"data": images, "labels": [1] * 2000}, protocol))
    tracemalloc.start()
    try:
        read_batch(tmp_path / "batch", 32)
        assert tracemalloc.get_traced_memory()[1] < 1.1 * images.nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("spoil", [cut, lambda content: b"", lambda content: b"text"])
def test_odd_npz_files_are_named(batches, spoil):
    root, train, test = batches
    write_batches(root, train, test, "npz")
    file = root / "train_data_batch_7.npz"
    file.write_bytes(spoil(file.read_bytes()))
    assert refusal(small_imagenet(root, "chrabaszcz")).startswith(f"{file} cannot be read as plain arrays")
    np.savez(file, data=np.array([None]), labels=[1])
    assert refusal(small_imagenet(root, "chrabaszcz")).startswith(f"{file} cannot be read as plain arrays")


def test_a_missing_batch_is_named(batches):
    root, train, test = batches
    write_batches(root, train, test)
    (root / "train_data_batch_10").unlink()
    message = refusal(small_imagenet(root, "chrabaszcz"))
    assert message.startswith(f"data.root={root} has no train_data_batch_10 or train_data_batch_10.npz: ")


def test_absent_files_are_explained(tmp_path):
    message = refusal(small_imagenet(tmp_path, resolution=64))
    assert all(part in message for part in ("train_64x64", "valid_64x64.tar", "academictorrents.com", str(tmp_path)))
    message = refusal(small_imagenet(tmp_path, "chrabaszcz"))
    assert all(part in message for part in ("https://image-net.org", "train_data_batch_1", str(tmp_path)))


def test_a_missing_split_is_named(folders):
    root, _ = folders
    (root / "valid_32x32").rename(root / "away")
    small_imagenet(root).setup("fit")
    assert f"data.root={root} has no valid_32x32 or valid_32x32.tar: " in refusal(small_imagenet(root), "test")


def test_variants_are_not_taken_for_each_other(folders, batches):
    root, _ = folders
    assert "data.variant=oord" in refusal(small_imagenet(root, "chrabaszcz"))
    write_batches(*batches)
    for variant in ("oord", "chrabaszcz"):
        message = refusal(small_imagenet(root, variant))
        assert f"data.root={root} holds both variants, train_32x32 " in message and "train_data_batch_1 " in message
    for split in ("train", "valid"):
        (root / f"{split}_32x32").rename(root / f"away_{split}")
    message = refusal(small_imagenet(root))
    assert "train_data_batch_1 of Chrabaszcz" in message and "set data.variant=chrabaszcz" in message
    small_imagenet(root, "chrabaszcz").setup("fit")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resolution": 48}, r"^data\.resolution=48 "),
        ({"variant": "new"}, r"^data\.variant=new .* oord and chrabaszcz"),
    ],
)
def test_what_does_not_exist_is_refused(tmp_path, arguments, message):
    with pytest.raises(UserError, match=message):
        small_imagenet(tmp_path, **arguments)
