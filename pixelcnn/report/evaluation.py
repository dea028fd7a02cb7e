"""The report of an evaluation."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pixelcnn.report import origin
from pixelcnn.report.page import Outcome, Page, Picture, Section, Table
from pixelcnn.report.scored_images import Ranking, sections
from pixelcnn.report.words import count, duration, label_in_words, plural
from pixelcnn.scores import as_label, in_words

SPLITS = {"val": "validation", "test": "test"}


@dataclass(frozen=True)
class HeatMaps:
    """Where the bits go: in single images, and on average."""

    of_images: Picture
    mean: Picture


@dataclass(frozen=True, eq=False, kw_only=True)
class EvaluatedSplit(origin.Reported):
    """An evaluation, as its report needs it."""

    checkpoint: str
    split: str
    score_name: str
    given: str | None  # the condition of all images, unless each has its own
    against: str | None  # the evaluation that ``metrics`` has the difference from
    other_size: str | None  # a sentence if the images are not of the model's size
    metrics: Mapping[str, float]  # as in metrics.json
    images: Ranking
    maps: HeatMaps | None
    labels: np.ndarray | None  # int64 (N,)
    class_names: Sequence[str] | None
    by_channel: Mapping[str, float]  # the mean score of each channel given those before; empty for one channel
    by_order: Mapping[str, float]  # the score of each order alone; empty for one order
    seconds: float


def evaluation_page(evaluated: EvaluatedSplit) -> Page:
    """The report of ``evaluated``."""
    label = as_label(evaluated.score_name)
    return origin.page_about(
        evaluated,
        "Evaluation of",
        "evaluation",
        _outcome(evaluated),
        _facts(evaluated),
        [
            *sections(evaluated.images, f"{SPLITS[evaluated.split]} images", label),
            *_maps(evaluated),
            *_by("channel", evaluated.by_channel, label, "Each given the channels before it; the score is their mean."),
            *_by("order", evaluated.by_order, label, "Each alone; the total averages their probabilities."),
            *_classes(evaluated, label),
        ],
    )


def _outcome(evaluated: EvaluatedSplit) -> Outcome:
    name, metrics = _name(evaluated), evaluated.metrics
    score, interval = metrics[name], metrics.get(f"{name}_ci95", math.inf)
    bounded = math.isfinite(interval)
    value = f"{score:.4f} ± {interval:.4f}" if bounded else f"{score:.4f}"
    told = f"The mean over all {plural(len(evaluated.images.scores), 'image')} of the {evaluated.split} set"
    told += ", ± its 95 % confidence interval over images." if bounded else "."
    if evaluated.against is not None:
        difference = difference_in_words(evaluated.split, evaluated.score_name, evaluated.metrics)
        told += f" {difference} against {evaluated.against}, paired by image."
    if evaluated.other_size is not None:
        told += f" {evaluated.other_size}"
    state, mood = ("Evaluated", "good") if math.isfinite(score) else ("Not finite", "bad")
    headline = in_words(evaluated.score_name, value, evaluated.given)
    return Outcome(state, mood, headline, f"{told} Checkpoint: {evaluated.checkpoint}")


def difference_in_words(split: str, score_name: str, metrics: Mapping[str, float]) -> str:
    """The difference from the other evaluation's score, as text; negative if this one is lower."""
    name = f"{split}/{score_name}_difference"
    interval = metrics.get(f"{name}_ci95")
    bounded = "" if interval is None else f" ± {interval:.4f}"
    return f"Difference {in_words(score_name, f'{metrics[name]:+.4f}{bounded}')}"


def _facts(evaluated: EvaluatedSplit) -> list[tuple[str, str]]:
    scores = evaluated.images.scores
    facts = [
        ("Images", count(len(scores))),
        ("Lowest", f"{scores.min():.4f}"),
        ("Median", f"{np.median(scores):.4f}"),
        ("Highest", f"{scores.max():.4f}"),
        ("Standard deviation", f"{scores.std():.4f}"),
        ("Wall time", duration(evaluated.seconds)),
        ("Images/s", f"{len(scores) / evaluated.seconds:,.1f}"),
        ("Parameters", count(evaluated.record["num_parameters"])),
    ]
    original = f"{_name(evaluated)}_original_protocol"
    if original in evaluated.metrics:
        facts.append(("Original's protocol", f"{evaluated.metrics[original]:.4f}"))
    return facts


def _name(evaluated: EvaluatedSplit) -> str:
    return f"{evaluated.split}/{evaluated.score_name}"


def _maps(evaluated: EvaluatedSplit) -> list[Section]:
    if evaluated.maps is None:
        return []
    note = "Beside each image the score of each pixel, given all pixels before it, as the mean over its channels."
    mean = "The mean cost of each position over all images. The first pixels have the fewest pixels before them."
    return [
        Section("Where the bits go", note, pictures=[evaluated.maps.of_images]),
        Section("Mean map", mean, "plots", pictures=[evaluated.maps.mean]),
    ]


def _by(part: str, scores: Mapping[str, float], label: str, note: str) -> list[Section]:
    """The ``scores`` of a split's parts, such as channels."""
    table = Table([part.capitalize(), label], [[name, f"{value:.4f}"] for name, value in scores.items()])
    return [Section(f"By {part}", note, table=table)] if scores else []


def _classes(evaluated: EvaluatedSplit, label: str) -> list[Section]:
    if evaluated.labels is None:
        return []
    rows = []
    for each in np.unique(evaluated.labels):
        scores = evaluated.images.scores[evaluated.labels == each]
        interval = f"± {1.96 * scores.std(ddof=1) / math.sqrt(len(scores)):.4f}" if len(scores) > 1 else ""
        rows.append(
            [label_in_words(int(each), evaluated.class_names), count(len(scores)), f"{scores.mean():.4f}", interval]
        )
    return [Section("By label", table=Table(["Label", "Images", label, "95 % interval"], rows))]
