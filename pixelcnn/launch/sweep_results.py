"""A sweep's results: ``sweep.csv``, a job per line, ``sweep.png``, the objective by key, and the page ``sweep.html``.

A sweep over seeds also has ``seeds.csv``: mean and standard deviation over the seeds for each setting of other keys.
"""

import csv
import json
import math
import os
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, ListConfig, OmegaConf

from pixelcnn.configuration.stored_data import typed
from pixelcnn.scores import in_words, score_of_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 4  # of panels in the picture
LOGARITHMIC_FROM = 10  # largest over smallest value
LABELS, LABEL = 20, 24  # names on an axis, characters of each
OVERRIDES = ".hydra/overrides.yaml"  # in the directory of a job


@dataclass(frozen=True)
class Job:
    """A job of a sweep; ``score``: name and value of its objective, None until there is one."""

    directory: str  # within the sweep's
    values: dict[str, Any]
    score: tuple[str, float] | None


def swept_keys(config: DictConfig) -> list[str]:
    """The keys that have several values in the sweep of ``config`` (with Hydra's node)."""
    parsed = OverridesParser.create().parse_overrides(typed(config.hydra))
    swept = [override.key_or_group for override in parsed if override.is_sweep_override()]
    return list(dict.fromkeys([*(config.hydra.sweeper.get("params") or {}), *swept]))


def write_results(sweep_dir: Path, keys: list[str]) -> str | None:
    """Write table, picture and page of all jobs in ``sweep_dir`` so far; returns a sentence about the best one."""
    directories = directories_in(sweep_dir)
    jobs = [_read(sweep_dir, directory, tuple(keys)) for directory in directories]
    scores = [job.score for job in jobs if job.score is not None]
    name = scores[0][0] if scores else "objective"
    rows: list[list[Any]] = [[_cell(text) for text in ("job", *keys, name)]]
    for job in jobs:
        score = "" if job.score is None else job.score[1]
        rows.append([_cell(job.directory), *(_cell(job.values[key]) for key in keys), score])
    _write(sweep_dir / "sweep.csv", rows)
    finite = [job for job in jobs if job.score is not None and math.isfinite(job.score[1])]
    if finite and keys:
        _draw(sweep_dir / "sweep.png", keys, name, finite)
    if "seed" in keys:
        others = [key for key in keys if key != "seed"]
        of_seeds = [[*map(_cell, values), *found] for values, *found in over_seeds(finite, others)]
        _write(sweep_dir / "seeds.csv", [[*map(_cell, others), "seeds", name, "standard deviation"], *of_seeds])
    return compare(sweep_dir, directories, keys, sweep_dir / "sweep.html") if jobs else None


def compare(root: Path, directories: Sequence[Path], keys: Sequence[str], page: Path) -> str | None:
    """Write ``page``, about the runs in ``directories``, named relative to ``root``. Returns a sentence on the best."""
    from pixelcnn.report.comparison import ComparedRun, best_of, comparison_page
    from pixelcnn.report.page import write

    runs = []
    for directory in directories:
        job = _read(root, directory, tuple(keys))
        history, report = directory / "history.json", directory / "report.html"
        runs.append(
            ComparedRun(
                job.directory,
                job.values,
                job.score,
                json.loads(history.read_text()) if history.exists() else {},
                os.path.relpath(report, page.parent) if report.exists() else None,
                max(directory.glob("samples/step=*.png"), default=None),
            )
        )
    new = _beside(page)
    write(comparison_page(runs, root), new)
    new.replace(page)
    best = best_of(runs)
    if best is None:
        return None
    assert best.score is not None
    told = " ".join(f"{key}={value}" for key, value in best.values.items())
    score = in_words(best.score[0].rpartition("/")[2], f"{best.score[1]:.4f}")
    return f"Best of {len(runs)}: {score} ({best.score[0]}) in {best.name}{told and f', {told}'}"


def keys_apart(directories: Sequence[Path]) -> list[str]:
    """The keys in which the runs' command lines differ."""
    of_runs = [yaml.safe_load((directory / OVERRIDES).read_text()) or [] for directory in directories]
    shared = set.intersection(*map(set, of_runs))
    lines = [line for of_run in of_runs for line in of_run if line not in shared]
    return list(dict.fromkeys(re.split("[=@]", line)[0].lstrip("+~") for line in lines))


def over_seeds(jobs: list[Job], keys: list[str]) -> list[tuple[list[Any], int, float, float]]:
    """For each combination of values of ``keys``: these values, the number of scored jobs, mean and standard deviation.

    The deviation is the sample's (n - 1); nan for one job.
    """
    groups: dict[str, tuple[list[Any], list[float]]] = {}
    for job in jobs:
        if job.score is not None:
            values = [job.values[key] for key in keys]
            groups.setdefault(repr(values), (values, []))[1].append(job.score[1])
    return [
        (values, len(scores), statistics.fmean(scores), statistics.stdev(scores) if len(scores) > 1 else math.nan)
        for values, scores in groups.values()
    ]


