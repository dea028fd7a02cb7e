"""A run's logged history, of bounded size and stored in its checkpoints, so that a resumed run has all of it."""

import math
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn

from pixelcnn.report.curves import Curve
from pixelcnn.report.training import Start


class History(Callback):
    """Curves of ``train/*``, ``val/*`` and ``lr``: training at the steps that loggers get, and every validation.

    It has to come after the callbacks that log. ``score``: the logged value whose lowest is the best. Its content is
    the same on all ranks.
    """

    def __init__(self, score: str, run_dir: Path) -> None:
        self.score = score
        self.run_dir = run_dir
        self.curves: dict[str, Curve] = {}
        self.starts: list[Start] = []
        self.best: tuple[int, float] | None = None  # step and score
        self.last: tuple[int, float] | None = None
        self._seconds = 0.0  # of training, before this part of the run
        self._since: float | None = None
        self._recorded_at = -1  # step

    @property
    def seconds(self) -> float:
        """Wall time from the first step on, validations included, interruptions not."""
        return self._seconds + (0.0 if self._since is None else time.monotonic() - self._since)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = time.monotonic()
        self._recorded_at = trainer.global_step
        now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
        self.starts.append(Start(trainer.global_step, now, str(self.run_dir)))

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every > 0 and trainer.global_step % every == 0:
            self._record_training(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        self._record_training(trainer)
        self._record(trainer, ("val/",))
        value = float(trainer.callback_metrics[self.score])
        self.last = trainer.global_step, value
        if math.isfinite(value) and (self.best is None or value < self.best[1]):
            self.best = self.last

    def state_dict(self) -> dict[str, Any]:
        return {
            "curves": {name: curve.state_dict() for name, curve in self.curves.items()},
            "starts": [asdict(start) for start in self.starts],
            "best": self.best,
            "last": self.last,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, state in state_dict["curves"].items():
            self.curves[name] = Curve()
            self.curves[name].load_state_dict(state)
        self.starts = [Start(**start) for start in state_dict["starts"]]
        self.best, self.last = state_dict["best"], state_dict["last"]
        self._seconds = state_dict["seconds"]

    def _record_training(self, trainer: Trainer) -> None:
        # Several batches may make one step, and the step of a validation may have been recorded.
        if trainer.global_step > self._recorded_at:
            self._recorded_at = trainer.global_step
            self._record(trainer, ("train/", "lr"))

    def _record(self, trainer: Trainer, names: tuple[str, ...]) -> None:
        for name, value in trainer.callback_metrics.items():
            if name.startswith(names) and math.isfinite(value):
                self.curves.setdefault(name, Curve()).add(trainer.global_step, float(value))
