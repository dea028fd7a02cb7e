"""How a run shows where it is: a bar on a terminal, now and then a line elsewhere."""

import sys
import time
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar, RichProgressBar
from pytorch_lightning.callbacks.progress.rich_progress import RichProgressBarTheme

SECONDS_BETWEEN_LINES = 30


def progress_bar() -> ProgressBar:
    """What suits standard output: `ProgressLines` for files and pipes."""
    return _Bar(theme=RichProgressBarTheme(metrics_format=".3f")) if sys.stdout.isatty() else ProgressLines()


class _Bar(RichProgressBar):
    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)  # the logger's version says nothing about progress
        return metrics


class ProgressLines(ProgressBar):
    """Prints a line at each validation's end, and every half minute between."""

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._printed = time.monotonic()

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if time.monotonic() - self._printed > SECONDS_BETWEEN_LINES:
            self._print(trainer, ("train/",))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self._print(trainer, ("train/", "val/"))

    def _print(self, trainer: Trainer, splits: tuple[str, ...]) -> None:
        self._printed = time.monotonic()
        shown = sorted(trainer.progress_bar_metrics.items())
        known = [f"{name} {value:.3f}" for name, value in shown if name.startswith(splits)]
        if self._enabled:
            print(f"epoch {trainer.current_epoch}, step {trainer.global_step}:", ", ".join(known), flush=True)
