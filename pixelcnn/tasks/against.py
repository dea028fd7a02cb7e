"""``task.against``: the paired difference of two evaluations of the same images.

Images differ from each other much more than two models differ on one image, so the mean of the paired differences has a
far narrower interval than either score.
"""

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixelcnn.errors import UserError
from pixelcnn.tasks.scoring import half_width

PER_IMAGE = "per_image.csv"


@dataclass(frozen=True, eq=False)
class Evaluated:
    """The images of an evaluation in its order: ``index`` and ``label`` int64 (N,), ``scores`` float64 (N,)."""

    index: np.ndarray
    label: np.ndarray  # -1 without
    scores: np.ndarray


def read_evaluation(against: str, score: str) -> Evaluated:
    """Read ``score`` of each image from the evaluation ``against``: a run directory, or its ``per_image.csv``.

    UserError if it is not an evaluation by that score.
    """
    named = f"task.against={against}"
    path = Path(against) / PER_IMAGE if os.path.isdir(against) else Path(against)
    if not os.path.isfile(path):
        raise UserError(f"{named} has no {PER_IMAGE}: give the directory of a run of task=evaluate.")
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        numbers = [(int(row["index"]), int(row["label"] or -1), float(row[score])) for row in rows]
    except (KeyError, ValueError, TypeError, csv.Error) as error:  # TypeError: a truncated line
        raise UserError(
            f"{named} does not contain index, label and {score} of each image: evaluate it again."
        ) from error
    index, label, scores = zip(*numbers, strict=True) if numbers else ((), (), ())
    return Evaluated(np.array(index, np.int64), np.array(label, np.int64), np.array(scores))


def paired(own: Evaluated, other: Evaluated, against: str, score: str) -> dict[str, float]:
    """The mean of ``own`` minus ``other``, and the half-width of its 95 % interval if there are several images.

    UserError if they did not score the same images.
    """
    if not (np.array_equal(own.index, other.index) and np.array_equal(own.label, other.label)):
        raise UserError(
            f"task.against={against} scored different images, {len(other.index)} instead of {len(own.index)}: "
            "evaluate both models on the same split of the same data."
        )
    difference = own.scores - other.scores
    name = f"{score}_difference"
    return {name: float(difference.mean()), **half_width(name, difference)}
