"""Held-out bits/dim of runs against the images they had seen, their FLOP and their minutes, as a picture.

    python -m bench.curves PICTURE.png RUN NAME=RUN ...
    python -m bench.curves PICTURE.png RUN NAME=RUN ... --against images flop

RUN is the directory of a run with logger=csv; NAME, by default the directory's, is what the legend calls it. FLOP are
those of the network's convolutions, forward and backward. Minutes are those of training steps alone, and compare runs
that had the same machine to themselves. Needs matplotlib.
"""

import argparse
import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.ticker import EngFormatter

from pixelcnn.scores import IN_WORDS

AXES = {"images": "images seen", "flop": "FLOP", "minutes": "minutes of training"}


@dataclass(frozen=True)
class Point:
    """A score on the held-out images, and what the run had cost by then; nan where callbacks.throughput was null."""

    step: int  # training steps taken
    images: float
    flop: float
    minutes: float
    score: float


@dataclass(frozen=True)
class Curve:
    """A run's scores, by step. ``mark``: "<=" if they are upper bounds, else ""."""

    mark: str
    points: tuple[Point, ...]


def logged(run: Path) -> list[dict[str, str]]:
    """The rows that logger=csv wrote; for a resumed run, those of each start in turn."""
    starts = sorted((run / "csv").glob("version_*"), key=lambda folder: int(folder.name.removeprefix("version_")))
    lines: list[dict[str, str]] = []
    for file in (start / "metrics.csv" for start in starts):
        if file.is_file():  # not where it was killed before its first step
            with file.open() as opened:
                lines += csv.DictReader(opened)
    return lines


def curve_of(run: Path) -> Curve | None:
    """The held-out scores of the run in ``run``; None before its first validation."""
    rows = logged(run)
    for name, words in IN_WORDS.items():
        points = {point.step: point for point in _points(rows, f"val/{name}")}
        if points:
            mark = "<=" if words.startswith("at most") else ""
            return Curve(mark, tuple(points[step] for step in sorted(points)))
    return None


def _points(rows: Iterable[Mapping[str, str]], column: str) -> Iterable[Point]:
    seconds, seen, speed, flop_of_an_image = 0.0, 0.0, nan, nan
    for row in rows:
        images = float(row.get("images") or nan)
        if row.get("train/images_per_second"):
            speed = float(row["train/images_per_second"])
            flop_of_an_image = float(row["train/tflops"]) * 1e12 / speed
            seconds += max(0.0, images - seen) / speed  # not again what a resumed run repeats
            seen = max(seen, images)
        if row.get(column):
            since = max(0.0, images - seen) / speed
            flop = images * flop_of_an_image
            yield Point(int(row["step"]) + 1, images, flop, (seconds + since) / 60, float(row[column]))


def plot(curves: Mapping[str, Curve], picture: Path, against: Sequence[str] = tuple(AXES)) -> None:
    """Draw one line per run in a panel per cost."""
    size = (1 + 3 * len(against), 3.6)
    figure, panels = plt.subplots(1, len(against), figsize=size, layout="constrained", sharey=True, squeeze=False)
    for axes, cost in zip(panels[0], against, strict=True):
        for place, (name, curve) in enumerate(curves.items()):
            style = ("o-", "s--", "^:")[place // 10]
            scores = [point.score for point in curve.points]
            spent = [getattr(point, cost) for point in curve.points]
            axes.plot(spent, scores, style, label=f"{name} {curve.mark}", linewidth=1, markersize=3)
        axes.set(xlabel=AXES[cost])
        axes.xaxis.set_major_formatter(EngFormatter())
        axes.grid(alpha=0.3)
    first = panels[0, 0]
    first.set_ylabel("bits/dim on held-out images")
    figure.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=len(against), fontsize=8)
    figure.savefig(picture, dpi=110)


def main() -> None:
    """Read the runs and draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("runs", nargs="+", metavar="[NAME=]RUN")
    parser.add_argument("--against", nargs="+", choices=AXES, default=list(AXES), help="panels")
    arguments = parser.parse_args()
    curves: dict[str, Curve] = {}
    for run in arguments.runs:
        # A directory may have an = in its name, as those of a sweep do.
        name, directory = ("", run) if Path(run).is_dir() or "=" not in run else run.split("=", 1)
        curve = curve_of(Path(directory))
        if curve is None:
            parser.error(f"{directory} holds no validation that logger=csv wrote.")
        name = name or Path(directory).resolve().name
        if name in curves:
            parser.error(f"two runs are called {name}: write NAME={directory}.")
        curves[name] = curve
    plot(curves, arguments.picture, arguments.against)


if __name__ == "__main__":
    main()
