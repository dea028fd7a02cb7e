"""Plots as SVG pictures, each for light and for dark pages."""

import io
import math
import re
from dataclasses import dataclass
from typing import Any

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
# All but the first two are visible on light and dark pages.
SERIES = (FIRST, SECOND, "#2a9d62", "#b04fc4", "#b8901a", "#1c9aa8", "#d6508a", "#8a7466")
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
# matplotlib writes coordinates with six decimals, which are most of a file.
POINT_OF_PATH = re.compile(r"([ML] )(-?\d+\.\d\d)\d* (-?\d+\.\d\d)\d*")
WIDE, NARROW, PHONE = (8.4, 3.1), (4.1, 2.3), (4.1, 2.9)  # inches
BEGINNING = 0.05  # first fraction of the steps, which does not set a wide plot's range
NOISY_FROM = 60  # points
DPI = 150  # of PNG files
LOGARITHMIC_FROM = 30  # highest over lowest value


@dataclass(frozen=True)
class Line:
    """A curve: ``points`` are steps and finite values; a ``noisy`` curve also gets its running mean."""

    name: str
    points: list[tuple[float, float]]
    noisy: bool = False


@dataclass(frozen=True)
class Plot:
    """A plot, for a page and as the content of a PNG file."""

    picture: Picture
    png: bytes


def curves(
    lines: list[Line], label: str, wide: bool = False, mark: tuple[int, float] | None = None, against: str = "steps"
) -> Picture:
    """Up to eight curves ``against`` steps or another cost; ``mark`` highlights a point, the best."""
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
        axes.set_xlabel(against)
        if against != "minutes":
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        if axes.get_yscale() == "linear":
            axes.ticklabel_format(axis="y", useOffset=False)
        axes.xaxis.set_major_locator(MaxNLocator(8 if wide else 5, integer=against == "steps"))
        axes.set_ylabel(label) if wide else axes.set_title(label, loc="left", fontsize=9)
        if len(lines) > 1 or mark is not None:
            axes.legend()
        return _picture(figure, f"{label} against {against}", PHONE if wide else None)


def histogram(values: list[float], label: str, mean: float) -> Picture:
    """The distribution of images' scores."""
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
        return _picture(figure, f"Histogram of {label} of {len(values)} images", PHONE)


def _axes(size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    axes.tick_params(length=0)
    return figure, axes


def _set_range(axes: Axes, of_lines: list[list[tuple[float, float]]], beginning: float) -> None:
    """Set the range by the later part of a run: its ``beginning``, usually far higher, may leave the plot."""
    last = max(points[-1][0] for points in of_lines)
    everything = [value for points in of_lines for _, value in points]
    settled = [value for points in of_lines for step, value in points if step >= beginning * last]
    low, high = min(everything), max(settled)
    if low > 0 and high >= LOGARITHMIC_FROM * low:
        axes.set_yscale("log")
        return
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.05
    axes.set_ylim(low - margin, high + margin)


def plot_of(figure: Figure, alt: str) -> Plot:
    """``figure`` in both forms; call it, like all of matplotlib here, with `STYLE` set."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DPI, facecolor="white")
    figure.patch.set_alpha(0)
    return Plot(_picture(figure, alt), content.getvalue())


def bare(axes: Axes) -> Axes:
    """``axes`` for an image: no ticks, no lines."""
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.patch.set_alpha(0)
    return axes


def _picture(figure: Figure, alt: str, on_a_phone: tuple[float, float] | None = None) -> Picture:
    """``figure`` in its own size and in the size ``on_a_phone``."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    light = dark = POINT_OF_PATH.sub(r"\1\2 \3", file.getvalue())
    for colour, instead in DARK.items():
        dark = dark.replace(colour, instead)
    narrow = None
    if on_a_phone is not None:
        figure.set_size_inches(on_a_phone)
        narrow = _picture(figure, alt)
    return Picture(_uri(light), alt, _uri(dark), narrow)


def _uri(svg: str) -> str:
    return data_uri(svg.encode(), "image/svg+xml")
