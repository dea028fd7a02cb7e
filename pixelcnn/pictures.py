"""Pictures of images: grids as PNG files."""

import math
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid

from pixelcnn.decoding import Decoder
from pixelcnn.durable import replacing

SMALLEST_SIDE = 64  # pixels; smaller images are enlarged, so that digits can be seen


def black_to_white(images: Tensor, levels: int) -> Tensor:
    """``images``, integers (N, C, H, W) of 0 .. levels-1, scaled to uint8 0 .. 255.

    If there are not 1 or 3 channels, as for codes, their mean is returned, (N, 1, H, W).
    """
    highest = levels - 1
    scaled = (images.int() * 255 + highest // 2) // highest
    shown = scaled if scaled.shape[1] in (1, 3) else scaled.sum(dim=1, keepdim=True) // scaled.shape[1]
    return shown.to(torch.uint8)


def enlarged(images: Tensor, levels: int) -> Tensor:
    """`black_to_white` images; small ones are enlarged by a whole factor (nearest neighbour)."""
    scaled = black_to_white(images, levels)
    factor = max(1, SMALLEST_SIDE // max(images.shape[-2:]))
    return scaled.repeat_interleave(factor, dim=-2).repeat_interleave(factor, dim=-1)


def grid(images: Tensor, levels: int, columns: int | None = None) -> Tensor:
    """One picture of all ``images``, row by row: uint8 (3, height, width).

    ``images`` as in `enlarged`. ``columns`` defaults to the square root of N, rounded up.
    """
    shown = enlarged(images, levels).cpu()
    return make_grid(shown, nrow=columns or math.ceil(math.sqrt(len(images))), pad_value=255)


def grid_of(images: Tensor, levels: int, decoder: Decoder | None, columns: int | None = None) -> Tensor:
    """`grid` of ``images``, or of their pictures by ``decoder``."""
    return grid(images, levels, columns) if decoder is None else grid(decoder(images), 256, columns)


def save(picture: Tensor, path: Path) -> None:
    """Write a picture, uint8 (3, height, width), as PNG, atomically; creates its folder if necessary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(file, format="PNG")
