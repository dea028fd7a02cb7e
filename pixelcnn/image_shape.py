"""The image shape that a model and a data set share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn.errors import require

MOST_LEVELS = 2**16
MOST_CHANNELS = 2**16 - 1
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.uint16, torch.int32, torch.int64)


@dataclass(frozen=True)
class ImageShape:
    """Images of integers 0 .. levels-1 and shape (channels, height, width)."""

    channels: int
    height: int
    width: int
    levels: int = 256

    def __post_init__(self) -> None:
        for name in ("channels", "height", "width", "levels"):
            require(isinstance(getattr(self, name), int), name, getattr(self, name), "use a whole number")
        require(1 <= self.channels <= MOST_CHANNELS, "channels", self.channels, "use a positive number")
        require(self.height > 0 and self.width > 0, "image size", f"{self.height}x{self.width}", "it must be positive")
        require(2 <= self.levels <= MOST_LEVELS, "levels", self.levels, f"use 2 to {MOST_LEVELS}")

    @classmethod
    def of(cls, image: "ImageShape | Sequence[int]") -> "ImageShape":
        """``image`` itself, or the shape of (channels, height, width) or (channels, height, width, levels)."""
        return image if isinstance(image, cls) else cls(*image)  # type: ignore[misc]

    def __str__(self) -> str:
        return f"{self.height}x{self.width} with {self.channels} channels and {self.levels} levels"

    @property
    def dimensions(self) -> int:
        """Number of sub-pixels per image, the denominator of bits/dim."""
        return self.channels * self.height * self.width

    @property
    def dtype(self) -> torch.dtype:
        """The type of tensors of such images, see `tensor_type`."""
        return tensor_type(self.levels)

    def has_form_of(self, images: Tensor) -> bool:
        """Whether ``images`` are integers (N, channels, H, W), of any size."""
        return images.dtype in INTEGERS and images.ndim == 4 and images.shape[1] == self.channels

    def out_of_range(self, images: Tensor) -> int | None:
        """One of the integers ``images`` that is not among the levels; None if all are."""
        if not images.numel() or (images.dtype == torch.uint8 and self.levels >= 256):
            return None
        lowest, highest = map(int, images.to(torch.int32 if images.dtype == torch.uint16 else images.dtype).aminmax())
        return lowest if lowest < 0 else highest if highest >= self.levels else None


def tensor_type(levels: int) -> torch.dtype:
    """The type of tensors of images with so many levels: torch.uint8, or torch.int32 above 256 levels.

    Not torch.uint16, for which torch has neither comparisons nor indexing.
    """
    return torch.uint8 if levels <= 256 else torch.int32


def array_type(levels: int) -> np.dtype[Any]:
    """The type of arrays of images with so many levels, in files and data sets: uint8, or uint16 above 256 levels."""
    return np.dtype(np.uint8 if levels <= 256 else np.uint16)


def channels_last(images: Tensor, levels: int) -> np.ndarray:
    """``images`` (N, C, H, W) with so many levels, as files hold them: (N, H, W, C) of `array_type`."""
    return np.ascontiguousarray(images.permute(0, 2, 3, 1).cpu().numpy().astype(array_type(levels), copy=False))
