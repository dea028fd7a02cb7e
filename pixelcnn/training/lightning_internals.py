"""All uses of Lightning's private names, checked at start.

Every finished run has validated its last weights, whatever stopped it, and a resumed one makes up for the validation
that its checkpoint was saved before. Lightning validates at fixed batches, of which a resumed run leaves out the
first; no hook lies between a batch's end and the choice whether to validate, and none in a run without a step to take.
So both loops, `_FitLoop` and `_TrainingEpochLoop`, are subclassed. Validating while the epoch is still open, rather
than after training, also lets a resumed run go on in the middle of it. It happens between two steps of the optimiser
only, as gradients that are being accumulated are in no checkpoint; what is due in between follows the step.
"""

from operator import attrgetter
from types import SimpleNamespace
from typing import Any

import pytorch_lightning
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import WeightAveraging
from torch.optim.swa_utils import AveragedModel

from pixelcnn.errors import UserError


def lacking(name: str) -> UserError:
    """What refuses a release of Lightning without ``name``."""
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
# In the state of the loop of batches: whether it was saved with no accumulated gradients, which it lacks.
BETWEEN_STEPS = "between_steps"


def adapt(trainer: Trainer) -> None:
    """Have ``trainer.fit`` validate after the run's last batch and leave signals alone; to be called before it.

    UserError where this release of Lightning lacks what that takes.
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


def average_of(callback: WeightAveraging) -> AveragedModel:
    """What ``callback`` averages in, from its setup on."""
    assert callback._average_model is not None
    return callback._average_model


def loops_before_validation(trainer: Trainer) -> dict[str, Any]:
    """The state of the loops for a checkpoint that is saved at a batch's end or in the validation that follows it.

    A run that resumes from it starts with that validation, in full, if one is due; Lightning would leave it out.
    """
    epoch_loop = trainer.fit_loop.epoch_loop
    assert isinstance(epoch_loop, _ValidatedEpochLoop)
    if epoch_loop.before_validation is not None:
        return epoch_loop.before_validation
    epoch_loop.validation_due = epoch_loop._should_check_val_fx(None)
    state = trainer.fit_loop.state_dict()
    # As it has when validation starts, the batch counts as finished. So it does at an epoch's end: Lightning would
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

    def advance(self, data_fetcher: Any) -> None:
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
