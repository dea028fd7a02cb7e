"""``data=huggingface``: data sets of images of the Hugging Face Hub, or folders that its library reads."""

from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np

from pixelcnn.data.base import ImageArrays, ImageDataModule
from pixelcnn.data.framing import Crop, Framing, Size
from pixelcnn.data.images import decode, read_pixels, require_channels
from pixelcnn.data.items import UNLABELLED, arrays_of
from pixelcnn.errors import UserError

SAVED = "dataset_dict.json"  # in a folder written by DatasetDict.save_to_disk
LONGEST = 300  # characters of the library's message


class HuggingFace(ImageDataModule):
    """A data set that the library ``datasets`` loads, converted into mapped arrays when a split is first used."""

    def __init__(
        self,
        name: str | None,
        train: str = "train",
        test: str = "test",
        image_key: str | None = None,
        label_key: str | None = None,
        channels: int | None = None,
        size: Size = None,
        crop: Crop = None,
        options: dict | None = None,
        converted: str = "data",
        **loading: Any,
    ) -> None:
        """``name`` is OWNER/NAME on the Hub, or a folder; ``train`` and ``test`` are splits, as in "train[:90%]".

        ``image_key`` and ``label_key`` are columns; None: the only column of images, the first of class labels.
        ``channels``, ``size`` and ``crop`` are those of `Images`, ``options`` further arguments of ``load_dataset``;
        ``converted`` is the folder of the arrays.
        """
        super().__init__(**loading)
        if name is None:
            raise UserError("data.name is not set: give data.name=OWNER/NAME of the Hugging Face Hub, or a folder.")
        require_channels(channels)
        self.source = name
        self.splits = {"train": train, "test": test}
        self.keys = image_key, label_key
        self.channels = channels
        self.framing = Framing(size, crop)
        self.options = options or {}
        self.converted = Path(converted)

    def where(self) -> str:
        """The folder, or the Hub, without contacting it."""
        _library()
        return (
            self.source if Path(self.source).is_dir() else f"{self.source} of the Hugging Face Hub, or its cache here"
        )

    def load(self, split: str) -> ImageArrays:
        """The images of ``split`` with their labels, where they have any; raises UserError as `decode`."""
        library = _library()
        rows = self._rows(library, split)
        image_key, label_key = self._columns(library, rows)
        label = None if label_key is None else rows.features[label_key]
        class_names = tuple(label.names) if isinstance(label, library.ClassLabel) else None
        name = Path(Path(self.source).name) / self.splits[split]
        key = (rows._fingerprint, image_key, label_key, self.channels, self.framing)
        encoded = rows.cast_column(image_key, library.Image(decode=False))
        item = _Reader(encoded, image_key, label_key, name, self.channels, self.framing)
        return arrays_of(item, len(rows), name, class_names, self.converted, key)

    def _rows(self, library: Any, split: str) -> Any:
        where, of = f"data.name={self.source}", self.splits[split]
        try:
            if (Path(self.source) / SAVED).is_file():
                saved = library.load_from_disk(self.source)
                if of not in saved:
                    raise UserError(f"data.{split}={of} is not a split of {where}: it has {', '.join(saved)}.")
                return saved[of]
            return library.load_dataset(self.source, split=of, **self.options)
        except (OSError, ValueError, TypeError) as error:
            told = shorten(str(error), LONGEST, placeholder=" …").rstrip(".")
            raise UserError(
                f"{where} cannot be loaded ({told}): check data.name, data.{split}={of} and data.options; "
                "offline, set data.name=DIR to a folder of images or one written by DatasetDict.save_to_disk."
            ) from error

    def _columns(self, library: Any, rows: Any) -> tuple[str, str | None]:
        image_key, label_key = self.keys
        for key, column in (("data.image_key", image_key), ("data.label_key", label_key)):
            if column is not None and column not in rows.features:
                has = ", ".join(rows.features)
                raise UserError(f"{key}={column} is not a column of data.name={self.source}: it has {has}.")
        images = [column for column, kind in rows.features.items() if isinstance(kind, library.Image)]
        if image_key not in images and not (image_key is None and len(images) == 1):
            has = f"columns of images are {', '.join(images)}" if images else "it has no column of images"
            raise UserError(
                f"data.image_key={image_key or 'null'} does not select images of data.name={self.source}: {has}."
            )
        labels = [column for column, kind in rows.features.items() if isinstance(kind, library.ClassLabel)]
        if label_key is not None and "int" not in str(getattr(rows.features[label_key], "dtype", "")):
            raise UserError(f"data.label_key={label_key} is not a column of whole numbers: leave it out for no labels.")
        return image_key or images[0], label_key or next(iter(labels), None)


@dataclass(frozen=True)
class _Reader:
    rows: Any
    image_key: str
    label_key: str | None
    name: Path
    channels: int | None
    framing: Framing

    def __call__(self, place: int) -> tuple[np.ndarray, int]:
        row = self.rows[place]
        file = row[self.image_key]
        if file["bytes"] is None:
            pixels = read_pixels(Path(file["path"]), self.channels, self.framing)
        else:
            pixels = decode(file["bytes"], self.name / str(place), self.channels, self.framing)
        label = None if self.label_key is None else row[self.label_key]
        return pixels, UNLABELLED if label is None else label


def _library() -> Any:
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise UserError(
            f"data=huggingface needs a missing package ({error}): pip install -r requirements-huggingface.txt, "
            "or pip install 'pixelcnn[huggingface]'."
        ) from error
    return datasets
