"""The report of a training run."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from pixelcnn.report import commands, origin
from pixelcnn.report.images import grids
from pixelcnn.report.page import Outcome, Page, Section
from pixelcnn.report.plots import Line, curves
from pixelcnn.report.scored_images import Ranking, sections
from pixelcnn.report.words import count, duration, plural
from pixelcnn.scores import as_label, in_words, per_image

# Plotted beside the score, if logged.
PANELS = {
    "train/images_per_second": "images/s",
    "lr": "learning rate",
    "train/gradient_norm": "gradient norm",
    "train/tflops": "TFLOP/s of the convolutions",
    "train/share_of_matmul_peak": "fraction of peak matmul throughput",
}
NOT_DRAWN = ("train/skipped_steps",)
# Options that sampling from such a model requires; class-conditional models sample the classes in turn.
CONDITION_NEEDED = ("Vectors", "Maps", "CoarseCodes", "Encoder")


@dataclass(frozen=True)
class Ending:
    """How a run ended: in a word or two, whether that is "good", "open" or "bad", and in one sentence."""

    state: str
    mood: str
    sentence: str


@dataclass(frozen=True)
class Start:
    """Where a run was started or resumed."""

    step: int
    time: str
    directory: str


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingRun(origin.Reported):
    """A training run, including the earlier parts that it was resumed from."""

    score_name: str
    ending: Ending
    step: int
    epochs: int  # finished
    images: int  # trained on, over all devices and epochs
    flop: float  # of their forward and backward passes
    seconds: float
    skipped_steps: int
    starts: list[Start]
    points: Mapping[str, list[tuple[float, float]]]  # by name, steps and values of what was logged
    best: tuple[int, float] | None  # step and score of the best validation
    last: tuple[int, float] | None
    validated_on: str
    validation: Ranking | None  # of the last one
    samples: list[tuple[int, Path]]  # grids by step


def history_of(run: TrainingRun) -> dict[str, Any]:
    """``history.json``, which `comparison` reads: the curves and what they cost."""
    return {
        "state": run.ending.state,
        "score": run.score_name,
        "best": run.best,
        "step": run.step,
        "epochs": run.epochs,
        "images": run.images,
        "seconds": run.seconds,
        "flop": run.flop,
        "num_parameters": run.record["num_parameters"],
        "curves": run.points,
    }


def training_page(run: TrainingRun) -> Page:
    """The report of ``run``, finished or not."""
    shown = [*_curves(run), *_samples(run), *_validation(run)]
    return origin.page_about(
        run, "Training of", "run", _outcome(run), _facts(run), shown, _next_commands(run), _starts(run)
    )


def _outcome(run: TrainingRun) -> Outcome:
    if run.best is None:
        return Outcome(run.ending.state, run.ending.mood, "No validation yet", run.ending.sentence)
    step, score = run.best
    told = f"The best score on the {run.validated_on}, at step {count(step)}."
    if run.last is not None and run.last != run.best:
        told += f" At the last validation, step {count(run.last[0])}: {run.last[1]:.4f}."
    if run.skipped_steps:
        told += f" {plural(run.skipped_steps, 'step')} skipped: loss or gradient was not finite."
    headline = in_words(run.score_name, f"{score:.4f}")
    return Outcome(run.ending.state, run.ending.mood, headline, f"{told} {run.ending.sentence}")


def _facts(run: TrainingRun) -> list[tuple[str, str]]:
    return [
        ("Steps", count(run.step)),
        ("Epochs", count(run.epochs)),
        ("Images seen", count(run.images)),
        ("Training FLOP", f"{run.flop:.2e}"),
        ("Wall time", duration(run.seconds)),
        *([("Images/s overall", f"{run.images / run.seconds:,.1f}")] if run.seconds and run.images else []),
        ("Skipped steps", count(run.skipped_steps)),
        ("Parameters", count(run.record["num_parameters"])),
        ("Devices", count(run.world_size)),
    ]


def _curves(run: TrainingRun) -> list[Section]:
    label = as_label(run.score_name)
    lines = [
        Line(name, run.points[f"{split}/{run.score_name}"], noisy=split == "train")
        for split, name in (("train", "training"), ("val", "validation"))
        if run.points.get(f"{split}/{run.score_name}")
    ]
    if not lines:
        return []
    note = ""
    if len(lines) == 2:
        note = "Validation uses the EMA weights and no dropout, so it can be below training."
    found = [Section(f"{label[0].upper()}{label[1:]}", note, pictures=[curves(lines, label, wide=True, mark=run.best)])]
    parts = {name: points for name, points in run.points.items() if name.startswith(f"val/{run.score_name}_")}
    panels = []
    if parts:
        by_part = [Line(name.removeprefix(f"val/{run.score_name}_"), points) for name, points in parts.items()]
        panels.append(curves(by_part, f"validation {label}, its parts"))
    same = {f"val/{name}" for name in per_image(run.score_name)}  # the score in other units
    drawn = {f"{split}/{run.score_name}" for split in ("train", "val")} | same | set(parts) | set(NOT_DRAWN)
    others = {name: name.removeprefix("train/").replace("_", " ") for name in run.points if name not in drawn}
    for name, title in (PANELS | {name: title for name, title in others.items() if name not in PANELS}).items():
        if run.points.get(name):
            panels.append(curves([Line(name, run.points[name], noisy=name != "lr")], title))
    return [*found, Section("Course of the run", layout="plots", pictures=panels)] if panels else found


def _samples(run: TrainingRun) -> list[Section]:
    pictures = grids(run.samples)
    if not pictures:
        return []
    note = "Drawn with the EMA weights, all from the same seed."
    if len(pictures) < len(run.samples):
        note += f" {len(pictures)} of {len(run.samples)} grids; the others are in samples/."
    return [Section("Samples over time", note, "pictures", pictures)]


def _validation(run: TrainingRun) -> list[Section]:
    if run.validation is None or run.last is None:
        return []
    note = f"Of the last validation, at step {count(run.last[0])}."
    return sections(run.validation, run.validated_on, as_label(run.score_name), note)


def _starts(run: TrainingRun) -> list[tuple[str, str]]:
    resumed = [
        (f"resumed at step {count(start.step)}", f"{start.time}, from {before.directory}")
        for before, start in pairwise(run.starts)
    ]
    return [*(("started", start.time) for start in run.starts[:1]), *resumed]


def _next_commands(run: TrainingRun) -> list[tuple[str, str]]:
    needs_condition = any(name in CONDITION_NEEDED for name in origin.conditions_of(run.config))
    best = run.run_dir / "checkpoints" / "best.ckpt"
    listed = [
        (
            "To resume it (to train beyond its end, raise trainer.max_epochs= or trainer.max_steps=):",
            commands.resumed(run.overrides, run.run_dir),
        ),
    ]
    if origin.class_of(run.config, "likelihood") != "Implicit":
        listed.append(("To score it on the test set:", commands.evaluated(run.overrides, best, run.config)))
    listed.append(("To draw new images:", commands.sampled(best, needs_condition, run.config)))
    return listed
