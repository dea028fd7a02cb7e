"""Ctrl-C ends a run as its limits do."""

import logging
import signal
from types import FrameType
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

log = logging.getLogger(__name__)


class GracefulInterruption(Callback):
    """The first Ctrl-C of a run lets it validate, save and finish after the current batch; the second one kills it."""

    def __init__(self) -> None:
        self._interrupted = False
        self._previous: Any = None

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C was pressed on this rank since training began."""
        return self._interrupted

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._interrupted = False
        self._previous = signal.signal(signal.SIGINT, self._on_interrupt)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # The signal reaches the ranks at different batches, but they have to stop after the same one.
        if trainer.strategy.reduce_boolean_decision(self._interrupted, all=False):
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._restore()

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        self._interrupted = True
        log.warning("Interrupted: validating and saving after this batch. Ctrl-C again stops at once.")
        self._restore()

    def _restore(self) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None
