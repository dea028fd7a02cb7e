"""The content of ``metrics.json``, also for interrupted runs."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer


class LastMetrics(Callback):
    """Stores the last value of everything logged in checkpoints, since a resumed run may not log all of it again.

    ``initialisation``: what the data-dependent initialisation achieved, if this part of the run had one.
    """

    KEY = "metrics"

    def __init__(self, initialisation: dict[str, float]) -> None:
        self.earlier = dict(initialisation)

    def of(self, trainer: Trainer) -> dict[str, float]:
        """Everything logged so far, by name; the same on all ranks."""
        return {**self.earlier, **{name: float(value) for name, value in trainer.callback_metrics.items()}}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[self.KEY] = self.of(trainer)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self.earlier.update(checkpoint.get(self.KEY, {}))
