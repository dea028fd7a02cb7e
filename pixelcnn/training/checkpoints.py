"""Which checkpoints a training run leaves, how they are written, and which of them it goes on from.

``last.ckpt`` and ``best.ckpt`` are written at each validation's end; `pixelcnn.training.interruption` writes
``last.ckpt`` between validations too.
"""

import io
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import torch
from lightning_fabric.plugins import CheckpointIO
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor

from pixelcnn.checkpoint import glance, read
from pixelcnn.durable import replacing
from pixelcnn.errors import UserError
from pixelcnn.training.stopping import BETWEEN_STEPS
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
    """What a run is resumed from, beside the weights that tasks use."""

    current_model_state: dict[str, Tensor]
    averaging_state: dict[str, Tensor]
    optimizer_states: list[_OptimizerState]
    lr_schedulers: list[dict[str, Any]]
    loops: _Loops
    callbacks: dict[str, dict[str, Any]]
    global_step: int


class DurableCheckpointIO(CheckpointIO):
    """Writes checkpoints whole or not at all, and reads them without running code from them.

    Lightning writes on rank 0 alone, while the others wait for it: what keeps it from writing is therefore not raised
    but left in ``failure``, None after a success, for `save` to find on its way out.
    """

    def __init__(self) -> None:
        self.failure: OSError | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        self.failure = None
        # torch's own writer to files does not say why it fails.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with replacing(Path(path)) as file:
                file.write(content.getbuffer())
        except OSError as error:
            self.failure = error

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        assert weights_only
        return read(path)

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


def save(trainer: Trainer, path: Path) -> str | None:
    """Write a checkpoint of ``trainer``, on all ranks at once; returns and raises what `trouble_in_saving` does."""
    trainer.save_checkpoint(path)
    return trouble_in_saving(trainer, path)


def trouble_in_saving(trainer: Trainer, path: Path) -> str | None:
    """Why the checkpoint that ``trainer`` has just saved is not at ``path``, in words and logged; None where it is.

    The file that stood there is then as it was. UserError where the folder has no checkpoint at all: a run that cannot
    keep anything had better not go on. To be called on all ranks.
    """
    trouble, fatal = None, False
    writer = trainer.strategy.checkpoint_io
    if trainer.is_global_zero and isinstance(writer, DurableCheckpointIO) and writer.failure is not None:
        why = writer.failure.strerror or str(writer.failure)
        trouble = f"{path} could not be written at step {trainer.global_step} ({why})"
        fatal = not any(path.parent.glob("*.ckpt"))
    trouble, fatal = trainer.strategy.broadcast((trouble, fatal))
    if fatal:
        raise UserError(f"{trouble}, and there is no earlier one: make room or mend that, and start the run again.")
    if trouble is not None:
        rank_zero_only(log.warning)("%s; those that are there are as they were. It is tried again: make room.", trouble)
    return trouble


class ValidatedCheckpoint(ModelCheckpoint):
    """One file, overwritten at each validation's end, or where that lowered ``monitor``.

    ``trouble`` says why the latest attempt to write it has failed, and is None if it has not.
    """

    def __init__(self, directory: Path, filename: str, monitor: str | None) -> None:
        super().__init__(
            dirpath=directory,
            filename=filename,
            monitor=monitor,
            mode="min",
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        )
        self._last_global_step_saved = -1  # a run of no steps leaves its checkpoints as well
        self.trouble: str | None = None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # A run resumed into another directory, or one that lost its file, starts its own record of the best.
        if state_dict["dirpath"] == self.dirpath and os.path.exists(state_dict["best_model_path"]):
            super().load_state_dict(state_dict)

    def _save_topk_checkpoint(self, trainer: Trainer, monitor_candidates: dict[str, Any]) -> None:
        before = {**self.state_dict(), "best_k_models": dict(self.best_k_models)}
        super()._save_topk_checkpoint(trainer, monitor_candidates)
        if self.trouble is not None:  # the file is still that of the earlier score
            for name, value in before.items():
                setattr(self, name, value)

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        super()._save_checkpoint(trainer, filepath)
        self.trouble = trouble_in_saving(trainer, Path(filepath))
        if self.trouble is not None:
            self._last_global_step_saved = -1


def checkpoint_callbacks(directory: Path, monitor: str) -> list[Callback]:
    """Callbacks that keep ``directory/last.ckpt``, and ``best.ckpt`` of the lowest ``monitor``, a logged value."""
    # The best goes first, so that the last knows of it and a resumed run does not replace it by a worse one.
    return [
        ValidatedCheckpoint(directory, "best", monitor),
        ValidatedCheckpoint(directory, "last", None),
    ]


def say_what_is_not_saved(trainer: Trainer) -> None:
    """Have ``trainer``'s other callbacks that write checkpoints say what they could not write, as ours do.

    Raises UserError where one of their directories cannot be made; to be called before it fits.
    """

    def saying(save_checkpoint: Callable[[Trainer, str], None]) -> Callable[[Trainer, str], None]:
        def call(trainer: Trainer, filepath: str) -> None:
            save_checkpoint(trainer, filepath)
            trouble_in_saving(trainer, Path(filepath))

        return call

    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ValidatedCheckpoint) or not isinstance(callback, ModelCheckpoint):
            continue
        callback._save_checkpoint = saying(callback._save_checkpoint)  # type: ignore[assignment,method-assign]
        if callback.dirpath is None:
            continue
        try:
            Path(callback.dirpath).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            kind = type(callback).__name__
            raise UserError(
                f"trainer.callbacks has a {kind} of dirpath={callback.dirpath}, which cannot be written "
                f"({error.strerror}): name another directory."
            ) from error


def require_saved(trainer: Trainer) -> None:
    """Raise UserError where one of the checkpoints that the run should end with could not be written."""
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ValidatedCheckpoint) and callback.trouble is not None:
            raise UserError(
                f"{callback.trouble} and is that of an earlier step: make room or mend that, and resume it."
            )


def has_training_state(checkpoint: dict[str, Any]) -> bool:
    """Whether a run can be resumed from ``checkpoint``: an exported model has nothing but its weights, and what a
    callback of the user's saved between accumulated batches lacks their gradients."""
    there = misfit(checkpoint, TrainingState, "checkpoint") is None
    if not there or len(checkpoint["optimizer_states"]) != 1 or len(checkpoint["lr_schedulers"]) != 1:
        return False
    return bool(checkpoint["loops"]["fit_loop"].get("epoch_loop.state_dict", {}).get(BETWEEN_STEPS, True))


def newest(folder: Path) -> Path | None:
    """The checkpoint in ``folder`` whose run has come farthest, of those that a run can go on from.

    A damaged one is passed over with a warning. None where there is none.
    """
    progress: list[tuple[int, bool, Path]] = []
    for path in folder.glob("*.ckpt"):
        try:
            checkpoint = glance(path)
        except UserError as error:
            rank_zero_only(log.warning)("%s It is passed over.", error)
            continue
        if has_training_state(checkpoint):
            batches = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["processed"]
            progress.append((batches, path.stem == "last", path))
    for _, _, path in sorted(progress, reverse=True):
        try:
            read(path)
        except UserError as error:
            rank_zero_only(log.warning)("%s It is passed over.", error)
            continue
        return path
    return None
