"""Train several experiments in one Hydra multirun and compare their bits/dim, in a table and a picture.

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

from bench.curves import Curve, curve_of, plot

HOME = Path(__file__).parent.parent


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


def table(curves: dict[str, Curve]) -> str:
    """A Markdown table: a row per experiment, a column per number of steps, and the difference from the first row at
    the last common step."""
    scores = {name: {point.step: point.score for point in curve.points} for name, curve in curves.items()}
    steps = sorted({step for of_run in scores.values() for step in of_run})
    against, reference = next(iter(scores.items()))
    lines = [
        "| experiment | " + " | ".join(f"{step} steps" for step in steps) + f" | difference from {against} |",
        "|---|" + "---|" * (len(steps) + 1),
    ]
    for name, of_run in scores.items():
        values = [f"{curves[name].mark} {of_run[step]:.3f}".strip() if step in of_run else "" for step in steps]
        shared = max(of_run.keys() & reference.keys(), default=None)
        difference = "" if shared is None else f"{of_run[shared] - reference[shared]:+.3f}"
        lines.append(f"| {name} | " + " | ".join(values) + f" | {difference} |")
    return "\n".join(lines)


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
    found = {path.stem: curve_of(directory / arguments.folder / path.stem) for path in experiments(arguments.folder)}
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
