"""Heat maps of numbers per pixel, all on one colour scale with a colour bar."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure

from pixelcnn.report.page import Picture
from pixelcnn.report.plots import STYLE, picture

OUTLIERS = 0.005  # share of the pixels at either end that share the last colour
GAP = 8  # pixels between an image and its map


@dataclass(frozen=True)
class Scale:
    """Colours from ``low`` to ``high``; where ``low`` is negative, white is 0."""

    low: float
    high: float

    @classmethod
    def of(cls, maps: Sequence[np.ndarray]) -> "Scale":
        """The scale of ``maps``, finite arrays of any shape."""
        every = np.concatenate([one.ravel() for one in maps])
        low, high = np.quantile(every, [OUTLIERS, 1 - OUTLIERS])
        return cls(min(float(low), 0.0), max(float(high), float(low), 1e-6))

    @property
    def norm(self) -> Normalize:
        return TwoSlopeNorm(0, min(self.low, -1e-6), self.high) if self.low < 0 else Normalize(self.low, self.high)

    @property
    def colours(self) -> str:
        return "RdBu_r" if self.low < 0 else "magma"

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """``values`` (H, W) as colours, uint8 (3, H, W)."""
        return (colormaps[self.colours](self.norm(values))[..., :3] * 255).round().astype(np.uint8).transpose(2, 0, 1)


def beside(pixels: np.ndarray, values: np.ndarray, scale: Scale, side: int = 96) -> np.ndarray:
    """An image, uint8 (C, H, W) of 0 .. 255, and its map, (H, W), enlarged to ``side`` at least: uint8 (3, …, …)."""
    image = np.broadcast_to(pixels, (3, *pixels.shape[1:]))
    factor = max(1, -(-side // max(values.shape)))
    left, right = (np.kron(one, np.ones((1, factor, factor), np.uint8)) for one in (image, scale(values)))
    return np.concatenate([left, np.full((3, left.shape[1], GAP), 255, np.uint8), right], axis=2)


def colour_bar(scale: Scale, label: str) -> Picture:
    """The colours of ``scale`` with its numbers."""
    with rc_context(STYLE):
        figure = Figure(figsize=(4.1, 0.7), layout="constrained")
        axes = figure.add_subplot()
        steps = np.linspace(scale.low, scale.high, 256)
        axes.imshow(scale(steps[None]).transpose(1, 2, 0), aspect="auto", extent=(scale.low, scale.high, 0, 1))
        axes.set_yticks([])
        axes.grid(visible=False)
        axes.set_xlabel(label)
        return picture(figure, f"Colour bar: {label}")
