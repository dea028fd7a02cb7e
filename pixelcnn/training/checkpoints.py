"""Which checkpoints a training run writes, how, and which of them it resumes from.

``last.ckpt`` and ``best.ckpt`` are written at each validation's end; `pixelcnn.training.interruption` writes
``last.ckpt`` between validations too.
"""

import io
import logging
import math
import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypedDict

import torch
from lightning_fabric.plugins import CheckpointIO
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor

from pixelcnn.checkpoint import glance, read
from pixelcnn.durable import replacing
from pixelcnn.errors import UserError
from pixelcnn.training.lightning_internals import BETWEEN_STEPS
from pixelcnn.typed import misfit

log = logging.getLogger(__name__)


class _OptimizerState(TypedDict):
    state: dict[int, dict[str, Any]]
    param_groups: list[dict[str, Any]]


class _Total(TypedDict):
    processed: int


class _Progress(TypedDict):
    total: _Total


_FitLoop = TypedDict("_FitLoop", {"epoch_loop.batch_progress": _Progress})


class _Loops(TypedDict):
    fit_loop: _FitLoop


class TrainingState(TypedDict):
    """The state to resume a run from, beside the weights."""

    current_model_state: dict[str, Tensor]
    averaging_state: dict[str, Tensor]
    optimizer_states: list[_OptimizerState]
    lr_schedulers: list[dict[str, Any]]
    loops: _Loops
    callbacks: dict[str, dict[str, Any]]
    global_step: int


class DurableCheckpointIO(CheckpointIO):
    """Writes checkpoints atomically, and reads them without running code from them.

    Lightning writes on rank 0 while the other ranks wait for it. An error in writing is therefore not raised but logged
    and stored in ``trouble`` (None after a success), where `save` finds it.
    """

    def __init__(self) -> None:
        self.trouble: str | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        self.trouble = None
        # torch's own writer to files does not say why it fails.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with replacing(Path(path)) as file:
                file.write(content.getbuffer())
        except OSError as error:
            why = error.strerror or error
            self.trouble = f"{path} could not be written at step {checkpoint['global_step']} ({why})"
            log.warning("%s; earlier checkpoints are unchanged. Free some space.", self.trouble)

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        assert weights_only
        return read(path)

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


def save(trainer: Trainer, path: Path) -> str | None:
    """Write a checkpoint of ``trainer``, called on all ranks; returns why that failed, None for success.

    After a failure an earlier file at ``path`` is unchanged. UserError if the folder has no checkpoint at all: a run
    that cannot save anything must not continue.
    """
    trainer.save_checkpoint(path)
    writer = trainer.strategy.checkpoint_io
    trouble = writer.trouble if isinstance(writer, DurableCheckpointIO) else None
    trouble, is_first = trainer.strategy.broadcast((trouble, not any(path.parent.glob("*.ckpt"))))
    if trouble is not None and is_first:
        raise UserError(
            f"{trouble}, and there is no earlier checkpoint: free some space or fix that, and start the run again."
        )
    return trouble


class ValidatedCheckpoint(Checkpoint):
    """One file, overwritten at the end of each validation, or only of those that lowered the logged value ``monitor``.

    ``trouble`` says why the latest attempt to write it failed; None if it did not.
    """

    def __init__(self, directory: Path, filename: str, monitor: str | None) -> None:
        self.path = Path(os.path.realpath(directory)) / f"{filename}.ckpt"
        self.monitor = monitor
        self.lowest: Tensor | None = None
        self.trouble: str | None = None

    @property
    def state_key(self) -> str:
        # The key of the ModelCheckpoint whose state older checkpoints hold.
        intervals = {"every_n_train_steps": 0, "every_n_epochs": 1, "train_time_interval": None}
        return f"ValidatedCheckpoint{ {'monitor': self.monitor, 'mode': 'min', **intervals} }"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.path = trainer.strategy.broadcast(self.path)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            return
        before = self.lowest
        if self.monitor is not None:
            score = trainer.callback_metrics[self.monitor].nan_to_num(math.inf)
            if before is not None and not score < before:
                return
            self.lowest = score
        self.trouble = save(trainer, self.path)
        if self.trouble is not None:  # the file is still that of the earlier score
            self.lowest = before

    def state_dict(self) -> dict[str, Any]:
        return {"dirpath": str(self.path.parent), "best_model_score": self.lowest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # A run resumed into another directory, or one that lost its file, starts its own record of the best.
        if state_dict["dirpath"] == str(self.path.parent) and self.path.exists():
            self.lowest = state_dict["best_model_score"]


def checkpoint_callbacks(directory: Path, monitor: str) -> list[Callback]:
    """Callbacks that keep ``directory/last.ckpt``, and ``best.ckpt`` of the lowest ``monitor``, a logged value."""
    # best.ckpt first, so that last.ckpt records it and a resumed run does not replace it by a worse one.
    return [ValidatedCheckpoint(directory, "best", monitor), ValidatedCheckpoint(directory, "last", None)]


def require_directories(trainer: Trainer) -> None:
    """Raise UserError if another of ``trainer``'s callbacks would write checkpoints to an impossible directory."""
    for callback in trainer.checkpoint_callbacks:
        directory = getattr(callback, "dirpath", None)
        if directory is None:
            continue
        try:
            Path(directory).mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=directory):
                pass
        except OSError as error:
            raise UserError(
                f"A {type(callback).__name__} among the callbacks has dirpath={directory}, which cannot be written "
                f"({error.strerror}): name another directory."
            ) from error


def require_saved(trainer: Trainer) -> None:
    """Raise UserError if one of the run's final checkpoints could not be written."""
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ValidatedCheckpoint) and callback.trouble is not None:
            raise UserError(
                f"{callback.trouble} and is that of an earlier step: free some space or fix that, and resume the run."
            )


def has_training_state(checkpoint: dict[str, Any]) -> bool:
    """Whether a run can be resumed from ``checkpoint``: an exported model has only weights, and a checkpoint saved by a
    user's callback between accumulated batches lacks their gradients."""
    there = misfit(checkpoint, TrainingState, "checkpoint") is None
    if not there or len(checkpoint["optimizer_states"]) != 1 or len(checkpoint["lr_schedulers"]) != 1:
        return False
    return bool(checkpoint["loops"]["fit_loop"].get("epoch_loop.state_dict", {}).get(BETWEEN_STEPS, True))


def newest(folder: Path) -> Path | None:
    """The newest resumable checkpoint in ``folder``, by batches trained, or None. Skips damaged ones with a warning."""
    progress: list[tuple[int, bool, Path]] = []
    for path in folder.glob("*.ckpt"):
        try:
            checkpoint = glance(path)
        except UserError as error:
            rank_zero_only(log.warning)("%s Skipping it.", error)
            continue
        if has_training_state(checkpoint):
            batches = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["processed"]
            progress.append((batches, path.stem == "last", path))
    for _, _, path in sorted(progress, reverse=True):
        try:
            read(path)
        except UserError as error:
            rank_zero_only(log.warning)("%s Skipping it.", error)
            continue
        return path
    return None
