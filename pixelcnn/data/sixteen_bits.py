"""Image files with 16 bits per channel: grey PNG and TIFF by Pillow, RGB PNG by torchvision.

Pillow reduces 16-bit RGB to 8 bits, and torchvision reads no TIFF.
"""

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.io import decode_image

from pixelcnn.damaged_images import PNG_START
from pixelcnn.data.framing import AS_IT_IS, Framing
from pixelcnn.errors import UserError


def sixteen_bits(image: Image.Image, content: bytes, file: Path, channels: int | None, framing: Framing) -> np.ndarray:
    """The pixels of a 16-bit ``file``, uint16 (C, H, W), from its ``content`` or Pillow's ``image``.

    UserError unless it is grey or an RGB PNG, and if ``channels`` or ``framing`` would change it.
    """
    if framing != AS_IT_IS:
        raise UserError(
            f"{file} has 16 bits per channel, which data.crop and data.size do not support: save it with 8, "
            "or crop or resize the file."
        )
    if image.mode.startswith("I;16"):
        pixels = np.asarray(image).astype(np.uint16)[np.newaxis]
    elif content.startswith(PNG_START):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # its warning that another package will replace it
            pixels = decode_image(torch.frombuffer(bytearray(content), dtype=torch.uint8)).numpy()
    else:
        raise UserError(f"{file} holds 16-bit {image.mode} pixels that are not read: save it as grey, or as PNG.")
    if len(pixels) not in (1, 3):
        raise UserError(f"{file} holds 16-bit pixels of {len(pixels)} channels: save it as grey or RGB.")
    if channels not in (None, len(pixels)):
        raise UserError(
            f"{file} holds 16-bit pixels of {len(pixels)} channels, which data.channels={channels} does not convert: "
            "leave it out, or convert the file."
        )
    return pixels
