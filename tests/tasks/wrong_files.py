"""Files that are wrong in one way each, and a few right ones beside which they stand."""

import os
import pickle
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pixelcnn.checkpoint import PREFIX, entry, export
from pixelcnn.conditioning import ClassLabels, Vectors
from pixelcnn.model import PixelModel, build
from tests.conftest import tiny_description

RUN, TEST = 24, 11  # images to train on, and to test on
SIDE = 8
PICKLED = "ran"  # the file that the pickled call would make


class Call:
    """Unpickled, it leaves a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.file),))


def images(n: int = RUN, shape: tuple[int, ...] = (SIDE, SIDE, 3), highest: int = 255) -> np.ndarray:
    return np.random.default_rng(0).integers(0, highest + 1, (n, *shape)).astype(np.uint8)


def make_wrong_files(folder: Path) -> None:
    """Fill ``folder``."""
    _make_arrays(folder)
    _make_folders(folder)
    _make_single_images(folder)
    _make_checkpoints(folder)
    (folder / "file").write_text("a file where a folder should be")


def _make_arrays(folder: Path) -> None:
    labels = np.arange(RUN) % 3
    embeddings = np.ones((RUN, 4), np.float32)
    with_nan = embeddings.copy()
    with_nan[3, 1] = np.nan
    stored: dict[str, dict[str, Any]] = {
        "train": dict(images=images(), labels=labels, embeddings=embeddings),
        "test": dict(images=images(TEST), labels=labels[:TEST], embeddings=embeddings[:TEST]),
        "unlabelled": dict(images=images()),
        "no_images": dict(pictures=images()),
        "floats": dict(images=images() / 255),
        "16_bit": dict(images=images().astype(np.int16)),
        "flat": dict(images=images().reshape(RUN, -1)),
        "two_channels": dict(images=images(shape=(SIDE, SIDE, 2))),
        "none": dict(images=images(0)),
        "odd": dict(images=images(shape=(7, 9, 3))),
        "16x16": dict(images=images(TEST, (16, 16, 3))),
        "grey": dict(images=images(TEST, (SIDE, SIDE, 1))),
        "above_levels": dict(images=images(), levels=np.array(17)),
        "levels": dict(images=images(), levels=np.array(3.5)),
        "negative_labels": dict(images=images(), labels=labels - 1),
        "float_labels": dict(images=images(), labels=labels / 2),
        "huge_labels": dict(images=images(), labels=labels + 2**40),
        "few_labels": dict(images=images(), labels=labels[1:]),
        "other_labels": dict(images=images(TEST), labels=labels[:TEST] + 7),
        "nan": dict(images=images(), embeddings=with_nan),
        "integers": dict(images=images(), embeddings=np.ones((RUN, 4), int)),
        "three_features": dict(images=images(TEST), embeddings=embeddings[:TEST, :3]),
        "small_maps": dict(images=images(), maps=np.ones((RUN, 2, 3, 3), np.float32)),
        "objects": dict(images=np.array([Call(folder / PICKLED)], dtype=object)),
    }
    for name, arrays in stored.items():
        np.savez(folder / f"{name}.npz", **arrays)
    np.save(folder / "single.npy", images())
    whole = (folder / "train.npz").read_bytes()
    (folder / "truncated.npz").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.npz").write_bytes(b"")
    (folder / "text.npz").write_text("no archive\n")
    (folder / "pickle.npz").write_bytes(pickle.dumps(Call(folder / PICKLED)))
    with zipfile.ZipFile(folder / "texts.npz", "w") as archive:
        archive.writestr("images.npy", "no array")
    os.mkfifo(folder / "pipe.npz")
    (folder / "dangling.npz").symlink_to(folder / "nowhere")


def _make_folders(folder: Path) -> None:
    picture = Image.fromarray(images(1)[0])
    grey = Image.fromarray(images(1)[0, :, :, 0])
    png = _bytes_of(picture, folder / "right.png")

    def data_set(name: str) -> Path:
        for split in ("train", "test"):
            (folder / name / split).mkdir(parents=True)
            for i in range(6):
                (folder / name / split / f"{i}.png").write_bytes(png)
        return folder / name / "train"

    (data_set("truncated") / "5.png").write_bytes(png[:60])
    (data_set("without_end") / "5.png").write_bytes(png[:-8])
    (data_set("empty") / "5.png").write_bytes(b"")
    (data_set("text") / "5.png").write_text("no image")
    Image.fromarray(images(1, (9, 7, 3))[0]).save(data_set("odd_size") / "5.png")
    Image.fromarray(np.full((SIDE, SIDE), 300, np.uint16)).save(data_set("16_bit") / "5.png")
    picture.convert("CMYK").save(data_set("cmyk") / "5.jpg")
    picture.convert("RGBA").save(data_set("rgba") / "5.png")
    picture.convert("P").save(data_set("transparent") / "5.png", transparency=0)
    picture.save(data_set("gif") / "6.gif")
    picture.save(data_set("animated") / "5.webp", save_all=True, append_images=[grey.convert("RGB")])
    grey.save(data_set("grey") / "5.png")
    os.mkfifo(data_set("pipe") / "6.png")
    mixed = data_set("mixed")
    (mixed / "class").mkdir()
    picture.save(mixed / "class" / "0.png")
    (folder / "no_images" / "train").mkdir(parents=True)
    (folder / "no_train" / "test").mkdir(parents=True)


def _make_single_images(folder: Path) -> None:
    Image.fromarray(np.full((9, 9), 255, np.uint8)).save(folder / "large_mask.png")
    Image.fromarray(images(1, (16, 16, 3))[0]).save(folder / "large.png")
    (folder / "text.png").write_text("no image")


def _make_checkpoints(folder: Path) -> None:
    torch.manual_seed(0)
    kinds = {"none": None, "class": partial(ClassLabels, num_classes=3), "vector": partial(Vectors, num_features=4)}
    for name, conditioning in kinds.items():
        model = build(tiny_description(conditioning=conditioning))
        save(model, folder / f"{name}.ckpt")
        if conditioning is None:
            export(model, {}, folder / "exported")
    whole = (folder / "none.ckpt").read_bytes()
    (folder / "truncated.ckpt").write_bytes(whole[: len(whole) // 2])
    (folder / "text.ckpt").write_text("no checkpoint")
    (folder / "empty.ckpt").write_bytes(b"")
    (folder / "pickle.ckpt").write_bytes(pickle.dumps(Call(folder / PICKLED)))
    torch.save({"state_dict": {"weight": torch.zeros(2)}}, folder / "other.ckpt")
    torch.save({"state_dict": {}, "pixelcnn": {}}, folder / "no_description.ckpt")
    torch.save({"state_dict": {}, "pixelcnn": {"format": 9, "description": {}, "config": {}}}, folder / "future.ckpt")
    (folder / "cut").mkdir()
    (folder / "cut" / "config.yaml").write_bytes((folder / "exported" / "config.yaml").read_bytes())
    (folder / "cut" / "model.safetensors").write_bytes((folder / "exported" / "model.safetensors").read_bytes()[:99])


def save(model: PixelModel, file: Path) -> None:
    """A checkpoint of the weights alone."""
    weights = {PREFIX + key: value for key, value in model.state_dict().items()}
    torch.save({"state_dict": weights, "pixelcnn": entry(model, {})}, file)


def _bytes_of(image: Image.Image, file: Path) -> bytes:
    image.save(file)
    return file.read_bytes()
