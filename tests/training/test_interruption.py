import os
import signal
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning import Callback

from pixelcnn.training.interruption import GracefulInterruption, Request
from tests.training.tiny import Validations, checkpoint_of, fit, read


class CtrlC(Callback):
    """What a terminal sends, ``times`` times while a step is trained."""

    def __init__(self, step, times=1):
        self.step = step
        self.times = times

    def on_train_batch_start(self, trainer, *args):
        if trainer.global_step == self.step - 1:
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)


def interruption(run_dir, steps=0, minutes=0.0):
    return GracefulInterruption(run_dir, "run.py checkpoint=last", steps, minutes)


@pytest.fixture
def handler():
    """Python's own, whatever the tests were started by; Lightning ignores the signal once a run has died of it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_first_one_finishes_the_run(tmp_path, handler):
    validations = Validations()
    fit(tmp_path / "stopped", interruption(tmp_path), CtrlC(6), validations, max_epochs=3)
    assert signal.getsignal(signal.SIGINT) is handler
    assert validations.steps == [4, 6]

    fit(tmp_path / "resumed", interruption(tmp_path), checkpoint=checkpoint_of(tmp_path / "stopped"), max_epochs=3)
    fit(tmp_path / "uninterrupted", max_epochs=3)
    resumed, uninterrupted = read(tmp_path / "resumed"), read(tmp_path / "uninterrupted")
    torch.testing.assert_close(resumed["state_dict"], uninterrupted["state_dict"], rtol=0, atol=0)


def test_second_one_ends_it_at_once(tmp_path, handler):
    validations = Validations()
    with pytest.raises(SystemExit):
        fit(tmp_path, interruption(tmp_path), CtrlC(6, times=2), validations, max_epochs=3)
    assert validations.steps == [4]


def test_what_another_rank_asks_for_in_the_last_step_is_heard_in_the_validation_after_it(tmp_path, handler):
    class OfAnotherRank(Callback):
        def on_validation_start(self, trainer, module):
            if trainer.global_step == 2:
                rank = SimpleNamespace(on=lambda number: Request.FINISH, last=lambda: Request.NOTHING)
                callback._agreement = rank

    callback = interruption(tmp_path)
    fit(tmp_path, OfAnotherRank(), callback, max_steps=2)
    assert callback.interrupted
