"""Grids of samples drawn while a model trains."""

from pathlib import Path

import torch
from pytorch_lightning import Trainer
from torch import Tensor

from pixelcnn import pictures
from pixelcnn.data.base import ImageDataModule
from pixelcnn.model import PixelModel
from pixelcnn.training.dashboard import Occasional, dashboards
from pixelcnn.training.ema import averaged_weights
from pixelcnn.training.module import DensityEstimation


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


class SampleGrid(Occasional):
    """Draws ``num_samples`` images with the averaged weights every ``every_n_epochs`` and when training ends.

    They go to ``directory/step=000200.png`` and, as ``samples``, to dashboards. ``every_n_epochs=0`` leaves those at
    the end alone.
    All grids of a run are drawn from the same ``seed``. ``condition`` is the samples', its first axis ``num_samples``.
    """

    def __init__(
        self, directory: Path, every_n_epochs: int, num_samples: int, seed: int, condition: Tensor | None = None
    ) -> None:
        super().__init__(every_n_epochs)
        self.directory = directory
        self.num_samples = num_samples
        self.seed = seed
        self.condition = condition

    def show(self, trainer: Trainer, module: DensityEstimation) -> None:
        """Draw, save and log a grid."""
        model = module.model
        condition = None if self.condition is None else self.condition.to(module.device)
        with averaged_weights(trainer):
            images = model.sample(self.num_samples, condition, self.seed)
        picture = pictures.grid(images, model.image.levels)
        pictures.save(picture, self.directory / f"step={trainer.global_step:06d}.png")
        for dashboard in dashboards(trainer):
            dashboard.show_picture("samples", picture, trainer.global_step, module.images_seen)
