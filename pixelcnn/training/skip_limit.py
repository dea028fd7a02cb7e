"""Ends a run that skips too many steps, with advice; no checkpoint contains NaN or inf."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from pixelcnn.errors import UserError, require
from pixelcnn.training.module import DensityEstimation

WINDOW = 100  # steps


class DivergenceError(UserError):
    """Raised on rank 0; the other ranks end silently."""


class SkipLimit(Callback):
    """Ends the run if ``most`` of the last 100 steps were skipped; 0: no limit.

    The message names ``checkpoints/last.ckpt``, which has the last good weights: skipped steps change nothing, and
    weights that are not finite for another reason are never saved.
    """

    def __init__(self, run_dir: Path, most: int = 50) -> None:
        require(0 <= most <= WINDOW, "most", most, f"use a number of the last {WINDOW} steps, or 0 for no limit")
        self.most = most
        self.checkpoint = run_dir / "checkpoints" / "last.ckpt"
        self.skipped: list[int] = []  # which of the last steps

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        assert isinstance(pl_module, DensityEstimation)
        if not pl_module.between_steps:
            return
        step = trainer.global_step
        self.skipped = [skipped for skipped in self.skipped if skipped > step - WINDOW]
        if pl_module.skipped_last_step:
            self.skipped.append(step)
        if self.most and len(self.skipped) >= self.most:
            count = f"{len(self.skipped)} of the last {min(step, WINDOW)} steps were skipped"
            self._end(trainer, f"{count}, as their loss or gradient was not finite")

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        assert isinstance(pl_module, DensityEstimation)
        parts = ("state_dict", "current_model_state", "optimizer_states")
        if not all(bool(tensor.isfinite().all()) for part in parts for tensor in _tensors(checkpoint.get(part))):
            trouble = f"The weights are not finite after step {trainer.global_step}, and not saved"
            self._end(trainer, trouble)

    def state_dict(self) -> dict[str, Any]:
        return {"skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.skipped = list(state_dict["skipped"])

    def _end(self, trainer: Trainer, trouble: str) -> None:
        if not trainer.is_global_zero:
            raise SystemExit(0)
        lr = trainer.optimizers[0].param_groups[0]["lr"]
        kept = f", from init_from={self.checkpoint} if that was good," if self.checkpoint.exists() else ""
        raise DivergenceError(
            f"{trouble}: start again{kept} with a lower optim.lr than {lr:g}, or bound gradients by "
            "trainer.gradient_clip_val."
        )


def _tensors(entry: Any) -> Iterator[Tensor]:
    if isinstance(entry, Tensor):
        yield entry
    elif isinstance(entry, dict | list | tuple):
        for value in entry.values() if isinstance(entry, dict) else entry:
            yield from _tensors(value)
