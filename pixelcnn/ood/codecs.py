"""Lengths of images in lossless codecs: an estimate of their complexity that is independent of any data set."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pixelcnn.errors import UserError


def codec_bits(images: Tensor, codecs: Sequence[str] = ("png", "webp")) -> Tensor:
    """Length in bits of each image in the codec that is shortest for it, float64 (N,).

    ``images``: uint8 (N, C, H, W) of 1 or 3 channels. ``codecs``: names of `CODECS`. UserError for other names, missing
    packages and other images.
    """
    if images.dtype != torch.uint8 or images.shape[1] not in (1, 3):
        raise UserError(
            f"images of {images.dtype} with {images.shape[1]} channels do not suit codecs, which need 8-bit grey or "
            "RGB: leave out scores=complexity."
        )
    if not codecs:
        raise UserError(f"codecs=[] is empty: choose from {', '.join(CODECS)}.")
    for name in codecs:
        if name not in CODECS:
            raise UserError(f"codecs={name} does not exist: choose from {', '.join(CODECS)}.")
    channels_last = images.permute(0, 2, 3, 1).cpu().numpy()
    pixels = [np.ascontiguousarray(image.squeeze(-1) if image.shape[-1] == 1 else image) for image in channels_last]
    bytes_of = [min(len(CODECS[name](image)) for name in codecs) for image in pixels]
    return 8 * torch.tensor(bytes_of, dtype=torch.float64)


# Pillow's JPEG 2000 is a third longer, and it has no JPEG XL.
CODECS: dict[str, Callable[[np.ndarray], bytes]] = {  # of uint8 (H, W) or (H, W, 3)
    "png": lambda pixels: _by_pillow(pixels, format="PNG", optimize=True),
    "webp": lambda pixels: _by_pillow(pixels, format="WEBP", lossless=True),
    "jpeg2000": lambda pixels: _imagecodecs("jpeg2000").jpeg2k_encode(
        pixels, level=0, reversible=True, codecformat="J2K"
    ),
    "jpegxl": lambda pixels: _imagecodecs("jpegxl").jpegxl_encode(pixels, lossless=True),
}


def _by_pillow(pixels: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, **options)
    return file.getvalue()


def _imagecodecs(codec: str) -> Any:
    try:
        import imagecodecs
    except ImportError as error:
        raise UserError(
            f"codecs={codec} needs imagecodecs, which is not installed: pip install -r requirements-codecs.txt, or use "
            "codecs=[png,webp]."
        ) from error
    return imagecodecs
