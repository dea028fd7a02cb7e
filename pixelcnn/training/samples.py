"""Grids of samples drawn while a model trains."""

from pathlib import Path
from typing import cast

import torch
from pytorch_lightning import Trainer
from torch import Tensor

from pixelcnn import pictures
from pixelcnn.conditioning import Condition
from pixelcnn.conditioning.condition import on_device
from pixelcnn.conditioning.several import by_key, gathered, kinds_of
from pixelcnn.data.base import ImageDataModule
from pixelcnn.decoding import decoder_of
from pixelcnn.errors import require
from pixelcnn.model import PixelModel
from pixelcnn.training.dashboard import Occasional, dashboards
from pixelcnn.training.ema import averaged_weights
from pixelcnn.training.module import DensityEstimation


def conditions_of_samples(model: PixelModel, data: ImageDataModule, n: int) -> Condition:
    """The conditions of a grid of n samples, repeated if there are fewer; None for an unconditional model.

    Made up if that is possible for the kind of condition, else those of the first validation images.
    """
    kinds = kinds_of(model.conditioning)
    conditions = {key: kind.examples(n) for key, kind in kinds.items()}
    if any(one is None for one in conditions.values()):
        first = by_key(model.conditioning, model.condition_in(data.first("val", n)))
        conditions = {
            key: one[torch.arange(n) % len(one)] if conditions[key] is None else conditions[key]
            for key, one in first.items()
        }
    return gathered(model.conditioning, cast(dict[str, Tensor], conditions))


class SampleGrid(Occasional):
    """Draws ``num_samples`` images with the EMA weights every ``every_n_epochs`` and when training ends.

    They go to ``samples/step=000200.png`` and, as ``samples``, to dashboards. ``every_n_epochs=0``: only at the end.
    All grids of a run use the same random numbers, from the module's seed, and the same conditions
    (`conditions_of_samples`). ``decode`` names a function that turns them into pictures, see `pixelcnn.decoding`.
    """

    def __init__(
        self, run_dir: Path, every_n_epochs: int = 5, num_samples: int = 16, decode: str | None = None
    ) -> None:
        super().__init__(every_n_epochs)
        require(num_samples >= 1, "num_samples", num_samples, "use a positive number, or callbacks.samples=null")
        self.directory = run_dir / "samples"
        self.num_samples = num_samples
        self.decoder = decoder_of(decode)

    def show(self, trainer: Trainer, module: DensityEstimation) -> None:
        """Draw, save and log a grid."""
        model = module.model
        condition = conditions_of_samples(model, trainer.datamodule, self.num_samples)  # type: ignore[attr-defined]
        with averaged_weights(trainer):
            images = model.sample(self.num_samples, on_device(condition, module.device), module.seed)
        picture = pictures.grid_of(images, model.image.levels, self.decoder)
        pictures.save(picture, self.directory / f"step={trainer.global_step:06d}.png")
        for dashboard in dashboards(trainer):
            dashboard.show_picture("samples", picture, trainer.global_step, module.images_seen)
