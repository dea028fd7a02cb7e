"""Plots of out-of-distribution detection: ROC curves, histograms, and where scores come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from matplotlib import rc_context
from matplotlib.colors import CenteredNorm, Normalize
from matplotlib.figure import Figure

from pixelcnn.report.maps import COLOURS, PAIRS, ROW, WIDTH, scale_of
from pixelcnn.report.plots import LINES, SERIES, STYLE, WIDE, Plot, bare, plot_of

COLOURS_OF_SCORES = (*SERIES, "#c98a00", "#7a869a")  # the last two are visible on light and dark pages
SIGNED = "RdBu_r"  # colours for maps that have negative values, white at 0
OUTLIERS = 0.002  # fraction of scores at either end left out of a histogram

Points = tuple[np.ndarray, np.ndarray]  # x and y


@dataclass(frozen=True, eq=False)
class Mapped:
    """An image, its score and the score's map."""

    index: int
    score: float
    pixels: np.ndarray  # uint8 (C, H, W), 0 .. 255
    values: np.ndarray  # (H, W)


def roc(curves: Mapping[str, Mapping[str, Points]]) -> Plot:
    """True against false positive rates: for each of ``curves`` a plot, with a line for each of its scores."""
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.4 * len(curves)), layout="constrained")
        for place, (title, lines) in enumerate(curves.items(), 1):
            axes = figure.add_subplot(len(curves), 1, place, aspect="equal", anchor="W")
            axes.patch.set_alpha(0)
            axes.plot([0, 1], [0, 1], color=LINES, linewidth=1)
            for (name, points), colour in zip(lines.items(), cycle(COLOURS_OF_SCORES), strict=False):
                # Of thousands of points, those that can be distinguished.
                axes.plot(*np.unique(np.stack(points).round(3), axis=1), color=colour, linewidth=1.6, label=name)
            axes.set(xlabel="false positive rate", ylabel="true positive rate")
            axes.tick_params(length=0)
            axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), title=title)
        return plot_of(figure, "ROC curves")


def histograms(scores: Mapping[str, np.ndarray], label: str) -> Plot:
    """The densities of the finite scores of several sets; ``label`` says which score."""
    with rc_context(STYLE):
        figure = Figure(figsize=WIDE, layout="constrained")
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        low, high = np.quantile(np.concatenate([*scores.values()]), [OUTLIERS, 1 - OUTLIERS])
        high = max(high, low + 1e-6 * max(abs(low), 1.0))  # numbers that differ in their last digits fill no bins
        for (name, one), colour in zip(scores.items(), cycle(COLOURS_OF_SCORES), strict=False):
            axes.hist(one, bins=60, range=(low, high), density=True, color=colour, alpha=0.5, label=name)
        axes.set(xlabel=label, ylabel="density")
        axes.tick_params(length=0)
        axes.grid(axis="x", visible=False)
        axes.legend()
        return plot_of(figure, f"Histograms of {label}")


def surprising(sets: Mapping[str, Sequence[Mapped]], label: str) -> Plot:
    """Images beside their maps, in rows for each of ``sets``, all on one colour scale; ``label`` says of what."""
    rows = [
        (name if first == 0 else "", shown[first : first + PAIRS])
        for name, shown in sets.items()
        for first in range(0, len(shown), PAIRS)
    ]
    pairs = max(len(shown) for _, shown in rows)
    low, high = scale_of([one.values for _, shown in rows for one in shown])
    signed = low < 0
    norm = CenteredNorm(halfrange=max(-low, high)) if signed else Normalize(low, high)
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH * (pairs + 1) / (PAIRS + 1), ROW * len(rows) + 0.1), layout="constrained")
        grid = figure.subplots(len(rows), 2 * pairs, squeeze=False)
        for axes in grid.flat:
            bare(axes)
        for (name, shown), axes_of_row in zip(rows, grid, strict=True):
            axes_of_row[0].set_ylabel(name, fontsize=7)
            for place, one in enumerate(shown):
                of_image, of_map = axes_of_row[2 * place : 2 * place + 2]
                image = one.pixels[0] if len(one.pixels) == 1 else one.pixels.transpose(1, 2, 0)
                of_image.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="none")
                of_image.set_title(f"#{one.index}", fontsize=7)
                drawn = of_map.imshow(one.values, cmap=SIGNED if signed else COLOURS, norm=norm, interpolation="none")
                of_map.set_title(f"{one.score:.3f}", fontsize=7)
        figure.colorbar(drawn, ax=grid, extend="both", label=label, aspect=12 * len(rows), pad=0.01)
        return plot_of(figure, f"Maps of {label}")
