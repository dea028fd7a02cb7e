"""What can go wrong in a run, as callbacks that a command line can name in ``trainer.callbacks``."""

import math
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from pixelcnn.errors import UserError


class InfiniteLoss(Callback):
    """The loss of one batch is infinite on the last rank; its gradient is as it would be."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx == self.batch and trainer.global_rank == trainer.world_size - 1:
            model = pl_module.model
            log_prob = type(model).log_prob
            model.log_prob = lambda images, condition=None: log_prob(model, images, condition) - math.inf

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        vars(pl_module.model).pop("log_prob", None)


class NoGradient(Callback):
    """One element of the gradient of one batch is not a number."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.fit_loop.batch_idx == self.batch:
            next(pl_module.parameters()).grad.view(-1)[0] = math.nan


class Keeps(Callback):
    """Copies each ``last.ckpt`` of a run to ``folder`` as it appears: what a run leaves that is killed then."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)
        self._time = 0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        last = Path(trainer.default_root_dir) / "checkpoints/last.ckpt"
        if trainer.is_global_zero and last.exists() and last.stat().st_mtime_ns != self._time:
            self._time = last.stat().st_mtime_ns
            batches = trainer.fit_loop.epoch_loop.batch_progress.total.processed
            shutil.copy(last, self.folder / f"{batches:04d}.ckpt")


class Dies(Callback):
    """Kills a rank without a warning, as the system does when memory runs out, in the step after ``step``."""

    def __init__(self, rank: int, step: int) -> None:
        self.rank = rank
        self.step = step

    def on_before_zero_grad(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        if trainer.global_rank == self.rank and trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


class DiesAlone(Dies):
    """The same, while the others are where no error reaches them, as in an operation of NCCL."""

    def on_before_zero_grad(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        super().on_before_zero_grad(trainer, pl_module, optimizer)
        if trainer.global_step == self.step:
            time.sleep(1000)


class DiesEarly(Callback):
    """Kills a process that another one has launched, before its rank has met the others."""

    def __init__(self) -> None:
        if os.environ.get("LOCAL_RANK", "0") != "0":
            os.kill(os.getpid(), signal.SIGKILL)


class Told(Callback):
    """Tells a rank to go, as Slurm does before it takes the machine back, in the step after ``step``."""

    def __init__(self, rank: int, step: int) -> None:
        self.rank = rank
        self.step = step

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_rank == self.rank and trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


class Refuses(Callback):
    """Has one rank alone find something wrong, after ``step``."""

    def __init__(self, rank: int, step: int) -> None:
        self.rank = rank
        self.step = step

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_rank == self.rank and trainer.global_step == self.step:
            raise UserError("data.root=x cannot be read: use another one.")


class CtrlC(Callback):
    """What a terminal sends, to one rank, ``times`` times in the step or in the validation after ``step``."""

    def __init__(self, step: int, rank: int = 0, times: int = 1, validating: bool = False) -> None:
        self.step = step
        self.rank = rank
        self.times = times
        self.validating = validating

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if not self.validating:
            self._send(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.validating:
            self._send(trainer)

    def _send(self, trainer: Trainer) -> None:
        if trainer.global_rank == self.rank and trainer.global_step == self.step:
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)
