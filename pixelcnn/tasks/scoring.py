"""Scores every image of a split exactly once, on any number of devices."""

import logging
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor

from pixelcnn.checkpoint import read
from pixelcnn.configuration.description import other_size, require_agreement
from pixelcnn.configuration.groups import imported, instantiated
from pixelcnn.configuration.same_run import HELD_OUT, require_same_run
from pixelcnn.configuration.trainer import AMOUNTS, build_trainer
from pixelcnn.data.base import ImageDataModule
from pixelcnn.data.fingerprint import fingerprint_of
from pixelcnn.errors import UserError
from pixelcnn.model import PixelModel
from pixelcnn.signature import arguments_of
from pixelcnn.training.metrics import ImageScores
from pixelcnn.training.progress import RunProgress

log = logging.getLogger(__name__)


class Scoring(LightningModule):
    """Computes ``of_batch`` for every batch of a split under ``model``; ``options`` are the Trainer's.

    ``rows`` are those of `ImageScores.rows`, once all images are scored.
    """

    def __init__(self, model: PixelModel, options: DictConfig) -> None:
        super().__init__()
        self.model, self.options = model, options
        self.scores = ImageScores()
        self.rows: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def of_batch(self, batch: dict[str, Tensor]) -> Tensor:
        """The numbers (N, M) of the images of a data set's batch."""
        raise NotImplementedError

    def gather(self) -> None:
        """Gather the scores of all devices, when all images are scored."""
        self.rows = self.scores.rows()

    def on_test_start(self) -> None:
        self._require_whole(self.trainer.test_dataloaders, self.trainer.num_test_batches)

    def on_validation_start(self) -> None:
        self._require_whole(self.trainer.val_dataloaders, self.trainer.num_val_batches)

    def _require_whole(self, loader: Any, batches: list[int | float]) -> None:
        """Raise UserError if the Trainer would leave out images."""
        if batches != [len(loader)]:
            raise left_out(self.options)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.scores.update(batch["index"], batch.get("labels"), self.of_batch(batch))

    def on_test_epoch_end(self) -> None:
        # Not after the loop: Lightning's teardown moves the scores to the CPU, where NCCL cannot gather.
        self.gather()

    validation_step = test_step
    on_validation_epoch_end = on_test_epoch_end


def split_of(config: DictConfig, overrides: list[str], model: PixelModel) -> ImageDataModule:
    """The data set, with ``task.split`` loaded.

    UserError if its images do not fit the model, or are not those held out in the model's run.
    """
    split = config.task.split
    data = instantiated(config, "data")
    data.prepare_data()
    data.setup("test" if split == "test" else "validate")
    require_agreement(model.description, config.checkpoint, config, overrides, data.shape)
    other_images = other_size(model.description, config.checkpoint, data.shape)
    if other_images is not None:
        rank_zero_only(log.warning)(other_images)
    if split == "val":
        images = {"val": fingerprint_of(data, "val")}
        require_same_run(read(config.checkpoint)["pixelcnn"], images, config, HELD_OUT, remedy="give that one")
    return data


def score_split(scoring: Scoring, data: ImageDataModule, split: str, run_dir: Path) -> tuple[Trainer, float]:
    """Run ``scoring`` over every image of ``split``. Returns the Trainer and the seconds it took.

    UserError if its options would leave out images.
    """
    options = scoring.options
    shown: list[Callback] = [] if options.enable_progress_bar is False else [RunProgress()]
    trainer = build_trainer(options, [], shown, run_dir)
    since = time.monotonic()
    (trainer.test if split == "test" else trainer.validate)(scoring, datamodule=data, verbose=False)
    seconds = time.monotonic() - since
    if scoring.rows is None:  # with a limit of 0 Lightning does not even start
        raise left_out(options)
    index = scoring.rows[0]
    assert len(index) == len(set(index.tolist())) == data.num_images_of(split)
    return trainer, seconds


def half_width(name: str, values: np.ndarray) -> dict[str, float]:
    """Under ``NAME_ci95`` the half-width of the 95 % confidence interval of the mean of ``values`` (N,), if N > 1."""
    if len(values) < 2:
        return {}
    return {f"{name}_ci95": float(1.96 * values.std(ddof=1) / math.sqrt(len(values)))}


def require_float32(config: DictConfig) -> None:
    """Raise UserError if the Trainer's precision is below float32."""
    precision = config.trainer.precision
    if str(precision) not in ("None", "32", "32-true"):
        raise UserError(
            f"trainer.precision={precision} is not for task={config.task.name}, which uses float32: leave it out."
        )


def left_out(options: DictConfig) -> UserError:
    """The error if ``options`` make the Trainer leave out images."""
    defaults = arguments_of(imported(options._target_, "trainer"))
    names = [name for name in (*AMOUNTS, "fast_dev_run") if options[name] != defaults[name].default]
    keys = " with ".join(f"trainer.{name}={options[name]}" for name in names)
    return UserError(f"{keys} would not score all images of the split: leave it out.")
