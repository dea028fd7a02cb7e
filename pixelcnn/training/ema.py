"""Exponential moving average (EMA) of the weights, used by validation, samples and checkpoints."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor

from pixelcnn.errors import UserError, require
from pixelcnn.training.lightning_internals import average_of, callbacks_of
from pixelcnn.training.module import DensityEstimation


class ExponentialMovingAverage(WeightAveraging):
    """average <- d * average + (1 - d) * weights after every step (except skipped ones), from the initialised weights.

    After t updates d is ``decay``, or with ``warmup`` min(decay, (1 + t) / (10 + t)), which forgets the initial
    weights sooner. ``horizon`` sets d to 1 - 1 / horizon instead, in steps, or below 1 as a fraction of the run.

    Unlike Lightning's callback, the first update averages instead of copying. Every checkpoint has the average in
    ``state_dict`` and the raw weights in ``current_model_state``, even if saved while validation has the two swapped.
    The module keeps its raw weights when training ends, so the last checkpoint resumes exactly.
    """

    def __init__(self, decay: float = 0.9995, warmup: bool = False, horizon: float | None = None) -> None:
        require(0 <= decay < 1, "decay", decay, "use a number from 0 to below 1")
        remedy = "use a positive number of steps, or a fraction of the run below 1"
        require(horizon is None or horizon > 0, "horizon", horizon, remedy)
        super().__init__(use_buffers=False)
        self.decay = decay
        self.horizon = horizon
        self.warmup = warmup
        self.swapped = False
        self._copies_seen = 0  # n_averaged on the host: reading the device's synchronises

    def decay_after(self, updates: int) -> float:
        """d of the next update after ``updates`` updates."""
        return min(self.decay, (1 + updates) / (10 + updates)) if self.warmup else self.decay

    @staticmethod
    def _steps(total: int | None, horizon: float) -> float:
        if horizon >= 1:
            return horizon
        if total is None:
            raise UserError(
                f"ema.horizon={horizon} is a fraction of the run, whose length is unlimited: set trainer.max_epochs or "
                "trainer.max_steps."
            )
        return horizon * total

    @torch.no_grad()
    def _update(self, average: list[Tensor], weights: list[Tensor], copies_seen: int) -> None:
        # The initial weights count as the first update.
        torch._foreach_lerp_(average, weights, 1 - self.decay_after(copies_seen - 1))

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Here rather than in setup: the ranks have agreed on their weights, and a resumed average is in place.
        assert isinstance(pl_module, DensityEstimation)
        if self.horizon is not None:
            self.decay = max(0.0, 1 - 1 / self._steps(pl_module.total_steps, self.horizon))
        average = average_of(self)
        if average.n_averaged == 0:
            average.update_parameters(pl_module)
        self._copies_seen = int(average.n_averaged)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        assert isinstance(pl_module, DensityEstimation)
        # While batches accumulate, a resumed run does not know whether the last step was skipped.
        if not pl_module.skipped_last_step and pl_module.between_steps:
            # Lightning's own, by `update_parameters`, reads n_averaged three times.
            average = average_of(self)
            self._update(list(average.module.parameters()), list(pl_module.parameters()), self._copies_seen)
            average.n_averaged += 1
            self._copies_seen += 1
            self.load_state_dict({"latest_update_step": trainer.global_step})

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning overwrites the raw weights with the average here, and would save that in a later checkpoint.
        pass

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_validation_epoch_start(trainer, pl_module)
        self.swapped = True

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_validation_epoch_end(trainer, pl_module)
        self.swapped = False

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        if self.swapped:
            average, raw = checkpoint["current_model_state"], checkpoint["state_dict"]
            checkpoint["state_dict"], checkpoint["current_model_state"] = average, raw


@contextmanager
def averaged_weights(trainer: Trainer) -> Iterator[None]:
    """Within it the trainer's module has the EMA weights, if the trainer keeps any."""
    average = next(iter(callbacks_of(trainer, ExponentialMovingAverage)), None)
    if average is None or average.swapped:
        yield
        return
    average.on_validation_epoch_start(trainer, trainer.lightning_module)
    try:
        yield
    finally:
        average.on_validation_epoch_end(trainer, trainer.lightning_module)
