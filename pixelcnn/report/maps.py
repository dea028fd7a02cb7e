"""Heat maps of scores: beside their images on one colour scale, and on average."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from pixelcnn.report.plots import STYLE, Plot, bare, plot_of
from pixelcnn.report.scored_images import Example

PAIRS = 4  # an image and its map, in a row
WIDTH, ROW = 8.4, 1.25  # inches
COLOURS = "inferno"
SHOWN = 99.5  # per cent of the values are within the scale; single pixels may be outliers


@dataclass(frozen=True, eq=False)
class Mapped:
    """An image, its score and the score's map."""

    index: int
    score: float
    pixels: np.ndarray  # uint8 (C, H, W), 0 .. 255
    values: np.ndarray  # (H, W)


def heat_maps(
    best: Sequence[Example],
    of_best: Sequence[np.ndarray],
    worst: Sequence[Example],
    of_worst: Sequence[np.ndarray],
    label: str,
) -> Plot:
    """The best images and the worst, each beside its map, float (H, W); ``label`` names its values."""
    shown = {
        name: [Mapped(one.index, one.score, one.pixels, values) for one, values in zip(images, maps, strict=True)]
        for name, images, maps in (("best", best, of_best), ("worst", worst, of_worst))
    }
    norm = Normalize(*scale_of([*of_best, *of_worst]))
    return paired(shown, PAIRS, norm, COLOURS, label, f"{label} of the pixels of the best and the worst images")


def paired(
    groups: Mapping[str, Sequence[Mapped]], pairs: int, norm: Normalize, colours: str, label: str, alt: str
) -> Plot:
    """Images beside their maps, ``pairs`` in a row and rows for each of ``groups``, on one scale."""
    rows = [
        (name if first == 0 else "", shown[first : first + pairs])
        for name, shown in groups.items()
        for first in range(0, len(shown), pairs)
    ]
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH * (pairs + 1) / (PAIRS + 1), ROW * len(rows) + 0.1), layout="constrained")
        grid = figure.subplots(len(rows), 2 * pairs, squeeze=False)
        for axes in grid.flat:
            bare(axes)
        for (name, shown), axes_of_row in zip(rows, grid, strict=True):
            axes_of_row[0].set_ylabel(name, fontsize=7)
            for place, one in enumerate(shown):
                of_image, of_map = axes_of_row[2 * place : 2 * place + 2]
                _show(of_image, one.pixels)
                of_image.set_title(f"#{one.index}", fontsize=7)
                drawn = of_map.imshow(one.values, cmap=colours, norm=norm, interpolation="none")
                of_map.set_title(f"{one.score:.3f}", fontsize=7)
        figure.colorbar(drawn, ax=grid, extend="both", label=label, aspect=12 * len(rows), pad=0.01)
        return plot_of(figure, alt)


def maps_beside(pixels: np.ndarray, maps: Mapping[str, np.ndarray], label: str) -> Plot:
    """An image uint8 (C, H, W) and maps of it, float (H, W), by title."""
    low, high = scale_of(list(maps.values()))
    with rc_context(STYLE):
        figure = Figure(figsize=(2.6 * (1 + len(maps)) + 0.8, 3), layout="constrained")
        of_image, *of_maps = (bare(axes) for axes in figure.subplots(1, 1 + len(maps)))
        _show(of_image, pixels)
        for axes, (name, values) in zip(of_maps, maps.items(), strict=True):
            drawn = axes.imshow(values, cmap=COLOURS, vmin=low, vmax=high, interpolation="none")
            axes.set_title(name)
        figure.colorbar(drawn, ax=of_maps, extend="both", label=label)
        return plot_of(figure, f"{label} of each pixel")


def mean_map(values: np.ndarray, label: str) -> Plot:
    """The map of means over all images, float (H, W), with its own colour scale."""
    low, high = scale_of([values])
    with rc_context(STYLE):
        figure = Figure(figsize=(4.1, 3.2), layout="constrained")
        axes = bare(figure.add_subplot())
        drawn: AxesImage = axes.imshow(values, cmap=COLOURS, vmin=low, vmax=high, interpolation="none")
        figure.colorbar(drawn, extend="both", label=f"mean {label}")
        return plot_of(figure, f"Mean {label} of each position")


def scale_of(maps: Sequence[np.ndarray]) -> tuple[float, float]:
    """The lowest and the highest value of a colour scale for all ``maps``; outliers and NaN are outside it."""
    values = np.concatenate([each.ravel() for each in maps])
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = np.percentile(finite, [100 - SHOWN, SHOWN])
    return float(low), float(high)


def _show(axes: Axes, pixels: np.ndarray) -> None:
    shown = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    axes.imshow(shown, cmap="gray", vmin=0, vmax=255, interpolation="none")
