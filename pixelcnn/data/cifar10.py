"""``data=cifar10``: 50,000 + 10,000 colour photographs of 32x32 pixels in ten classes."""

from http.client import HTTPException
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from filelock import FileLock
from torchvision import datasets

from pixelcnn.data.base import ImageArrays, ImageDataModule
from pixelcnn.errors import UserError


class CIFAR10(ImageDataModule):
    """CIFAR-10 by torchvision, which checks every file; downloaded under ``root`` when it is not there yet."""

    source: ClassVar[type[datasets.CIFAR10]] = datasets.CIFAR10

    def __init__(self, root: str, **loading: Any) -> None:
        super().__init__(**loading)
        self.root = Path(root)

    def where(self) -> str:
        """The folder of its files, whose content is not looked at."""
        folder = self.root / self.source.base_folder
        files = [folder / name for name, _ in (*self.source.train_list, *self.source.test_list)]
        if not all(file.is_file() for file in files):
            raise self._absent(f"is not in {folder} yet (a run that uses it downloads 170 MB)")
        return str(folder)

    def prepare_data(self) -> None:
        """Download the files unless they are there; raises UserError where that fails."""
        if self._read(train=False) is not None:
            return
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(self.root / ".cifar10.lock"):  # several processes of one run may start on an empty folder
                self.source(self.root, train=False, download=True)
        except (OSError, HTTPException, RuntimeError) as error:
            raise self._absent(f"could not be downloaded ({error})") from error

    def load(self, split: str) -> ImageArrays:
        """The official training or test set with its labels."""
        stored = self._read(train=split == "train")
        if stored is None:
            raise self._absent("is not there or damaged")
        labels, names = np.array(stored.targets, np.int64), tuple(stored.classes)
        return ImageArrays(stored.data.transpose(0, 3, 1, 2), labels=labels, class_names=names)

    def _read(self, train: bool) -> datasets.CIFAR10 | None:
        try:
            return self.source(self.root, train=train)
        except RuntimeError:  # torchvision's word for absent or damaged files
            return None

    def _absent(self, fault: str) -> UserError:
        return UserError(
            f"CIFAR-10 {fault}: unpack {self.source.url} so that its files stand in "
            f"{self.root / self.source.base_folder}, or choose a data set that needs no download, "
            "data=digits (embedded), data=images (a folder of yours) or data=arrays (.npz files of yours)."
        )
