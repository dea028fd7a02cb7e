"""The curve of a run that was logged with logger=csv, as a picture (needs matplotlib).

python -m bench.curve RUN PICTURE.png
"""

import argparse
import csv
from pathlib import Path

import matplotlib.pyplot as plt


def logged(run: Path) -> list[dict[str, str]]:
    """The rows that logger=csv wrote; for a resumed run, those of each start in turn."""
    starts = sorted((run / "csv").glob("version_*"), key=lambda folder: int(folder.name.removeprefix("version_")))
    lines: list[dict[str, str]] = []
    for file in (start / "metrics.csv" for start in starts):
        if file.is_file():  # not where it was killed before its first step
            with file.open() as opened:
                lines += csv.DictReader(opened)
    return lines


def main() -> None:
    """Plot bits/dim against steps, of training batches and of the validation images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="its directory")
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    rows = logged(arguments.run)
    figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
    for name, style in (("train/bits_per_dim", "-"), ("val/bits_per_dim", "o-")):
        points = {int(row["step"]) + 1: float(row[name]) for row in rows if row.get(name)}
        axes.plot(*zip(*sorted(points.items()), strict=True), style, label=name, linewidth=1, markersize=4)
    axes.set(xlabel="steps", ylabel="bits/dim", ylim=(3.8, 6))
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(arguments.picture, dpi=110)


if __name__ == "__main__":
    main()
