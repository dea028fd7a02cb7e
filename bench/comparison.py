"""Train several experiments in one Hydra multirun and compare their bits/dim against steps, in a table and a picture.

    python -m bench.comparison ablation                 every experiment of conf/experiment/ablation
    python -m bench.comparison networks trainer.max_steps=1000
    python -m bench.comparison ablation --directory RUNS --only-show

Overrides after the name go to every run. ``--directory`` is where the runs, table.md and curves.png (needs matplotlib)
are written. A bound is marked by <=. ``--only-show`` reads existing runs. To resume, run the same command again.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt

from bench.curve import logged
from pixelcnn.scores import IN_WORDS

HOME = Path(__file__).parent.parent

Curve = dict[int, float]  # steps to bits per dimension


def run_all(folder: str, directory: Path, overrides: list[str]) -> None:
    """Run the jobs one after another, each in its own folder of ``directory``; exits if one fails."""
    names = [f"{folder}/{path.stem}" for path in experiments(folder)]
    status = subprocess.run(
        [
            *(sys.executable, "run.py", "--multirun", f"experiment={','.join(names)}"),
            f"hydra.sweep.dir={directory.resolve()}",
            "hydra.sweep.subdir=${hydra:runtime.choices.experiment}",
            "checkpoint=last",
            *overrides,
        ],
        cwd=HOME,
    ).returncode
    if status:
        raise SystemExit(status)


def experiments(folder: str) -> list[Path]:
    """The experiments of a folder, the reference first."""
    paths = sorted((HOME / "conf" / "experiment" / folder).glob("*.yaml"))
    if not paths:
        raise SystemExit(f"conf/experiment/{folder} holds no experiments: choose a folder that does.")
    return sorted(paths, key=lambda path: path.stem not in ("base", "pixelcnn_pp"))


def read_curve(run: Path) -> tuple[str, Curve] | None:
    """The mark of a run's score and its values on the held-out images, from the metrics of logger=csv; None before its
    first validation."""
    rows = logged(run)
    for name, words in IN_WORDS.items():
        curve = {int(row["step"]) + 1: float(row[f"val/{name}"]) for row in rows if row.get(f"val/{name}")}
        if curve:
            return "<=" if words.startswith("at most") else "", curve
    return None


def table(curves: dict[str, tuple[str, Curve]]) -> str:
    """A Markdown table: a row per experiment, a column per number of steps, and the difference from the first row at
    the last common step."""
    steps = sorted({step for _, curve in curves.values() for step in curve})
    against, (_, reference) = next(iter(curves.items()))
    lines = [
        "| experiment | " + " | ".join(f"{step} steps" for step in steps) + f" | difference from {against} |",
        "|---|" + "---|" * (len(steps) + 1),
    ]
    for name, (mark, curve) in curves.items():
        values = [f"{mark} {curve[step]:.3f}".strip() if step in curve else "" for step in steps]
        shared = max(curve.keys() & reference.keys(), default=None)
        difference = "" if shared is None else f"{curve[shared] - reference[shared]:+.3f}"
        lines.append(f"| {name} | " + " | ".join(values) + f" | {difference} |")
    return "\n".join(lines)


def plot(curves: dict[str, tuple[str, Curve]], picture: Path) -> None:
    """Plot bits/dim against steps, one line per experiment."""
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for place, (name, (mark, curve)) in enumerate(curves.items()):
        style = ("o-", "s--", "^:")[place // 10]
        axes.plot(*zip(*sorted(curve.items()), strict=True), style, label=f"{name} {mark}", linewidth=1, markersize=3)
    axes.set(xlabel="steps", ylabel="bits/dim on held-out images")
    axes.legend(fontsize=7)
    axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=110)


def main() -> None:
    """Run, then print the table and write it and the picture beside the runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="a folder of conf/experiment")
    parser.add_argument("overrides", nargs="*", help="KEY=VALUE, for every run")
    parser.add_argument("--directory", type=Path, help="of the runs (default: multirun/NAME)")
    parser.add_argument("--only-show", action="store_true", help="train nothing")
    arguments = parser.parse_intermixed_args()
    directory = arguments.directory or HOME / "multirun" / arguments.folder
    if not arguments.only_show:
        run_all(arguments.folder, directory, arguments.overrides)
    found = {path.stem: read_curve(directory / arguments.folder / path.stem) for path in experiments(arguments.folder)}
    curves = {name: curve for name, curve in found.items() if curve is not None}
    if not curves:
        raise SystemExit(f"{directory} holds no runs of {arguments.folder} with logger=csv: train them first.")
    shown = table(curves)
    (directory / "table.md").write_text(shown + "\n")
    plot(curves, directory / "curves.png")
    print(shown)
    print(directory / "curves.png")


if __name__ == "__main__":
    main()