def directories_in(folder: Path) -> list[Path]:
    """``folder`` and the folders below it in which runs were started, in order."""
    directories = []
    for each, below, _ in os.walk(folder):
        if (Path(each) / OVERRIDES).is_file():
            directories.append(Path(each))
            if Path(each) != folder:  # a job's directory may have many files
                below.clear()
    return sorted(directories, key=_in_order)


def _in_order(path: Path) -> list[int | str]:
    """Numbers in names compare as numbers."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", str(path))]


def _read(sweep_dir: Path, directory: Path, keys: tuple[str, ...]) -> Job:
    values = _values(directory, keys, (directory / OVERRIDES).stat().st_mtime_ns)
    metrics = directory / "metrics.json"
    score = score_of_run(json.loads(metrics.read_text())) if metrics.exists() else None
    return Job(str(directory.relative_to(sweep_dir)), values, score)


@cache  # it takes far longer than the rest, and all jobs are read after each
def _values(directory: Path, keys: tuple[str, ...], written_at: int) -> dict[str, Any]:
    """The values given to the job; for keys that it was not given, those of its composed configuration."""
    lines = yaml.safe_load((directory / OVERRIDES).read_text()) or []  # being written
    swept = [line for line in lines if re.split("[=@]", line)[0].lstrip("+") in keys]
    parsed = OverridesParser.create().parse_overrides(swept)
    given = {override.key_or_group: override.value() for override in parsed}
    if all(key in given for key in keys):
        return given
    config = OmegaConf.load(directory / ".hydra/config.yaml")
    composed = {key: OmegaConf.select(config, key) for key in keys}
    plain = {key: OmegaConf.to_container(v) if isinstance(v, ListConfig) else v for key, v in composed.items()}
    # For a group this would be the option's name, which the configuration does not have.
    return {key: None if isinstance(value, DictConfig) else value for key, value in plain.items()} | given


def _write(path: Path, rows: list[list[Any]]) -> None:
    new = _beside(path)
    with new.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    new.replace(path)


def _cell(value: Any) -> Any:
    """``value``; text is escaped so that spreadsheets do not read it as a formula."""
    return f"'{value}" if isinstance(value, str) and value.lstrip().startswith(tuple("=+-@")) else value


def _draw(path: Path, keys: list[str], name: str, jobs: list[Job]) -> None:
    from matplotlib.figure import Figure

    scores = [job.score[1] for job in jobs if job.score is not None]
    best = min(range(len(jobs)), key=scores.__getitem__)
    columns = min(COLUMNS, len(keys))
    rows = -(-len(keys) // columns)
    figure = Figure(figsize=(3.6 * columns, 3.2 * rows), layout="constrained")
    for i, key in enumerate(keys):
        axes = figure.add_subplot(rows, columns, i + 1)
        values = [job.values[key] for job in jobs]
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        if numbers and min(values) > 0 and max(values) >= LOGARITHMIC_FROM * min(values):
            axes.set_xscale("log")
        places = values if numbers else _on_an_axis_of_names(axes, [str(value) for value in values])
        axes.scatter(places, scores, alpha=0.7)
        axes.scatter(places[best : best + 1], scores[best : best + 1], marker="*", s=160, label=f"{scores[best]:.4f}")
        axes.set_xlabel(key)
        axes.set_ylabel(name if i % columns == 0 else "")
        axes.legend()
    new = _beside(path)
    figure.savefig(new, dpi=120, format="png")
    new.replace(path)


def _on_an_axis_of_names(axes: "Axes", names: list[str]) -> list[int]:
    """Positions of ``names`` on the x-axis. Labels are shortened to what tells them apart, and are plain text."""
    distinct = list(dict.fromkeys(names))
    every = -(-len(distinct) // LABELS)
    labels = [_shortened(name) for name in _apart(distinct)]
    places = range(0, len(distinct), every)
    axes.set_xticks(places, labels[::every], rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
    axes.set_xlim(-0.5, len(distinct) - 0.5)
    return [distinct.index(name) for name in names]


def _apart(paths: list[str]) -> list[str]:
    """``paths`` without the leading and trailing parts that all have in common."""
    parts = [path.split("/") for path in paths]
    shared = min(len(part) for part in parts) - 1
    before = next((i for i in range(shared) if len({part[i] for part in parts}) > 1), shared)
    after = next((i for i in range(shared - before) if len({part[-1 - i] for part in parts}) > 1), shared - before)
    return ["/".join(part[before : len(part) - after]) for part in parts]


def _shortened(text: str) -> str:
    text = "".join(c if c.isprintable() else " " for c in text)  # no font has a tab
    return text if len(text) <= LABEL else f"{text[: LABEL // 2]}…{text[-(LABEL // 2) + 1 :]}"


def _beside(path: Path) -> Path:
    """A temporary name beside ``path``, so that jobs that end at the same time do not mix their output."""
    return path.with_name(f".{path.name}.{os.getpid()}")
