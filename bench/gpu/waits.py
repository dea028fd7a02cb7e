"""Counts how often a training step synchronises with the GPU; on a CPU, how often it reads a value, which would."""

import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer
from torch.utils._python_dispatch import TorchDispatchMode

PACKAGE = str(Path(__file__).parents[2] / "pixelcnn")


class Reads(TorchDispatchMode):
    """Counts item(), float(), bool() of a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


class ReadsOfSteps(Callback):
    """From the start of each training batch to that of the next, or to a validation."""

    def __init__(self) -> None:
        self.of_step: dict[int, int] = {}
        self.reads: Reads | None = None

    def on_train_batch_start(self, trainer: Trainer, *args: Any) -> None:
        self.stop(trainer)
        self.reads = Reads()
        self.reads.__enter__()

    def on_validation_start(self, trainer: Trainer, *args: Any) -> None:
        self.stop(trainer)

    def stop(self, trainer: Trainer) -> None:
        """The step that was counted is over."""
        if self.reads is not None:
            self.reads.__exit__(None, None, None)
            self.of_step[trainer.global_step] = self.reads.count
            self.reads = None


class WaitsOfSteps(ReadsOfSteps):
    """On a GPU every wait that torch warns of as well, by file and line."""

    def __init__(self) -> None:
        super().__init__()
        self.places_of_step: dict[int, list[str]] = {}
        self._places: list[str] = []

    def on_train_start(self, *args: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.set_sync_debug_mode("warn")
            warnings.simplefilter("always")
            warnings.showwarning = self._take

    def on_train_end(self, *args: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.set_sync_debug_mode("default")

    def stop(self, trainer: Trainer) -> None:
        if self.reads is not None:
            self.places_of_step[trainer.global_step] = self._places
        self._places = []
        super().stop(trainer)

    def _take(self, message: Any, category: Any, filename: str, lineno: int, *args: Any, **options: Any) -> None:
        if "synchronizing CUDA operation" in str(message):
            ours = [frame for frame in traceback.extract_stack() if frame.filename.startswith(PACKAGE)]
            inside = [f" in {Path(frame.filename).name}:{frame.lineno}" for frame in ours[-1:]]
            self._places.append("".join([f"{Path(filename).name}:{lineno}", *inside]))
