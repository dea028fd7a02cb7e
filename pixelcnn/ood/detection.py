"""How well a score separates in-distribution from out-of-distribution images: AUROC, AUPR and FPR at 95 % TPR.

Out of distribution is the positive class.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_average_precision,
    binary_roc,
    binary_specificity_at_sensitivity,
)

TPR = 0.95
LEVEL = (0.025, 0.975)  # of the intervals


@dataclass(frozen=True, eq=False)
class Detection:
    """``values`` and 95 % ``intervals``, keyed by auroc, aupr and fpr95; the ROC curve, ``tpr`` against ``fpr``.

    auroc: the probability that an out-of-distribution image has the higher score than an in-distribution one, ties
    counting half. aupr: average precision; that of a useless score is the fraction of out-of-distribution images.
    fpr95: the false positive rate at the first threshold with a true positive rate of at least 95 %.
    """

    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    fpr: np.ndarray
    tpr: np.ndarray


def detection(inside: np.ndarray, outside: np.ndarray, resamples: int = 200, seed: int = 0) -> Detection:
    """Measure a score from its values ``inside`` (N,) and ``outside`` (M,) of the distribution, float64.

    Intervals are quantiles over ``resamples`` bootstrap resamples of both sets, seeded by ``seed``.
    """
    # torchmetrics treats values outside [0, 1] as logits, and its float32 sigmoid would create ties.
    values, ranks = np.unique(np.concatenate([inside, outside]), return_inverse=True)
    unit = ranks / len(values)
    n, m = len(inside), len(outside)
    target = torch.tensor([0] * n + [1] * m)
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        places = np.concatenate([rng.integers(n, size=n), n + rng.integers(m, size=m)])
        drawn.append(_measured(torch.from_numpy(unit[places]), target))
    low, high = ({name: float(np.quantile([one[name] for one in drawn], q)) for name in drawn[0]} for q in LEVEL)
    fpr, tpr, _ = binary_roc(torch.from_numpy(unit), target)
    return Detection(
        values=_measured(torch.from_numpy(unit), target),
        intervals={name: (low[name], high[name]) for name in low},
        fpr=fpr.numpy(),
        tpr=tpr.numpy(),
    )


def _measured(unit: Tensor, target: Tensor) -> dict[str, float]:
    specificity, _ = binary_specificity_at_sensitivity(unit, target, min_sensitivity=TPR)
    measured = {
        "auroc": binary_auroc(unit, target),
        "aupr": binary_average_precision(unit, target),
        "fpr95": 1 - specificity,
    }
    return {name: float(value.clamp(0, 1)) for name, value in measured.items()}  # float32 sums may exceed 1
