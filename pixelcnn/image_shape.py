"""The image shape that a model and a data set share."""

from collections.abc import Sequence
from dataclasses import dataclass

from pixelcnn.errors import require


@dataclass(frozen=True)
class ImageShape:
    """Images of integers 0 .. levels-1 and shape (channels, height, width)."""

    channels: int
    height: int
    width: int
    levels: int = 256

    def __post_init__(self) -> None:
        require(self.channels in (1, 3), "channels", self.channels, "images have 1 or 3 channels")
        require(self.height > 0 and self.width > 0, "image size", f"{self.height}x{self.width}", "it must be positive")
        require(2 <= self.levels <= 256, "levels", self.levels, "uint8 images have 2 to 256 grey levels")

    @classmethod
    def of(cls, image: "ImageShape | Sequence[int]") -> "ImageShape":
        """``image`` itself, or the shape of (channels, height, width) or (channels, height, width, levels)."""
        return image if isinstance(image, cls) else cls(*image)  # type: ignore[misc]

    def __str__(self) -> str:
        return f"{self.height}x{self.width} with {self.channels} channels and {self.levels} levels"

    @property
    def dimensions(self) -> int:
        """Number of sub-pixels per image, the denominator of bits per dimension."""
        return self.channels * self.height * self.width
