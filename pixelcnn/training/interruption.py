"""Protection of a run's work: periodic saves, a clean finish on Ctrl-C, a save and exit on signals.

Lightning's own signal handling is disabled (`pixelcnn.training.lightning_internals`): on SIGTERM it ends without a
checkpoint, after a collective operation within the handler, and under Slurm it saves to, requeues and resumes from its
own files. Here all signals act alike on every cluster: the run writes a checkpoint and exits with a status, and whoever
started it resumes it.
"""

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from pixelcnn.errors import UserError, require
from pixelcnn.training.agreement import Agreement
from pixelcnn.training.checkpoints import save
from pixelcnn.training.dashboard import dashboards
from pixelcnn.training.lightning_internals import loops_before_validation
from pixelcnn.training.module import DensityEstimation

log = logging.getLogger(__name__)

# Preemption: SIGTERM by Slurm and other systems, the others as chosen by sbatch --signal.
SIGNALS_TO_LEAVE = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class Request(IntEnum):
    """What a rank asks for after a batch; if ranks differ, all do the largest."""

    NOTHING = 0
    SAVE = 1
    FINISH = 2
    LEAVE = 3


class Left(SystemExit):
    """Raised when a signal ends a run: exits with status 128 + the signal's number, as if killed by it.

    On ranks other than 0 the status is 0, because Lightning kills the process that launched a failing one. ``handler``
    is the function that would have handled the signal, if there is one.
    """

    def __init__(self, number: int, first: bool, handler: Any) -> None:
        super().__init__(128 + number if first else 0)
        self.number = number
        self.handler = handler if callable(handler) else None


class Interrupted(SystemExit):
    """Raised after Ctrl-C, when the run has validated, saved and written its files; it also ends a sweep.

    On ranks other than 0 the status is 0, for the same reason as in `Left`.
    """

    def __init__(self, first: bool) -> None:
        super().__init__(128 + signal.SIGINT if first else 0)


