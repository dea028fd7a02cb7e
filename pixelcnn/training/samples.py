"""Grids of samples drawn while a model trains."""

from pathlib import Path

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from pixelcnn import pictures
from pixelcnn.data.base import ImageDataModule
from pixelcnn.model import PixelModel
from pixelcnn.training.ema import averaged_weights


def conditions_of_samples(model: PixelModel, data: ImageDataModule, n: int) -> Tensor | None:
    """The conditions of a grid of n samples, in turn where they are fewer; None for an unconditional model.

    Made up where the kind of condition can be, and else those of the first validation images.
    """
    examples = model.conditioning.examples(n)
    if examples is not None or model.conditioning.batch_key is None:
        return examples
    condition = model.condition_in(data.first("val", n))
    assert condition is not None
    return condition[torch.arange(n) % len(condition)]


class SampleGrid(Callback):
    """Draws ``num_samples`` images with the averaged weights every ``every_n_epochs`` and when training ends.

    They go to ``directory/step=000200.png`` and to the logger. ``every_n_epochs=0`` leaves those at the end alone.
    All grids of a run are drawn from the same ``seed``. ``condition`` is the samples', its first axis ``num_samples``.
    """

    def __init__(
        self, directory: Path, every_n_epochs: int, num_samples: int, seed: int, condition: Tensor | None = None
    ) -> None:
        self.directory = directory
        self.every_n_epochs = every_n_epochs
        self.num_samples = num_samples
        self.seed = seed
        self.condition = condition
        self._drawn_at: int | None = None  # step

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        due = self.every_n_epochs > 0 and (trainer.current_epoch + 1) % self.every_n_epochs == 0
        if due and trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._draw(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._draw(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # A run without a step to take has no training that ends.
        self._draw(trainer, pl_module)

    def _draw(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero or self._drawn_at == trainer.global_step:
            return
        self._drawn_at = trainer.global_step
        model = pl_module.model
        assert isinstance(model, PixelModel)
        condition = None if self.condition is None else self.condition.to(pl_module.device)
        with averaged_weights(trainer):
            images = model.sample(self.num_samples, condition, self.seed)
        picture = pictures.grid(images, model.image.levels)
        pictures.save(picture, self.directory / f"step={trainer.global_step:06d}.png")
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image("samples", [picture.permute(1, 2, 0).numpy()], step=trainer.global_step)
