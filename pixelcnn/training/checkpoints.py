"""Which checkpoints a training run leaves: ``last.ckpt`` and ``best.ckpt``, written at each validation's end."""

from pathlib import Path
from typing import Any

from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ModelCheckpoint


class ValidatedCheckpoint(ModelCheckpoint):
    """One file, overwritten at each validation's end, or where that lowered ``monitor``."""

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

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # A run resumed into another directory, or one that lost its file, starts its own record of the best.
        if state_dict["dirpath"] == self.dirpath and Path(state_dict["best_model_path"]).exists():
            super().load_state_dict(state_dict)


def checkpoint_callbacks(directory: Path, monitor: str) -> list[Callback]:
    """Callbacks that keep ``directory/last.ckpt``, and ``best.ckpt`` of the lowest ``monitor``, a logged value."""
    # The best goes first, so that the last knows of it and a resumed run does not replace it by a worse one.
    return [
        ValidatedCheckpoint(directory, "best", monitor),
        ValidatedCheckpoint(directory, "last", None),
    ]
