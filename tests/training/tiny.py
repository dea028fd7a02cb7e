"""A training run small enough for a test: 4x4 images of noise, four batches an epoch."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pytorch_lightning import Callback, Trainer

import pixelcnn.checkpoint
from pixelcnn.conditioning import ClassLabels
from pixelcnn.data.base import ImageArrays, ImageDataModule
from pixelcnn.model import build
from pixelcnn.optim import Adam, exponential
from pixelcnn.orders import USUAL, ModelOrder
from pixelcnn.training.callback_states import STATES
from pixelcnn.training.checkpoints import DurableCheckpointIO, checkpoint_callbacks
from pixelcnn.training.ema import ExponentialMovingAverage
from pixelcnn.training.lightning_internals import adapt
from pixelcnn.training.module import DensityEstimation
from pixelcnn.training.restorable import require_restorable
from tests.conftest import tiny_description

BATCHES_PER_EPOCH = 4
LEVELS = 5


class Noise(ImageDataModule):
    """32 training images, 7 held out, of three classes."""

    def __init__(self, batch_size: int = 32 // BATCHES_PER_EPOCH, num_workers: int = 0, val_size: int = 7) -> None:
        super().__init__(batch_size=batch_size, val_size=val_size, num_workers=num_workers, seed=0)

    def load(self, split: str) -> ImageArrays:
        shape = (32 + self.val_size if split == "train" else 5, 1, 4, 4)
        images = np.random.default_rng(len(split)).integers(LEVELS, size=shape, dtype=np.uint8)
        return ImageArrays(images, levels=LEVELS, labels=np.arange(len(images)) % 3)


def tiny_module(
    dropout: float = 0.5,
    lr: float = 0.01,
    lr_decay: float = 0.9,
    seed: int = 0,
    conditional: bool = False,
    order: ModelOrder = USUAL,
) -> DensityEstimation:
    torch.manual_seed(0)
    description = tiny_description(
        channels=1, height=4, width=4, levels=LEVELS, num_filters=3, num_stages=2, dropout=dropout, order=order
    )
    if conditional:
        description = replace(description, conditioning=partial(ClassLabels, num_classes=3))
    return DensityEstimation(
        build(description),
        optimizer=partial(Adam, lr=lr, betas=(0.95, 0.9995)),
        scheduler=partial(exponential, decay=lr_decay),
        seed=seed,
        config={"model": {"dropout": dropout}},
    )


def fit(
    run_dir: Path,
    *callbacks: Callback,
    module: DensityEstimation | None = None,
    data: ImageDataModule | None = None,
    checkpoint: Path | None = None,
    ema: ExponentialMovingAverage | None = None,
    **trainer_options: Any,
) -> Trainer:
    """Train as the train task does, into ``run_dir``."""
    options: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "default_root_dir": run_dir,
    }
    module = module or tiny_module()
    average = ema or ExponentialMovingAverage(0.9, warmup=False)
    trainer = Trainer(
        plugins=[DurableCheckpointIO()],
        callbacks=[average, *callbacks, *checkpoint_callbacks(run_dir / "checkpoints", f"val/{module.score_name}")],
        **(options | trainer_options),
    )
    if checkpoint is not None:
        states = {type(callback) for callback in trainer.callbacks} & STATES.keys()
        require_restorable(pixelcnn.checkpoint.read(checkpoint), module, f"checkpoint={checkpoint}", list(states))
    adapt(trainer)
    trainer.fit(module, data or Noise(), ckpt_path=checkpoint, weights_only=True)
    return trainer


def checkpoint_of(run_dir: Path, name: str = "last") -> Path:
    return run_dir / "checkpoints" / f"{name}.ckpt"


def read(run_dir: Path, name: str = "last") -> dict[str, Any]:
    """A checkpoint, loaded without running any code from it."""
    return torch.load(checkpoint_of(run_dir, name), weights_only=True)


def picture_in(path: Path) -> torch.Tensor:
    """A PNG, of one channel or three, uint8 (3, height, width)."""
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)


class StopAt(Callback):
    """Stops training as a time limit would, after some step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        trainer.should_stop = trainer.global_step >= self.step


class Validations(Callback):
    """Records the step and the score of each validation."""

    def __init__(self, score: str = "val/bits_per_dim") -> None:
        self.score = score
        self.steps: list[int] = []
        self.values: list[float] = []

    def on_validation_end(self, trainer: Trainer, *args: Any) -> None:
        if not trainer.sanity_checking:
            self.steps.append(trainer.global_step)
            self.values.append(trainer.callback_metrics[self.score].item())