class GracefulInterruption(Callback):
    """Saves ``checkpoints/last.ckpt`` between validations, and ends a run on a signal or Ctrl-C.

    It saves every ``every_n_steps`` steps and every ``every_n_minutes`` minutes (0: never), always after an optimiser
    step, from which a resumed run continues bit for bit.

    After the first Ctrl-C the run finishes the current step, validates, saves and ends (`end_if_interrupted`); the
    second one kills it. After any of ``SIGNALS_TO_LEAVE``, on any rank, all ranks save after the current step and raise
    `Left`, without validating or drawing samples, since there may be no time. During a validation the state before it
    is saved, so the resumed run validates in full. Several ranks do so one step, or validation batch, later, because
    they learn of each other's signals without waiting (`Agreement`). ``resume_command`` is the command in the message.
    Before the first and after the last step these signals keep their earlier handlers: there is nothing to save.
    """

    def __init__(
        self, run_dir: Path, resume_command: str, every_n_steps: int = 0, every_n_minutes: float = 30.0
    ) -> None:
        for key, value in {"every_n_steps": every_n_steps, "every_n_minutes": every_n_minutes}.items():
            require(value >= 0, key, value, "use a positive number, or 0 for never")
        self.checkpoint = run_dir / "checkpoints" / "last.ckpt"
        self.every_n_steps = every_n_steps
        self.every_n_minutes = every_n_minutes
        self.remedy = resume_command
        self._interrupted = False
        self._told_to_leave: int | None = None
        self._handlers: dict[int, Any] = {}
        self._saved_at = 0.0
        self._agreement = Agreement(1)
        self._loops: dict[str, Any] | None = None
        self._shared_val_batches = 0

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C was pressed since training began: on any rank until the last step, after it on this one."""
        return self._interrupted

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._require_same_step(trainer)
        self._interrupted, self._told_to_leave = False, None
        self._agreement = Agreement(trainer.world_size)
        self._saved_at = time.monotonic()
        self._handlers = {signal.SIGINT: signal.signal(signal.SIGINT, self._on_interrupt)}
        for number in SIGNALS_TO_LEAVE:
            self._handlers[number] = signal.signal(number, self._on_signal_to_leave)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        assert isinstance(pl_module, DensityEstimation)
        if not pl_module.between_steps:  # checkpoints do not store accumulating gradients
            return
        request = Request(self._agreement.on(self._request(trainer)))
        if request is Request.LEAVE:
            self._leave(trainer)
        elif request is Request.FINISH:
            self._finish()
            trainer.should_stop = True
        elif request is Request.SAVE or self._due_by_steps(trainer):
            self._save(trainer)
            self._saved_at = time.monotonic()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.training or trainer.sanity_checking or not self._handlers:
            return
        # With an uneven split, some devices have one batch less than others.
        batches = torch.tensor(sum(trainer.num_val_batches), device=pl_module.device)
        self._shared_val_batches = int(trainer.strategy.reduce(batches, reduce_op="min"))

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: int
    ) -> None:
        if trainer.sanity_checking or not self._handlers or batch_idx >= self._shared_val_batches:
            return
        request = Request(self._agreement.on(self._request(trainer)))
        if request is Request.LEAVE:
            self._leave(trainer)
        elif request is Request.FINISH:  # of the step before, which may have been the last
            self._finish()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if self._loops is not None:
            checkpoint["loops"]["fit_loop"] = self._loops

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._agreement.last() == Request.FINISH:
            self._finish()
        self._restore(*self._handlers)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._restore(*self._handlers)
        if isinstance(exception, KeyboardInterrupt) and self.checkpoint.exists():
            rank_zero_only(log.warning)("Stopped at once. To resume from %s:\n    %s", self.checkpoint, self.remedy)

    def end_if_interrupted(self, trainer: Trainer) -> None:
        """Raise `Interrupted` if Ctrl-C was pressed, printing how to resume if steps are left. Call it last."""
        if not self._interrupted:
            return
        if limit_reached(trainer) is None:
            what = f"Interrupted after step {trainer.global_step}, saved in {self.checkpoint}"
            rank_zero_only(log.warning)("%s. To resume:\n    %s", what, self.remedy)
        raise Interrupted(trainer.is_global_zero)

    def _request(self, trainer: Trainer) -> Request:
        if self._told_to_leave is not None:
            return Request.LEAVE
        if self._interrupted:
            return Request.FINISH
        # By one clock, of which the others hear.
        by_time = trainer.is_global_zero and self.every_n_minutes > 0
        due = by_time and time.monotonic() - self._saved_at >= 60 * self.every_n_minutes
        return Request.SAVE if due else Request.NOTHING

    def _due_by_steps(self, trainer: Trainer) -> bool:
        return self.every_n_steps > 0 and trainer.global_step % self.every_n_steps == 0

    def _finish(self) -> None:
        if not self._interrupted:  # another rank was
            self._on_interrupt(signal.SIGINT, None)

    def _save(self, trainer: Trainer) -> str | None:
        self._loops = loops_before_validation(trainer)
        trouble = save(trainer, self.checkpoint)
        self._loops = None
        return trouble

    def _leave(self, trainer: Trainer) -> None:
        trouble = self._save(trainer)
        # The signal may have reached only another rank.
        number = self._told_to_leave or signal.SIGTERM
        if trainer.is_global_zero:
            saved = "saved in" if trouble is None else "newer than"
            what = f"stopped after step {trainer.global_step}, {saved} {self.checkpoint}"
            log.warning("%s: %s. To resume:\n    %s", signal.Signals(number).name, what, self.remedy)
            for dashboard in dashboards(trainer):
                dashboard.mark_preempting()
        raise Left(number, trainer.is_global_zero, self._handlers.get(number))

    def _require_same_step(self, trainer: Trainer) -> None:
        if trainer.world_size == 1:
            return
        step = torch.tensor(trainer.global_step, device=trainer.strategy.root_device)
        first, last = (int(trainer.strategy.reduce(step.clone(), reduce_op=op)) for op in ("min", "max"))
        if first != last:
            raise UserError(
                f"Some ranks resume from step {first} and others from step {last}: checkpoint= must be the same file "
                "on all machines, in a shared directory."
            )

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        self._interrupted = True
        rank_zero_only(log.warning)("Interrupted: validating and saving after this batch. Ctrl-C again stops at once.")
        self._restore(signal.SIGINT)

    def _on_signal_to_leave(self, number: int, frame: FrameType | None) -> None:
        if self._told_to_leave is None:
            self._told_to_leave = number

    def _restore(self, *numbers: int) -> None:
        for number in numbers:
            if number in self._handlers:
                signal.signal(number, self._handlers.pop(number))


def limit_reached(trainer: Trainer) -> str | None:
    """Which of ``trainer.max_epochs`` and ``trainer.max_steps`` the run has reached; None while steps are left."""
    batches = trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]
    if trainer.max_epochs not in (None, -1) and batches >= trainer.max_epochs * trainer.num_training_batches:
        return "trainer.max_epochs"
    return "trainer.max_steps" if 0 <= trainer.max_steps <= trainer.global_step else None


@contextmanager
def handing_on() -> Iterator[None]:
    """Around a run: after a signal ended it, call what would have handled the signal: submitit's requeues the job."""
    try:
        yield
    except Left as left:
        if left.handler is not None:
            left.handler(left.number, None)
        raise
