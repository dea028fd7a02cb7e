"""A split's arrays in memory."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from pixelcnn.data.batches import Batch, batch_at
from pixelcnn.data.binarization import Binarization, Kind
from pixelcnn.errors import require
from pixelcnn.image_shape import ImageShape, array_type, tensor_type


@dataclass(frozen=True, eq=False)
class ImageArrays:
    """The arrays of a split. Integers keep their small types; the model scales or embeds them batch by batch."""

    images: np.ndarray  # uint8, or uint16 above 256 levels (N, C, H, W), 0 .. levels-1; may be a transposed view
    levels: int = 256
    labels: np.ndarray | None = None  # int64 (N,), 0 .. classes-1
    embeddings: np.ndarray | None = None  # float32 (N, D)
    maps: np.ndarray | None = None  # float32 (N, D, h, w), h and w dividing H and W
    class_names: tuple[str, ...] | None = None  # of the labels 0, 1, …, where they have any
    coarse: np.ndarray | None = None  # int32 (N, h, w), codes of a coarser level; h and w divide H and W
    coarse_levels: int | None = None  # ``coarse`` is 0 .. coarse_levels-1; None: up to its largest code
    stored_levels: int | None = None  # of ``images``, if batches have fewer: see `with_levels`
    binarization: Binarization | None = None  # from these levels to the two of batches

    def __post_init__(self) -> None:
        images = array_type(self.stored_levels or self.levels)
        floats = {"embeddings": np.float32, "maps": np.float32}
        dtypes: dict[str, Any] = {"images": images, "labels": np.int64, **floats, "coarse": np.int32}
        for name, column in self.columns.items():
            assert column.dtype == dtypes[name], f"{name} must be {np.dtype(dtypes[name])}, not {column.dtype}"
            assert len(column) == len(self.images), f"{len(column)} {name} for {len(self.images)} images"
        assert self.images.ndim == 4 and len(self.images), f"images of shape {self.images.shape}, not (N, C, H, W)"

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """The arrays that are not None, by their names in a batch."""
        names = ("images", "labels", "embeddings", "maps", "coarse")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def num_codes(self) -> int | None:
        """The number of codes of ``coarse``; None without it."""
        if self.coarse is None:
            return None
        return int(self.coarse.max()) + 1 if self.coarse_levels is None else self.coarse_levels

    @property
    def num_features(self) -> dict[str, int]:
        """D of ``embeddings`` and ``maps``, for those that are not None."""
        return {name: self.columns[name].shape[1] for name in ("embeddings", "maps") if name in self.columns}

    @property
    def shape(self) -> ImageShape:
        """Channels, height, width and levels; UserError if no model can have them."""
        channels, height, width = self.images.shape[1:]
        return ImageShape(channels, height, width, self.levels if self.binarization is None else 2)

    def with_levels(self, levels: int | None) -> "ImageArrays":
        """The same images with ``levels`` levels in batches; None: with their own.

        A value x of L levels becomes x * levels // L. Raises OutOfRangeError if ``levels`` is more than L.
        """
        if levels in (None, self.levels):
            return self
        assert levels is not None
        remedy = f"the images have {self.levels} levels; use 2 to {self.levels}"
        require(2 <= levels <= self.levels, "data.levels", levels, remedy)
        return replace(self, levels=levels, stored_levels=self.levels)

    def binarized(self, kind: Kind | None, seed: int, split: str) -> "ImageArrays":
        """The same images with two levels in batches, by `Binarization`; unchanged if ``kind`` is None."""
        return self if kind is None else replace(self, binarization=Binarization(kind, seed, split, self.levels))

    def at(self, places: np.ndarray) -> Batch:
        """The rows at ``places`` int64 (B,) of every array, as `batch_at` returns them."""
        batch = batch_at(places, self.columns)
        # Per batch, not for all images at once: mapped files stay mapped.
        images = torch.from_numpy(self.reduced(batch["images"].numpy())).to(tensor_type(self.levels))
        if self.binarization is not None:
            images = self.binarization(images, places)
        return {**batch, "images": images}

    def reduced(self, values: np.ndarray) -> np.ndarray:
        """``values`` of ``images``, of any shape, converted as in batches."""
        if self.stored_levels is None:
            return values
        of_level = np.arange(self.stored_levels) * self.levels // self.stored_levels
        return of_level.astype(array_type(self.levels))[values]
