"""How many images a second a run trains on."""

import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer


class Throughput(Callback):
    """Logs ``train/images_per_second``, over all devices, since the loggers were last written to.

    Time spent on validation, samples and checkpoints does not count.
    """

    def __init__(self) -> None:
        self._restart()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restart()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stale = True

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self._stale:
            self._restart()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._images += len(batch["images"]) * trainer.world_size
        pl_module.log("train/images_per_second", self._images / (time.monotonic() - self._since))
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        self._stale = every > 0 and trainer.global_step % every == 0

    def _restart(self) -> None:
        self._images = 0
        self._since = time.monotonic()
        self._stale = False
