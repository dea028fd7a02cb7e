"""The report of out-of-distribution detection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pixelcnn.report import origin
from pixelcnn.report.detection_plots import histograms, roc, surprising
from pixelcnn.report.maps import Mapped
from pixelcnn.report.page import Outcome, Page, Section, Table
from pixelcnn.report.plots import Plot
from pixelcnn.report.words import count, duration

MEASURES = {"auroc": "AUROC", "aupr": "AUPR", "fpr95": "FPR at 95 % TPR"}
CHANCE = 0.5  # the AUROC of a useless score
EXPLAINED = (
    "An AUROC of 0.5 is chance; below it, images out of distribution look more familiar than those in distribution. "
    "For AUPR, chance is the fraction of images out of distribution. Brackets are 95 % bootstrap intervals."
)


@dataclass(frozen=True, eq=False)
class ScoredSets:
    """One score of all sets, by their names; the first is in distribution."""

    batch: int  # images that share one score
    scores: Mapping[str, np.ndarray]  # float64 (N // batch,)
    separations: Mapping[str, Any]  # each a `pixelcnn.ood.Detection`, without the first set
    surprising: Mapping[str, Sequence[Mapped]]  # the highest scores first; empty if a score has no map


@dataclass(frozen=True, eq=False, kw_only=True)
class DetectionRun(origin.Reported):
    """A run of task=ood, as its report needs it."""

    checkpoint: str
    titles: Mapping[str, str]  # by the names of the sets, the one in distribution first
    num_images: Mapping[str, int]
    scored: Mapping[str, ScoredSets]  # by the scores' names
    seconds: float


def roc_plot(run: DetectionRun) -> Plot:
    """The ROC curves of all scores: a plot for each set that is out of distribution."""
    inside, *others = run.titles
    curves = {}
    for outside in others:
        separations = {name: sets.separations[outside] for name, sets in run.scored.items()}
        title = f"{run.titles[outside]} against {run.titles[inside]}"
        curves[title] = {f"{name}, {one.values['auroc']:.3f}": (one.fpr, one.tpr) for name, one in separations.items()}
    return roc(curves)


def detection_page(run: DetectionRun) -> Page:
    """The report of ``run``."""
    return origin.page_about(
        run,
        "Out-of-distribution detection by",
        "run",
        _outcome(run),
        _facts(run),
        [
            Section("Scores", EXPLAINED, table=_table(run)),
            Section(
                "ROC curves",
                "Out of distribution is positive; the numbers are AUROCs.",
                pictures=[roc_plot(run).picture],
            ),
            *(section for name, sets in run.scored.items() for section in _of_score(run, name, sets)),
        ],
    )


def _outcome(run: DetectionRun) -> Outcome:
    of_images = {name: sets for name, sets in run.scored.items() if sets.batch == 1} or run.scored
    aurocs = {name: [one.values["auroc"] for one in sets.separations.values()] for name, sets in of_images.items()}
    best = max(aurocs, key=lambda name: min(aurocs[name]))
    value = min(aurocs[best])
    inside, *others = run.titles.values()
    of_several = ", on the set that it separates worst" if len(others) > 1 else ""
    return Outcome(
        "Scored",
        "good" if value > CHANCE else "bad",
        f"AUROC {value:.3f} by {best}",
        f"The highest AUROC of a score of single images{of_several}: {', '.join(others)} against {inside}. "
        f"Checkpoint: {run.checkpoint}",
    )


def _facts(run: DetectionRun) -> list[tuple[str, str]]:
    return [
        *((f"Images, {title}", count(run.num_images[name])) for name, title in run.titles.items()),
        ("Wall time", duration(run.seconds)),
        ("Parameters", count(run.record["num_parameters"])),
    ]


def _table(run: DetectionRun) -> Table:
    rows = []
    for name, sets in run.scored.items():
        called = name if sets.batch == 1 else f"{name} ({sets.batch} images)"
        for outside, one in sets.separations.items():
            rows.append([called, run.titles[outside], *(_told(one, measure) for measure in MEASURES)])
    return Table(["Score", "Out of distribution", *MEASURES.values()], rows)


def _told(one: Any, measure: str) -> str:
    low, high = one.intervals[measure]
    return f"{one.values[measure]:.3f} [{low:.3f}, {high:.3f}]"


def _of_score(run: DetectionRun, name: str, sets: ScoredSets) -> list[Section]:
    finite = {run.titles[of]: one[np.isfinite(one)] for of, one in sets.scores.items()}
    sections = []
    if all(map(len, finite.values())):
        sections.append(Section(f"Histogram of {name}", pictures=[histograms(finite, f"{name}, bits/dim").picture]))
    if any(sets.surprising.values()):
        note = "The highest scores of each set and where they come from. # is the index in the set."
        shown = surprising(sets.surprising, f"{name}, bits per sub-pixel")
        sections.append(Section(f"Most surprising by {name}", note, pictures=[shown.picture]))
    return sections
