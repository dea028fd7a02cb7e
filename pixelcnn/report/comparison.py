"""Runs side by side: their scores, what they cost, curves and samples."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixelcnn.report import origin
from pixelcnn.report.images import grid_of
from pixelcnn.report.page import Cell, Outcome, Page, Picture, Section, Table
from pixelcnn.report.plots import SERIES, Line, curves
from pixelcnn.report.words import count, duration, plural
from pixelcnn.scores import as_label, in_words

MOST = len(SERIES)  # runs in the plots


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """A run; ``history`` is its ``history.json``, empty if there is none."""

    name: str
    values: Mapping[str, Any]  # of the keys in which the runs differ
    score: tuple[str, float] | None  # its name and value
    history: Mapping[str, Any]
    report: str | None  # its report, relative to the page
    samples: Path | None  # the last grid


def comparison_page(runs: Sequence[ComparedRun], directory: Path) -> Page:
    """The page about ``runs``, best first."""
    ranked = sorted(runs, key=_rank)
    keys = list(dict.fromkeys(key for run in runs for key in run.values))
    return Page(
        title=f"Comparison of {plural(len(runs), 'run')}",
        directory=str(directory),
        outcome=_outcome(ranked, keys),
        facts=_facts(runs),
        sections=[_table(ranked, keys), *_curves(ranked, keys), *_samples(ranked, keys)],
        written=origin.now(),
    )


def _rank(run: ComparedRun) -> tuple[bool, str, float]:
    """A sort key: by value among scores of one name; runs without a finite score come last."""
    name, value = run.score or ("", math.nan)
    return (False, name, value) if math.isfinite(value) else (True, name, 0.0)


def best_of(runs: Sequence[ComparedRun]) -> ComparedRun | None:
    """The run with the lowest score; None if there are no scores, or scores with different names."""
    scored = [run for run in sorted(runs, key=_rank) if not _rank(run)[0]]
    return scored[0] if len({_rank(run)[1] for run in scored}) == 1 else None


def _outcome(ranked: Sequence[ComparedRun], keys: Sequence[str]) -> Outcome:
    scored = sum(not _rank(run)[0] for run in ranked)
    state, mood = (f"{scored} of {len(ranked)} scored", "open") if scored < len(ranked) else ("All scored", "good")
    if not scored:
        return Outcome(state, mood, "No score yet", "No run has validated.")
    best = best_of(ranked)
    if best is None:
        return Outcome(state, mood, "Scores of several kinds", "They do not compare with each other.")
    assert best.score is not None
    name, value = best.score
    headline = in_words(name.rpartition("/")[2], f"{value:.4f}")
    return Outcome(state, mood, headline, f"The lowest {name}: {_told(best, keys)}.")


def _facts(runs: Sequence[ComparedRun]) -> list[tuple[str, str]]:
    histories = [run.history for run in runs if run.history]
    if not histories:
        return []
    seconds, images, flop = (sum(history[key] for history in histories) for key in ("seconds", "images", "flop"))
    return [
        ("Wall time of all runs", duration(seconds)),
        ("Images seen", count(images)),
        ("Training FLOP", f"{flop:.2e}"),
    ]


def _told(run: ComparedRun, keys: Sequence[str]) -> str:
    """The values of ``keys`` in ``run``, or its name."""
    told = ", ".join(f"{key.rpartition('.')[2]}={run.values[key]}" for key in keys if run.values.get(key) is not None)
    return told or run.name


def _table(ranked: Sequence[ComparedRun], keys: Sequence[str]) -> Section:
    scores = list(dict.fromkeys(run.score[0] for run in ranked if run.score is not None))
    costs = ("at step", "steps", "images seen", "wall time", "training FLOP", "parameters", "state")
    rows = []
    for run in ranked:
        history = run.history
        values = [run.values.get(key) for key in keys]
        found = [None if run.score is None or run.score[0] != name else run.score[1] for name in scores]
        of_costs: list[str | Cell] = [""] * len(costs)
        if history:
            of_costs = [
                _number(None if history["best"] is None else history["best"][0], "{:,}"),
                *(_number(history[key], "{:,}") for key in ("step", "images")),
                Cell(duration(history["seconds"]), history["seconds"]),
                _number(history["flop"], "{:.2e}"),
                _number(history["num_parameters"], "{:,}"),
                history["state"],
            ]
        of_scores = [_number(value, "{:.4f}") for value in found]
        rows.append([Cell(run.name, link=run.report), *map(_value, values), *of_scores, *of_costs])
    note = "Best first. Click a column's name to sort by it, or a run's name for its report."
    return Section("Runs", note, table=Table(["run", *keys, *scores, *costs], rows, sortable=True))


def _value(value: Any) -> str | Cell:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Cell(str(value), float(value))
    return "" if value is None else str(value)


def _number(value: float | None, form: str) -> str | Cell:
    return "" if value is None else Cell(form.format(value), float(value) if math.isfinite(value) else None)


def _curves(ranked: Sequence[ComparedRun], keys: Sequence[str]) -> list[Section]:
    """The validation score of the best runs against steps, wall time and FLOP."""
    # Only scores named like the first run's: others do not compare.
    name = next((run.history["score"] for run in ranked if run.history), "")
    drawn = [run for run in ranked if run.history and run.history["curves"].get(f"val/{name}")][:MOST]
    if not drawn:
        return []
    label = f"validation {as_label(str(name))}"

    def against(cost: str, unit: float) -> list[Line]:
        lines = []
        for run in drawn:
            each = run.history[cost] / unit / max(run.history["step"], 1)
            points = [(step * each, value) for step, value in run.history["curves"][f"val/{name}"]]
            lines.append(Line(_told(run, keys), points))
        return lines

    few = f"The {len(drawn)} best of {len(ranked)} runs. " if len(drawn) < len(ranked) else ""
    note = f"{few}Wall time and FLOP are spread evenly over a run's steps."
    pictures = [
        curves(against("flop", 1.0), label, against="training FLOP"),
        curves(against("seconds", 60.0), label, against="minutes"),
    ]
    return [
        Section("Score", few.strip(), pictures=[curves(against("step", 1.0), label, wide=True)]),
        Section("Score against cost", note, "plots", pictures),
    ]


def _samples(ranked: Sequence[ComparedRun], keys: Sequence[str]) -> list[Section]:
    pictures: list[Picture] = [
        grid_of(run.samples, f"Samples of {run.name}", _told(run, keys)) for run in ranked if run.samples is not None
    ][:MOST]
    return [Section("Last samples", "", "pictures", pictures)] if pictures else []
