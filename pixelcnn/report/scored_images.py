"""Sections about the scores of single images: their histogram, the best and the worst images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pixelcnn.report.images import single
from pixelcnn.report.page import Section
from pixelcnn.report.plots import histogram
from pixelcnn.report.words import label_in_words


@dataclass(frozen=True, eq=False)
class Example:
    """An image and its score."""

    index: int
    label: str | None  # as text
    score: float
    pixels: np.ndarray  # uint8 (C, H, W), 0 .. 255


@dataclass(frozen=True, eq=False)
class Ranking:
    """The images of a split: the scores of all of them, and some with their pixels."""

    scores: np.ndarray  # float64 (N,)
    best: list[Example]  # the lowest score first
    worst: list[Example]  # the highest score first


def examples(
    index: np.ndarray,
    labels: np.ndarray | None,
    scores: np.ndarray,
    pixels: np.ndarray,
    class_names: Sequence[str] | None = None,
) -> list[Example]:
    """Examples of images whose properties are given in arrays, first axis N."""
    each_label = [None] * len(index) if labels is None else [label_in_words(k, class_names) for k in labels.tolist()]
    rows = zip(index.tolist(), each_label, scores.tolist(), pixels, strict=True)
    return [Example(*row) for row in rows]


def sections(images: Ranking, of: str, label: str, note: str = "") -> list[Section]:
    """Histogram, best and worst images; ``of`` describes the images, ``label`` names the score."""
    finite = images.scores[np.isfinite(images.scores)]
    if not len(finite):
        return []
    left_out = len(images.scores) - len(finite)
    notes = [note] if note else []
    if left_out:
        notes.append(f"{left_out} of {len(images.scores)} scores are not finite and are left out.")
    plot = histogram(finite.tolist(), f"{label} of an image", float(finite.mean()))
    return [
        Section(f"Scores of the {of}", " ".join(notes), pictures=[plot]),
        *_examples("Best", "The lowest scores: what the model finds most likely.", images.best),
        *_examples("Worst", "The highest scores: what surprises the model most.", images.worst),
    ]


def _examples(which: str, note: str, shown: list[Example]) -> list[Section]:
    if not shown:
        return []
    pictures = []
    for one in shown:
        label = "" if one.label is None else f", label {one.label}"
        pictures.append(single(one.pixels, f"Image {one.index}", f"{one.score:.3f}\n#{one.index}{label}"))
    return [Section(f"{which} images", f"{note} # is the index in the data set.", "pictures", pictures)]
