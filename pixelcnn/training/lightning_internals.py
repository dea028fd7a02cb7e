"""All uses of Lightning's private names, checked at start.

Every finished run has validated its last weights, whatever stopped it, and a resumed run makes up for a validation that
its checkpoint was saved before. Lightning validates at fixed batches, and a resumed run skips the first. There is no
hook between the end of a batch and the decision to validate, and none in a run without steps left. So both loops,
`_FitLoop` and `_TrainingEpochLoop`, are subclassed. Validating while the epoch is still open, not after training, also
lets a resumed run continue in mid-epoch. Validations happen only between two optimiser steps, because checkpoints do
not store accumulating gradients; one that is due in between follows the step.
"""

from operator import attrgetter
from types import SimpleNamespace
from typing import Any, TypeVar

import pytorch_lightning
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import WeightAveraging
from torch.optim.swa_utils import AveragedModel

from pixelcnn.errors import UserError


def lacking(name: str) -> UserError:
    """The error for a release of Lightning without ``name``."""
    release = f"pytorch-lightning {pytorch_lightning.__version__}"
    return UserError(f"{release} lacks {name}, which training needs: pip install 'pytorch-lightning<2.7'.")


try:
    from pytorch_lightning.loops import _FitLoop, _TrainingEpochLoop
except ImportError as error:
    raise lacking("pytorch_lightning.loops._FitLoop or _TrainingEpochLoop") from error

# Private names, and what they are for.
USED = {
    "Trainer._signal_connector.register_signal_handlers": "replaced: a signal would end a run without a checkpoint",
    "Trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor": "overridden: that signal, told to all ranks at each step",
    "Trainer.fit_loop.epoch_loop._should_check_val_fx": "overridden: whether a validation follows a batch",
    "Trainer.fit_loop.epoch_loop._should_accumulate": "whether a batch is one whose gradients are kept for the next",
    "Trainer.fit_loop.epoch_loop._num_ready_batches_reached": "whether a batch is the epoch's last",
    "Trainer.fit_loop.epoch_loop._skip_next_val": "set between epochs, where a resumed run would validate again",
    "Trainer.fit_loop.epoch_loop._batches_that_stepped": "the step that loggers show, which falls behind on resuming",
    "Trainer.fit_loop.epoch_loop.val_loop._has_run": "whether a run without steps has validated",
    "Trainer.fit_loop._can_stop_early": "whether min_epochs and min_steps let a run stop",
    "WeightAveraging._average_model": "read: public hooks cannot start an average at the initial weights",
}
# In the batch loop's state: whether it was saved without pending accumulated gradients, which it does not store.
BETWEEN_STEPS = "between_steps"

Kind = TypeVar("Kind", bound=Callback)


def adapt(trainer: Trainer) -> None:
    """Make ``trainer.fit`` validate after the run's last batch and not handle signals. Call it before ``fit``.

    UserError if this release of Lightning lacks what that needs.
    """
    parts = SimpleNamespace(Trainer=trainer, WeightAveraging=WeightAveraging())
    for name in USED:
        try:
            attrgetter(name)(parts)
        except AttributeError as error:
            raise lacking(name) from error
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    old = trainer.fit_loop
    trainer.fit_loop = _ValidatedFitLoop(trainer, old.min_epochs, old.max_epochs)
    trainer.fit_loop.epoch_loop = _ValidatedEpochLoop(trainer, old.min_steps, old.max_steps)


def callbacks_of(trainer: Trainer, kind: type[Kind]) -> list[Kind]:
    """The trainer's callbacks of a class."""
    return [callback for callback in trainer.callbacks if isinstance(callback, kind)]  # type: ignore[attr-defined]


def average_of(callback: WeightAveraging) -> AveragedModel:
    """The model in which ``callback`` averages; set during its setup."""
    assert callback._average_model is not None
    return callback._average_model


def loops_before_validation(trainer: Trainer) -> dict[str, Any]:
    """The state of the loops for a checkpoint saved at the end of a batch or in the validation that follows it.

    A run resumed from it starts with that validation, in full, if one is due; Lightning would skip it.
    """
    epoch_loop = trainer.fit_loop.epoch_loop
    assert isinstance(epoch_loop, _ValidatedEpochLoop)
    if epoch_loop.before_validation is not None:
        return epoch_loop.before_validation
    epoch_loop.validation_due = epoch_loop._should_check_val_fx(None)
    state = trainer.fit_loop.state_dict()
    # The batch counts as finished, as it does when validation starts. This also holds at the end of an epoch, where
    # Lightning would count the epoch as finished and the next one as not begun; the run after the next would then
    # train one epoch too many.
    if epoch_loop.validation_due or epoch_loop._num_ready_batches_reached():
        for part in ("total", "current"):
            state["epoch_loop.batch_progress"][part]["completed"] += 1
    epoch_loop.validation_due = False
    return state


class _ValidatedFitLoop(_FitLoop):
    def run(self) -> None:
        super().run()
        # No steps are left: the limit was 0, or the run resumes a finished one.
        if self.trainer.enable_validation and not self.epoch_loop.val_loop._has_run:
            self.trainer.validating = True
            # Restored from the end of a validation, it would treat its first batch as the only one left.
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

    def advance(self, data_fetcher: Any) -> None:
        # The loggers' step is counted separately from the optimiser's, and falls behind it on resuming.
        self._batches_that_stepped = self.global_step
        if not self._should_accumulate():  # of the batch before
            self._due_since_step = self._validates_first
        if self._validates_first:
            self._validates_first = False
            self.val_loop.restarting = False
            self._batches_that_stepped -= 1  # as in the validation that follows a step
            return
        if self.restarted_on_last and self._num_ready_batches_reached():
            # Resumed between two epochs: the old one only has to end, without the validation that Lightning would add.
            self._skip_next_val = True
            return
        super().advance(data_fetcher)

    def on_advance_end(self, data_fetcher: Any) -> None:
        if self._should_check_val_fx(data_fetcher) and not self._skip_next_val:
            self.validation_due = True
            self.before_validation = self.trainer.fit_loop.state_dict()
            self.validation_due = False
        super().on_advance_end(data_fetcher)
        self.before_validation = None

    def _broadcast_sigterm_tensor(self) -> None:
        pass  # the ranks have agreed on signals by `pixelcnn.training.interruption`

    def _should_check_val_fx(self, data_fetcher: Any) -> bool:
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
            0 <= self.max_steps <= self.global_step
            or 0 <= fit_loop.max_epochs <= epochs
            or (self.trainer.should_stop and fit_loop._can_stop_early)
        )
