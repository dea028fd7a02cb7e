"""Every finished run has validated its last weights, whatever stopped it.

Lightning validates at fixed batches. A run that ends between them, by max_steps, max_time or Ctrl-C, would leave
checkpoints that lag behind it or none at all. Validating while the epoch is still open, rather than after training,
also lets a resumed run go on in the middle of it.

It validates and stops between two steps of the optimiser only: gradients that are being accumulated are in no
checkpoint. A validation that is due in between follows the step.
"""

from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.loops.fetchers import _DataFetcher
from pytorch_lightning.loops.fit_loop import _FitLoop
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.loops.utilities import _is_max_limit_reached

# In the state of the loop of batches: whether it was saved with no accumulated gradients, which it lacks.
BETWEEN_STEPS = "between_steps"


def validate_before_stopping(trainer: Trainer) -> None:
    """Have ``trainer.fit`` validate after the last batch of the run; to be called before it."""
    old = trainer.fit_loop
    trainer.fit_loop = _ValidatedFitLoop(trainer, old.min_epochs, old.max_epochs)
    trainer.fit_loop.epoch_loop = _ValidatedEpochLoop(trainer, old.min_steps, old.max_steps)


def limit_reached(trainer: Trainer) -> str | None:
    """Which of ``trainer.max_epochs`` and ``trainer.max_steps`` a run has reached; None while steps are left."""
    batches = trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]
    if trainer.max_epochs not in (None, -1) and batches >= trainer.max_epochs * trainer.num_training_batches:
        return "trainer.max_epochs"
    return "trainer.max_steps" if 0 <= trainer.max_steps <= trainer.global_step else None


def loops_before_validation(trainer: Trainer) -> dict[str, Any]:
    """The state of the loops for a checkpoint that is saved at a batch's end or in the validation that follows it.

    A run that goes on from it starts with that validation, in full, if one is due; Lightning would leave it out.
    """
    epoch_loop = trainer.fit_loop.epoch_loop
    assert isinstance(epoch_loop, _ValidatedEpochLoop)
    if epoch_loop.before_validation is not None:
        return epoch_loop.before_validation
    assert trainer.fit_loop._data_fetcher is not None
    epoch_loop.validation_due = epoch_loop._should_check_val_fx(trainer.fit_loop._data_fetcher)
    state = trainer.fit_loop.state_dict()
    # As it has when validation starts, the batch has come to its end. So it has at an epoch's end: Lightning would
    # count that epoch as finished and the next one as not begun, for which the run after the next would train one
    # too many.
    if epoch_loop.validation_due or epoch_loop._num_ready_batches_reached():
        for part in ("total", "current"):
            state["epoch_loop.batch_progress"][part]["completed"] += 1
    epoch_loop.validation_due = False
    return state


class _ValidatedFitLoop(_FitLoop):
    def run(self) -> None:
        super().run()
        # No step was left to take: the limit was 0, or the run resumes a finished one.
        if self.trainer.enable_validation and not self.epoch_loop.val_loop._has_run:
            self.trainer.validating = True
            # Restored from a validation's end, it would take its first batch for the only one left.
            self.epoch_loop.val_loop.restarting = False
            self.epoch_loop._batches_that_stepped = max(0, self.epoch_loop.global_step - 1)  # as after the last step
            self.epoch_loop.val_loop.run()
            self.trainer.training = True


class _ValidatedEpochLoop(_TrainingEpochLoop):
    validation_due = False  # in the state that is saved
    before_validation: dict[str, Any] | None = None  # the state at its start, while there is one
    _validates_first = False
    _due_since_step = False

    @property
    def done(self) -> bool:
        return super().done and not self._should_accumulate()

    def on_save_checkpoint(self) -> dict[str, Any]:
        state = super().on_save_checkpoint()
        return {**state, "validation_due": self.validation_due, BETWEEN_STEPS: not self._should_accumulate()}

    def on_load_checkpoint(self, state_dict: dict[str, Any]) -> None:
        super().on_load_checkpoint(state_dict)
        self._validates_first = state_dict.get("validation_due", False)

    def advance(self, data_fetcher: _DataFetcher) -> None:
        # The step that loggers show is counted apart from the optimiser's, and falls behind it on resuming.
        self._batches_that_stepped = self.global_step
        if not self._should_accumulate():  # of the batch before
            self._due_since_step = self._validates_first
        if self._validates_first:
            self._validates_first = False
            self.val_loop.restarting = False
            self._batches_that_stepped -= 1  # as in the validation that follows a step
            return
        if self.restarted_on_last and self._num_ready_batches_reached():
            # Resumed between two epochs: the old one only has to end, which Lightning knows of those it validates.
            self._skip_next_val = True
            return
        super().advance(data_fetcher)

    def on_advance_end(self, data_fetcher: _DataFetcher) -> None:
        if self._should_check_val_fx(data_fetcher) and not self._skip_next_val:
            self.validation_due = True
            self.before_validation = self.trainer.fit_loop.state_dict()
            self.validation_due = False
        super().on_advance_end(data_fetcher)
        self.before_validation = None

    def _broadcast_sigterm_tensor(self) -> None:
        # Signals are `pixelcnn.training.interruption`'s, whose ranks have agreed by now.
        pass

    def _should_check_val_fx(self, data_fetcher: _DataFetcher) -> bool:
        due = super()._should_check_val_fx(data_fetcher) or (self.trainer.enable_validation and self._run_ends())
        if self._should_accumulate():
            self._due_since_step = self._due_since_step or due
            return False
        return due or self._due_since_step

    def _run_ends(self) -> bool:
        fit_loop = self.trainer.fit_loop
        assert fit_loop.max_epochs is not None  # since fit has begun
        epochs = fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]
        epochs += self._num_ready_batches_reached()
        return (
            _is_max_limit_reached(self.global_step, self.max_steps)
            or _is_max_limit_reached(epochs, fit_loop.max_epochs)
            or (self.trainer.should_stop and fit_loop._can_stop_early)
        )
