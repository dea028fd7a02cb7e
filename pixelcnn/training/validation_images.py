"""Per-image results of a validation: all scores, and the pixels of the best and worst images."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from pixelcnn.data.base import ImageDataModule
from pixelcnn.training.metrics import ImageScores
from pixelcnn.training.module import DensityEstimation


@dataclass(frozen=True, eq=False)
class ScoredImages:
    """Some images of a split and their scores, ``score_name`` of the module that scored them."""

    index: np.ndarray  # int64 (N,): their places in the arrays of the split
    labels: np.ndarray | None  # int64 (N,)
    scores: np.ndarray  # float64 (N,), per dimension, in the unit of the score

    def at(self, places: np.ndarray) -> "ScoredImages":
        """The images at ``places``, int64 (M,), among these."""
        labels = None if self.labels is None else self.labels[places]
        return ScoredImages(self.index[places], labels, self.scores[places])


@dataclass(frozen=True, eq=False)
class Validation:
    """One validation's images, each once, in the order of their split, and those of the lowest and highest scores."""

    step: int
    all: ScoredImages
    best: ScoredImages  # the lowest score first
    worst: ScoredImages  # the highest score first; some are among the best where there are few images
    best_images: Tensor  # uint8 (k, C, H, W), 0 .. levels-1
    worst_images: Tensor

    @property
    def ranked(self) -> tuple[tuple[str, ScoredImages, Tensor], ...]:
        """Best and worst, each with its name and its pixels."""
        return ("best", self.best, self.best_images), ("worst", self.worst, self.worst_images)


class ValidationImages(Callback):
    """Collects the score of every validation image over all ranks, and the ``num_kept`` best and worst images.

    ``last`` is the last validation, available from the hook on_validation_end on. It exists on rank 0 only: None on
    other ranks, and before the first one. NaN counts as the worst score.
    """

    def __init__(self, num_kept: int = 0) -> None:
        self.num_kept = num_kept
        self.last: Validation | None = None
        self._scores = ImageScores()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._scores.reset()

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: dict[str, Tensor], *_: int
    ) -> None:
        self._scores.update(batch["index"], batch.get("labels"), outputs)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            return
        index, labels, losses = self._scores.rows()  # on every rank: a collective operation
        if not trainer.is_global_zero:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(pl_module, DensityEstimation) and isinstance(data, ImageDataModule)
        scores = losses.sum(axis=1) / (pl_module.objective.unit * data.shape.dimensions)
        every = ScoredImages(index, None if (labels < 0).all() else labels, scores)
        order = scores.argsort(kind="stable")
        best, worst = every.at(order[: self.num_kept]), every.at(order[::-1][: self.num_kept])
        pixels = (data.at("val", few.index)["images"] for few in (best, worst))
        self.last = Validation(trainer.global_step, every, best, worst, *pixels)
