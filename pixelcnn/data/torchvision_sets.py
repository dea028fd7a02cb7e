"""``data=torchvision``: torchvision's data sets of images with classes, by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from PIL import Image
from torch import Tensor
from torchvision import datasets

from pixelcnn.data.base import ImageArrays, ImageDataModule
from pixelcnn.data.framing import Crop, Framing, Size
from pixelcnn.data.images import pixels_of, require_channels
from pixelcnn.data.items import UNLABELLED, arrays_of
from pixelcnn.errors import UserError, require
from pixelcnn.signature import arguments_of, checked_arguments

# Arguments that this module passes, or that are functions.
GIVEN = ("root", "train", "download", "what", "transform", "target_transform", "transforms", "loader")
ABSENT = (RuntimeError, OSError)  # torchvision's words for absent or damaged files


class TorchvisionSet(ImageDataModule):
    """A torchvision data set; torchvision checks its files and downloads them to ``root`` if missing."""

    source: type[datasets.VisionDataset]
    title: str  # prefix of messages

    def __init__(
        self, root: str, channels: int | None = None, size: Size = None, crop: Crop = None, **loading: Any
    ) -> None:
        """``channels`` 1 or 3 converts every image to grey or RGB; ``crop`` and ``size`` are those of `Framing`."""
        super().__init__(**loading)
        require_channels(channels)
        self.root = Path(root)
        self.channels = channels
        self.framing = Framing(size, crop)
        self.options: Mapping[str, Any] = {}
        self.splits = {"train": "train", "test": "test"}
        self.converted = self.root

    def where(self) -> str:
        """The folder of its files."""
        if self._missing():
            raise self._absent(f"is not in {self.root} yet (a run that uses it downloads it)")
        return str(self.root)

    def prepare_data(self) -> None:
        """Download the files if missing; raises UserError if that fails."""
        for split in self._missing():
            try:
                self.root.mkdir(parents=True, exist_ok=True)
                # Several processes of one run may start on an empty folder.
                with FileLock(self.root / f".{self.source.__name__}.lock"):
                    self._open(split, download=True)
            except (*ABSENT, HTTPException) as error:
                told = " ".join(str(error).split())
                raise self._absent(f"could not be read or downloaded ({told})") from error

    def load(self, split: str) -> ImageArrays:
        """The images of ``split``, with labels if each has one; mapped if they are files."""
        source = self._opened(split)
        if source is None:
            raise self._absent("is not there or damaged")
        name = Path(self.source.__name__) / self.splits[split]
        classes = [one if isinstance(one, str) else one[0] for one in getattr(source, "classes", None) or ()]
        in_memory = isinstance(getattr(source, "data", None), np.ndarray | Tensor)
        converted = None if in_memory else self.converted
        item = _Reader(source, name, self.channels, self.framing)
        key = (self.options, self.splits[split], self.channels, self.framing)
        return arrays_of(item, len(source), name, tuple(classes) or None, converted, key)

    def _missing(self) -> list[str]:
        return [split for split in ("train", "test") if self._opened(split) is None]

    def _opened(self, split: str) -> datasets.VisionDataset | None:
        try:
            return self._open(split)
        except ABSENT:
            return None

    def _open(self, split: str, download: bool = False) -> Any:
        known = arguments_of(self.source)
        chosen: dict[str, Any] = {"train": split == "train"} if "train" in known else {"split": self.splits[split]}
        if download and "download" in known:
            chosen["download"] = True
        try:
            return self.source(self.root, **{**self.options, **chosen})
        except (ValueError, TypeError, AssertionError) as error:
            told = " ".join(str(error).split()).rstrip(".") or "its files are damaged"
            raise UserError(
                f"{self.title} is rejected by torchvision ({told}): change data.options, data.train or data.test, or "
                f"download its files into data.root={self.root} again."
            ) from error

    def _absent(self, fault: str) -> UserError:
        return UserError(
            f"{self.title} {fault}: {self._remedy()}, or choose a data set that needs no download, "
            "data=digits (embedded), data=images (a folder of yours) or data=arrays (.npz files of yours)."
        )

    def _remedy(self) -> str:
        name = self.source.__name__
        return f"put its files under data.root={self.root} as the documentation of torchvision.datasets.{name} says"


class Torchvision(TorchvisionSet):
    """The set of torchvision that is called ``name``, such as MNIST, FashionMNIST, EMNIST, SVHN or CelebA."""

    def __init__(
        self,
        name: str | None,
        root: str,
        train: str = "train",
        test: str = "test",
        options: dict | None = None,
        converted: str | None = None,
        **loading: Any,
    ) -> None:
        """``train`` and ``test`` are names of splits, where the set has several ("extra", "val").

        ``options`` are further arguments of its class. Sets of image files are converted into mapped arrays in the
        folder ``converted``, by default ``root``.
        """
        super().__init__(root, **loading)
        self.source = _named(name)
        self.title = f"data.name={name}"
        self.splits = {"train": train, "test": test}
        known = arguments_of(self.source)
        if "train" in known:
            for key, value in (("train", train), ("test", test)):
                require(value == key, f"data.{key}", value, f"{name} has only the splits train and test")
        given = [one for one in known if one in GIVEN or (one == "split" and "train" not in known)]
        typed = checked_arguments(self.source, options or {}, given, "data.options.")
        self.options = {key: typed[key] for key in options or {}}
        if converted is not None:
            self.converted = Path(converted)


@dataclass(frozen=True)
class _Reader:
    source: Any
    name: Path
    channels: int | None
    framing: Framing

    def __call__(self, place: int) -> tuple[np.ndarray, int]:
        item = self.source[place]
        if not (isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], Image.Image)):
            name = type(self.source).__name__
            raise UserError(
                f"data.name={name} is not a set of images with one class each: choose another, such as MNIST."
            )
        image, target = item
        if isinstance(target, Tensor) and target.ndim == 0:
            target = int(target)
        label = target if isinstance(target, int) else UNLABELLED
        return pixels_of(image, self.name / str(place), self.channels, self.framing), label


def _named(name: str | None) -> type[datasets.VisionDataset]:
    """torchvision's class called ``name``; UserError if there is none, or it lacks two splits."""
    if name is None:
        raise UserError("data.name is not set: give data.name=MNIST, or another of torchvision's data sets.")
    classes = [one for one in map(vars(datasets).get, datasets.__all__) if isinstance(one, type)]
    split = {one.__name__: one for one in classes if {"train", "split"} & arguments_of(one).keys()}
    if name in split:
        return split[name]
    if any(one.__name__ == name for one in classes):
        raise UserError(
            f"data.name={name} has no training and test split in torchvision: "
            "put its images into folders train and test, and use data=images."
        )
    lower = {one.lower(): one for one in split}
    close = get_close_matches(name.lower(), lower, 1)
    meant = f"did you mean {lower[close[0]]}?" if close else "use MNIST, FashionMNIST, SVHN or another of them."
    raise UserError(f"data.name={name} is not a data set of torchvision: {meant}")
