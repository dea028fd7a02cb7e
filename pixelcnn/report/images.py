"""Images and PNG files as data URIs."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from pixelcnn.report.page import Picture

MOST_GRIDS = 12
BYTES_OF_GRIDS = 900_000  # data URIs add a third; fewer grids are shown if they are large
SHOWN_SIDE = 96  # CSS pixels of a single image, at least


def data_uri(content: bytes, kind: str) -> str:
    """``content`` of the media type ``kind``."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def single(pixels: np.ndarray, alt: str, caption: str) -> Picture:
    """An image uint8 (C, H, W), 0 .. 255; small ones are shown enlarged."""
    channels_last = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    content = io.BytesIO()
    Image.fromarray(channels_last).save(content, format="PNG", optimize=True)
    height, width = channels_last.shape[:2]
    factor = max(1, -(-SHOWN_SIDE // max(height, width)))
    return Picture(data_uri(content.getvalue(), "image/png"), alt, caption=caption, width=width * factor)


def grids(files: list[tuple[int, Path]]) -> list[Picture]:
    """Pictures of sample grids, (step, file), evenly chosen; always including the last."""
    if not files:
        return []
    mean_size = sum(file.stat().st_size for _, file in files) / len(files)
    most = max(2, min(MOST_GRIDS, int(BYTES_OF_GRIDS / mean_size)))
    return [grid_of(file, f"Samples after {step} steps", f"step {step:,}") for step, file in evenly(files, most)]


def grid_of(file: Path, alt: str, caption: str) -> Picture:
    """The picture of a PNG file."""
    return Picture(data_uri(file.read_bytes(), "image/png"), alt, caption=caption)


def evenly(items: list[tuple[int, Path]], most: int) -> list[tuple[int, Path]]:
    """At most ``most`` (two or more) of ``items``, at equal distances, with the first and the last."""
    if len(items) <= most:
        return items
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]
