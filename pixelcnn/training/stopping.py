"""Every finished run has validated its last weights, whatever stopped it.

Lightning validates at fixed batches. A run that ends between them, by max_steps, max_time or Ctrl-C, would leave
checkpoints that lag behind it or none at all. Validating while the epoch is still open, rather than after training,
also lets a resumed run go on in the middle of it.
"""

from pytorch_lightning import Trainer
from pytorch_lightning.loops.fetchers import _DataFetcher
from pytorch_lightning.loops.fit_loop import _FitLoop
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.loops.utilities import _is_max_limit_reached


def validate_before_stopping(trainer: Trainer) -> None:
    """Have ``trainer.fit`` validate after the last batch of the run; to be called before it."""
    old = trainer.fit_loop
    trainer.fit_loop = _ValidatedFitLoop(trainer, old.min_epochs, old.max_epochs)
    trainer.fit_loop.epoch_loop = _ValidatedEpochLoop(trainer, old.min_steps, old.max_steps)


class _ValidatedFitLoop(_FitLoop):
    def run(self) -> None:
        super().run()
        # No step was left to take: the limit was 0, or the run resumes a finished one.
        if self.trainer.enable_validation and not self.epoch_loop.val_loop._has_run:
            self.trainer.validating = True
            self.epoch_loop.val_loop.run()
            self.trainer.training = True


class _ValidatedEpochLoop(_TrainingEpochLoop):
    def advance(self, data_fetcher: _DataFetcher) -> None:
        # The step that loggers show is counted apart from the optimiser's, and falls behind it on resuming.
        self._batches_that_stepped = self.global_step
        if self.restarted_on_last and self._num_ready_batches_reached():
            # Resumed between two epochs: the old one only has to end, which Lightning knows of those it validates.
            self._skip_next_val = True
            return
        super().advance(data_fetcher)

    def _broadcast_sigterm_tensor(self) -> None:
        # Signals are `pixelcnn.training.interruption`'s, whose ranks have agreed by now.
        pass

    def _should_check_val_fx(self, data_fetcher: _DataFetcher) -> bool:
        return super()._should_check_val_fx(data_fetcher) or (self.trainer.enable_validation and self._run_ends())

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
