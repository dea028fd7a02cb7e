"""Plots of out-of-distribution detection: ROC curves, histograms, and where scores come from."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib import rc_context
from matplotlib.colors import CenteredNorm, Normalize
from matplotlib.figure import Figure

from pixelcnn.report.maps import COLOURS, PAIRS, WIDTH, Mapped, paired, scale_of
from pixelcnn.report.plots import LINES, SERIES, STYLE, WIDE, Plot, plot_of

COLOURS_OF_SCORES = (*SERIES, "#c98a00", "#7a869a")  # the last two are visible on light and dark pages
SIGNED = "RdBu_r"  # colours for maps that have negative values, white at 0
OUTLIERS = 0.002  # fraction of scores at either end left out of a histogram

Points = tuple[np.ndarray, np.ndarray]  # x and y


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
    low, high = scale_of([one.values for shown in sets.values() for one in shown])
    norm = CenteredNorm(halfrange=max(-low, high)) if low < 0 else Normalize(low, high)
    pairs = min(PAIRS, max(map(len, sets.values())))
    return paired(sets, pairs, norm, SIGNED if low < 0 else COLOURS, label, f"Maps of {label}")
