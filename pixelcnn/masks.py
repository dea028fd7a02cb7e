"""Which pixels of an image are known: masks bool (H, W) from a short description."""

import io
import os
import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pixelcnn.damaged_images import DAMAGED, PNG_START, is_cut_short
from pixelcnn.errors import UserError

KINDS = ("top", "bottom", "left", "right", "box", "hole")
FORMS = (
    "top:SHARE (0 to 1), bottom:, left: or right: likewise, box:TOP:LEFT:BOTTOM:RIGHT or hole: likewise, "
    "or an image file that is white where known"
)


def known_pixels(mask: str, height: int, width: int) -> Tensor:
    """The mask that ``mask`` describes, True where a pixel is known.

    With ``top:0.5`` (or ``bottom:``, ``left:``, ``right:``) that fraction of the rows or columns is known, with
    ``box:t:l:b:r`` the inside of a box given in fractions of the size, with ``hole:t:l:b:r`` everything outside it.
    Commas work instead of colons, but have to be quoted on a command line. Any other text names an image file of the
    same size, known where it is brighter than half. UserError for anything else, and if none or all pixels are known.
    """
    kind, _, numbers = mask.partition(":")
    known = _described(mask, kind, numbers, height, width) if kind in KINDS else _from_image(mask, height, width)
    if not known.any():
        raise UserError(f"task.mask={mask} marks no pixel of {height}x{width} as known: mark some, or use task=sample.")
    if known.all():
        raise UserError(f"task.mask={mask} marks every pixel of {height}x{width} as known: leave some to draw.")
    return known


def _described(mask: str, kind: str, numbers: str, height: int, width: int) -> Tensor:
    known = torch.zeros(height, width, dtype=torch.bool)
    parts = re.split("[:,]", numbers)
    shares = [float(number) for number in parts if re.fullmatch(r"\d*\.?\d+", number.strip())]
    expected = 4 if kind in ("box", "hole") else 1
    if len(shares) != expected or len(parts) != expected or max(shares) > 1:
        raise UserError(f"task.mask={mask} is not understood: use {FORMS}.")
    if expected == 1:
        lines = known.mT if kind in ("left", "right") else known
        count = round(shares[0] * len(lines))
        lines[:count] = True
        known = known.flip(0, 1) if kind in ("bottom", "right") else known
    else:
        top, left, bottom, right = (round(s * n) for s, n in zip(shares, (height, width) * 2, strict=True))
        if top > bottom or left > right:
            raise UserError(f"task.mask={mask} ends before it begins: use {FORMS}.")
        known[top:bottom, left:right] = True
        known = known if kind == "box" else ~known
    return known


def _from_image(path: str, height: int, width: int) -> Tensor:
    # Path(path).is_file() raises if a name is too long.
    if not os.path.isfile(path):
        raise UserError(f"task.mask={path} is neither a file nor a description: use {FORMS}.")
    try:
        content = Path(path).read_bytes()
        if content.startswith(PNG_START) and is_cut_short(content):
            raise ValueError("cut short")
        with Image.open(io.BytesIO(content)) as image:
            if image.has_transparency_data or image.mode.startswith(("I", "F")):
                raise UserError(f"task.mask={path} is transparent or of more than 8 bits: save it as black and white.")
            frames = getattr(image, "n_frames", 1)
            if frames > 1:
                raise UserError(f"task.mask={path} holds {frames} frames: save one of them as a file.")
            values = np.asarray(image.convert("L"))
    except DAMAGED as error:
        raise UserError(f"task.mask={path} is not a readable image: use {FORMS}.") from error
    if values.shape != (height, width):
        raise UserError(
            f"task.mask={path} is an image of {values.shape[0]}x{values.shape[1]}, the images are of {height}x{width}: "
            "give one of that size."
        )
    return torch.from_numpy(values > 127)
