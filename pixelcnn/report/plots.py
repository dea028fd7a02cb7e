"""Plots as SVG pictures, each for light and for dark pages."""

import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from pixelcnn.report.curves import smoothed
from pixelcnn.report.images import data_uri
from pixelcnn.report.page import Picture

# Drawn in the colours of a light page, which are then exchanged for the others.
TEXT, LINES, FIRST, SECOND = "#30363d", "#d8dee4", "#1f6feb", "#cf5b16"
DARK = {TEXT: "#c9d1d9", LINES: "#3a424c", FIRST: "#6cb0ff", SECOND: "#ffa861"}
SERIES = (FIRST, SECOND, "#2a9d62", "#b04fc4", "#c98a00", "#7a869a")  # all after the second are seen on either page
STYLE: Any = {
    "font.size": 9,
    "text.color": TEXT,
    "axes.edgecolor": LINES,
    "axes.labelcolor": TEXT,
    "axes.titlecolor": TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINES,
    "grid.linewidth": 0.6,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "legend.frameon": False,
    "svg.hashsalt": "pixelcnn",
}
# matplotlib writes six decimals of a pixel, which make up most of a file.
POINT_OF_PATH = re.compile(r"([ML] )(-?\d+\.\d\d)\d* (-?\d+\.\d\d)\d*")
WIDE, NARROW = (8.4, 3.1), (4.1, 2.3)  # inches
BEGINNING = 0.05  # of the steps, whose height does not set that of a wide plot
NOISY_FROM = 60  # points
LOGARITHMIC_FROM = 30  # highest over lowest value


Points = tuple[np.ndarray, np.ndarray]  # x and y


@dataclass(frozen=True)
class Line:
    """A curve: ``points`` are steps and finite values; a ``noisy`` one is drawn with its running mean."""

    name: str
    points: list[tuple[float, float]]
    noisy: bool = False


def curves(lines: list[Line], label: str, wide: bool = False, mark: tuple[int, float] | None = None) -> Picture:
    """Curves against steps; ``mark`` is a point to stand out, the best."""
    with rc_context(STYLE):
        figure, axes = _axes(WIDE if wide else NARROW)
        for line, colour in zip(lines, SERIES, strict=False):
            steps, values = [step for step, _ in line.points], [value for _, value in line.points]
            if line.noisy and len(values) >= NOISY_FROM:
                axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
                axes.plot(steps, smoothed(values, len(values) // 20), color=colour, linewidth=1.6, label=line.name)
            else:
                marker = "o" if len(values) < NOISY_FROM else ""
                axes.plot(steps, values, marker=marker, markersize=3, color=colour, linewidth=1.6, label=line.name)
        if mark is not None:
            label_of_best = f"best, {mark[1]:.4f} at step {mark[0]:,}"
            axes.plot(*mark, "*", color=SECOND, markersize=12, linestyle="none", label=label_of_best)
        _set_range(axes, [line.points for line in lines], BEGINNING if wide else 0.0)
        axes.set_xlabel("steps")
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        if axes.get_yscale() == "linear":
            axes.ticklabel_format(axis="y", useOffset=False)
        axes.xaxis.set_major_locator(MaxNLocator(8 if wide else 5, integer=True))
        axes.set_ylabel(label) if wide else axes.set_title(label, loc="left", fontsize=9)
        if len(lines) > 1 or mark is not None:
            axes.legend()
        return picture(figure, f"{label} against steps")


def histogram(values: list[float], label: str, mean: float) -> Picture:
    """How many images have which score."""
    with rc_context(STYLE):
        figure, axes = _axes(WIDE)
        low, high = min(values), max(values)
        least = 1e-6 * max(abs(low), abs(high), 1.0)  # width: numbers that differ in their last digits fill no bins
        shown = (low, high) if high - low > least else (low - least, high + least)
        bins = max(5, min(60, round(math.sqrt(len(values)) * 2)))
        axes.hist(values, bins=bins, range=shown, color=FIRST, alpha=0.8)
        axes.axvline(mean, color=SECOND, linewidth=1.6, label=f"mean, {mean:.4f}")
        axes.set_xlabel(label)
        axes.set_ylabel("images")
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.grid(axis="x", visible=False)
        axes.legend()
        return picture(figure, f"Histogram of {label} of {len(values)} images")


def roc(curves: Mapping[str, Mapping[str, Points]]) -> Figure:
    """True against false positive rates: one plot for each of ``curves``, with a line for each of its scores."""
    with rc_context(STYLE):
        figure = Figure(figsize=(4.2 * len(curves), 4.2), layout="constrained")
        for place, (title, lines) in enumerate(curves.items(), 1):
            axes = figure.add_subplot(1, len(curves), place)
            axes.plot([0, 1], [0, 1], color=LINES, linewidth=1)
            for (name, (fpr, tpr)), colour in zip(lines.items(), cycle(SERIES), strict=False):
                # Of thousands of points those that can be told apart.
                kept = np.unique(np.stack([fpr, tpr]).round(3), axis=1)
                axes.plot(*kept, color=colour, linewidth=1.6, label=name)
            axes.set_title(title, loc="left", fontsize=9)
            axes.set_xlabel("false positive rate")
            axes.set_ylabel("true positive rate")
            axes.set_aspect("equal")
            axes.tick_params(length=0)
            axes.legend(loc="lower right")
        return figure


def histograms(values: Mapping[str, np.ndarray], label: str) -> Picture:
    """The densities of several sets of finite values; what is far out is beyond the edge of the plot."""
    with rc_context(STYLE):
        figure, axes = _axes(WIDE)
        low, high = np.quantile(np.concatenate([*values.values()]), [0.002, 0.998])
        high = max(high, low + 1e-6 * max(abs(low), 1.0))
        for (name, one), colour in zip(values.items(), cycle(SERIES), strict=False):
            axes.hist(one, bins=60, range=(low, high), density=True, color=colour, alpha=0.5, label=name)
        axes.set_xlabel(label)
        axes.set_ylabel("density")
        axes.grid(axis="x", visible=False)
        axes.legend()
        return picture(figure, f"Histograms of {label}")


def _axes(size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.tick_params(length=0)
    return figure, axes


def _set_range(axes: Axes, of_lines: list[list[tuple[float, float]]], beginning: float) -> None:
    """Show the course of a run rather than the height it comes from: its ``beginning`` may leave the plot."""
    last = max(points[-1][0] for points in of_lines)
    everything = [value for points in of_lines for _, value in points]
    settled = [value for points in of_lines for step, value in points if step >= beginning * last]
    low, high = min(everything), max(settled)
    if low > 0 and high >= LOGARITHMIC_FROM * low:
        axes.set_yscale("log")
        return
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.05
    axes.set_ylim(low - margin, high + margin)


def picture(figure: Figure, alt: str) -> Picture:
    """``figure`` on a transparent ground, for light and for dark pages."""
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    light = dark = POINT_OF_PATH.sub(r"\1\2 \3", file.getvalue())
    for colour, instead in DARK.items():
        dark = dark.replace(colour, instead)
    return Picture(_uri(light), alt, dark=_uri(dark))


def _uri(svg: str) -> str:
    return data_uri(svg.encode(), "image/svg+xml")
