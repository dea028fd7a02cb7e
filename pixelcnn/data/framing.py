"""Images brought to one size: a centre crop, then a resize."""

from dataclasses import dataclass
from typing import Literal

from PIL import Image

from pixelcnn.errors import require

Size = int | list[int] | None  # a side, or height and width
Crop = int | list[int] | Literal["square"] | None


@dataclass(frozen=True)
class Framing:
    """Crops images to ``crop`` about the centre, then resizes them to ``size``; None leaves them as they are.

    A crop larger than an image pads it with black; "square" is the largest square within each image.
    Resizing is bicubic and antialiased (Pillow's) and does not keep proportions. Raises OutOfRangeError naming the key.
    """

    size: Size = None
    crop: Crop = None

    def __post_init__(self) -> None:
        for key, value in (("data.size", self.size), ("data.crop", self.crop)):
            if value is not None and value != "square":
                fits = isinstance(value, int) or len(value) == 2
                fits = fits and min(_height_and_width(value)) >= 1  # type: ignore[arg-type]
                require(fits, key, value, "use a number of pixels, or [height,width]")

    def __call__(self, image: Image.Image) -> Image.Image:
        """``image``, grey or RGB, cropped and resized."""
        if self.crop is not None:
            square = min(image.size)
            height, width = _height_and_width(square if self.crop == "square" else self.crop)  # type: ignore[arg-type]
            left, top = (image.width - width) // 2, (image.height - height) // 2
            image = image.crop((left, top, left + width, top + height))
        if self.size is not None:
            height, width = _height_and_width(self.size)
            image = image.resize((width, height), Image.Resampling.BICUBIC)
        return image


AS_IT_IS = Framing()


def _height_and_width(size: int | list[int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    return height, width
