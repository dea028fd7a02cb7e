"""What a sweep has found: ``sweep.csv``, a job a line, and ``sweep.png``, the objective by each hyper-parameter."""

import csv
import json
import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, ListConfig, OmegaConf

from pixelcnn.scores import score_of_run

COLUMNS = 4  # of panels in the picture
LOGARITHMIC_FROM = 10  # largest over smallest value


@dataclass(frozen=True)
class Job:
    """A job of a sweep; ``score`` is name and value of its objective, None until it has one."""

    directory: str  # within the sweep's
    values: dict[str, Any]
    score: tuple[str, float] | None


def swept_keys(config: DictConfig) -> list[str]:
    """The keys that the sweep of ``config`` (with Hydra's node) gives several values."""
    parsed = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
    typed = [override.key_or_group for override in parsed if override.is_sweep_override()]
    return list(dict.fromkeys([*(config.hydra.sweeper.get("params") or {}), *typed]))


def write_results(sweep_dir: Path, keys: list[str]) -> None:
    """Write table and picture of the jobs in ``sweep_dir`` so far, those of an earlier part of the sweep included."""
    jobs = jobs_in(sweep_dir, keys)
    scores = [job.score for job in jobs if job.score is not None]
    name = scores[0][0] if scores else "objective"
    _write_table(sweep_dir / "sweep.csv", keys, name, jobs)
    finite = [job for job in jobs if job.score is not None and math.isfinite(job.score[1])]
    if finite and keys:
        _draw(sweep_dir / "sweep.png", keys, name, finite)


def jobs_in(sweep_dir: Path, keys: Iterable[str]) -> list[Job]:
    """All jobs that were started in ``sweep_dir``, in their order."""
    directories = [path.parent.parent for path in sweep_dir.rglob(".hydra/overrides.yaml")]
    return [_read(sweep_dir, directory, keys) for directory in sorted(directories, key=_in_order)]


def _in_order(path: Path) -> list[int | str]:
    """Numbers in names compare as numbers."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", str(path))]


def _read(sweep_dir: Path, directory: Path, keys: Iterable[str]) -> Job:
    config = OmegaConf.load(directory / ".hydra/config.yaml")
    overrides = OverridesParser.create().parse_overrides(list(OmegaConf.load(directory / ".hydra/overrides.yaml")))
    chosen = {override.key_or_group: override.get_value_element_as_str() for override in overrides}
    values = {}
    for key in keys:
        value = OmegaConf.select(config, key)
        if isinstance(value, DictConfig):  # of a group it is the option's name that was swept
            value = chosen.get(key)
        values[key] = OmegaConf.to_container(value) if isinstance(value, ListConfig) else value
    metrics = directory / "metrics.json"
    score = score_of_run(json.loads(metrics.read_text())) if metrics.exists() else None
    return Job(str(directory.relative_to(sweep_dir)), values, score)


def _write_table(path: Path, keys: list[str], name: str, jobs: list[Job]) -> None:
    new = _beside(path)
    with new.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["job", *keys, name])
        for job in jobs:
            score = "" if job.score is None else job.score[1]
            table.writerow([job.directory, *(job.values[key] for key in keys), score])
    new.replace(path)


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
        places = values if numbers else [str(value) for value in values]
        axes.scatter(places, scores, alpha=0.7)
        axes.scatter(places[best : best + 1], scores[best : best + 1], marker="*", s=160, label=f"{scores[best]:.4f}")
        axes.set_xlabel(key)
        axes.set_ylabel(name if i % columns == 0 else "")
        axes.legend()
    new = _beside(path)
    figure.savefig(new, dpi=120, format="png")
    new.replace(path)


def _beside(path: Path) -> Path:
    """Where to write a file first: jobs that end at the same time write it in turn."""
    return path.with_name(f".{path.name}.{os.getpid()}")
