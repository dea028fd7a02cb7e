"""A run that gets a signal saves its state and leaves; resumed, it ends as if nothing had happened."""

import multiprocessing
import os
import signal
import subprocess
from types import SimpleNamespace

import pytest
from pytorch_lightning import Callback

from pixelcnn.training.interruption import SIGNALS_TO_LEAVE, GracefulInterruption, Left, handing_on
from tests.training.test_interruption import interruption
from tests.training.test_resume import assert_same_checkpoint
from tests.training.tiny import Noise, Validations, checkpoint_of, fit, read


class Signal(Callback):
    """Sends ``number`` to this process in ``hook``, once it is called with ``steps`` steps taken."""

    def __init__(self, hook, steps, number=signal.SIGTERM):
        def send(trainer, *args, **kwargs):
            if trainer.global_step == steps and not trainer.sanity_checking:
                os.kill(os.getpid(), number)

        setattr(self, hook, send)


class DiedError(Exception):
    pass


class Die(Callback):
    """Ends a run without its being asked, at a step's end."""

    def __init__(self, steps):
        self.steps = steps

    def on_train_batch_end(self, trainer, *args):
        if trainer.global_step == self.steps:
            raise DiedError


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("whole")
    fit(run_dir, max_epochs=3)
    return run_dir


def left(run_dir, *callbacks, **options):
    with pytest.raises(Left) as caught:
        fit(run_dir, *callbacks, interruption(run_dir), **options)
    return caught.value


@pytest.mark.parametrize(
    ("hook", "steps", "saved"),
    [
        ("on_train_batch_start", 5, 6),
        ("on_before_optimizer_step", 5, 6),
        ("on_train_batch_end", 4, 4),  # the last one of an epoch, which is validated next
        ("on_train_batch_end", 12, 12),  # the last one of all
        ("on_validation_batch_start", 8, 8),
        ("on_validation_batch_end", 12, 12),
        ("on_validation_end", 4, 5),
        ("on_train_epoch_end", 4, 5),
    ],
)
def test_resumed_it_ends_as_one_that_was_not_told(tmp_path, whole, hook, steps, saved):
    validations, later = Validations(), Validations()
    assert left(tmp_path, validations, Signal(hook, steps), max_epochs=3).code == 143
    assert read(tmp_path)["global_step"] == saved
    assert saved not in validations.steps
    fit(tmp_path, later, interruption(tmp_path), checkpoint=checkpoint_of(tmp_path), max_epochs=3)
    assert validations.steps + later.steps == [4, 8, 12]
    for name in ("last", "best"):
        assert_same_checkpoint(read(tmp_path, name), read(whole, name))


@pytest.mark.parametrize("first", [3, 4, 5])
@pytest.mark.parametrize("further", [1, 4])
def test_told_twice_where_not_every_epoch_is_validated(tmp_path, first, further):
    options = {"max_epochs": 4, "check_val_every_n_epoch": 2}
    fit(tmp_path / "whole", **options)
    checkpoint = None
    for steps in (first, first + further):
        left(tmp_path, Signal("on_train_batch_end", steps), checkpoint=checkpoint, **options)
        checkpoint = checkpoint_of(tmp_path)
        assert read(tmp_path)["global_step"] == steps
    fit(tmp_path, interruption(tmp_path), checkpoint=checkpoint, **options)
    assert_same_checkpoint(read(tmp_path), read(tmp_path / "whole"))


def test_with_workers_that_get_the_signal_too(tmp_path, whole):
    class ToAll(Callback):
        def on_train_batch_start(self, trainer, *args):
            if trainer.global_step == 5:
                children = [str(child.pid) for child in multiprocessing.active_children()]
                for name in ("TERM", "USR1", "USR2", "INT"):
                    subprocess.run(["kill", "-s", name, *children], check=True)  # not sent by the run itself

    fit(tmp_path, ToAll(), data=Noise(num_workers=2), max_epochs=3)
    assert_same_checkpoint(read(tmp_path), read(whole))


@pytest.mark.parametrize("number", SIGNALS_TO_LEAVE)
def test_the_status_names_the_signal(tmp_path, number, caplog):
    before = signal.getsignal(number)
    assert left(tmp_path, Signal("on_train_batch_start", 2, number), max_epochs=3).code == 128 + number
    assert signal.getsignal(number) is before
    last = checkpoint_of(tmp_path)
    assert f"{number.name}: stopped after step 3, saved in {last}. To resume:\n    run.py" in caplog.text


@pytest.mark.parametrize("hook", ["on_validation_batch_start", "on_validation_end"])
def test_in_a_validation_that_was_due_between_accumulated_batches(tmp_path, hook):
    options = {"accumulate_grad_batches": 3, "val_check_interval": 7, "max_epochs": 1, "data": Noise(batch_size=2)}
    fit(tmp_path / "whole", **options)
    left(tmp_path, Signal(hook, 3), **options)
    validations = Validations()
    fit(tmp_path, validations, checkpoint=checkpoint_of(tmp_path), **options)
    assert validations.steps == ([3, 5, 6] if hook == "on_validation_batch_start" else [5, 6])
    assert_same_checkpoint(read(tmp_path), read(tmp_path / "whole"))


def test_accumulated_gradients_are_not_lost(tmp_path):
    options = {"accumulate_grad_batches": 2, "max_epochs": 3}
    left(tmp_path, Signal("on_train_batch_start", 2), **options)
    assert read(tmp_path)["global_step"] == 3
    fit(tmp_path, checkpoint=checkpoint_of(tmp_path), **options)
    fit(tmp_path / "whole", **options)
    assert_same_checkpoint(read(tmp_path), read(tmp_path / "whole"))


def test_who_handled_the_signal_before_gets_it_in_the_end(tmp_path):
    got = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: got.append(read(tmp_path)["global_step"]))
    try:
        with pytest.raises(Left), handing_on():
            fit(tmp_path, Signal("on_train_batch_start", 2, signal.SIGUSR2), interruption(tmp_path), max_epochs=3)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert got == [3]


def test_it_goes_after_ctrl_c_too(tmp_path):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    validations = Validations()
    try:
        left(
            tmp_path,
            Signal("on_train_batch_start", 5, signal.SIGINT),
            Signal("on_validation_batch_start", 6),
            validations,
            max_epochs=3,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert validations.steps == [4] and read(tmp_path)["global_step"] == 6


def test_saved_every_so_many_steps(tmp_path, whole):
    with pytest.raises(DiedError):
        fit(tmp_path, interruption(tmp_path, steps=3), Die(8), max_epochs=3)
    assert read(tmp_path)["global_step"] == 6 and read(tmp_path, "best")["global_step"] == 4
    fit(tmp_path, interruption(tmp_path, steps=3), checkpoint=checkpoint_of(tmp_path), max_epochs=3)
    assert_same_checkpoint(read(tmp_path), read(whole))


@pytest.mark.parametrize("options", [{}, {"val_check_interval": 2}])
def test_a_validation_that_was_due_is_made_good(tmp_path, options):
    """Killed in it, after a checkpoint at the step before."""

    class DieInValidation(Callback):
        def on_validation_batch_end(self, trainer, *args):
            if trainer.global_step == 8 and not trainer.sanity_checking:
                raise DiedError

    later, never = Validations(), Validations()
    fit(tmp_path / "whole", never, max_epochs=3, **options)
    with pytest.raises(DiedError):
        fit(tmp_path, interruption(tmp_path, steps=1), DieInValidation(), max_epochs=3, **options)
    assert read(tmp_path)["global_step"] == 8
    fit(tmp_path, later, interruption(tmp_path, steps=1), checkpoint=checkpoint_of(tmp_path), max_epochs=3, **options)
    assert later.steps == [step for step in never.steps if step >= 8]
    assert later.values == never.values[-len(later.values) :]
    for name in ("last", "best"):
        assert_same_checkpoint(read(tmp_path, name), read(tmp_path / "whole", name))


def test_saved_every_so_many_minutes(tmp_path, monkeypatch):
    looks = iter(range(1000))  # a minute each
    monkeypatch.setattr("pixelcnn.training.interruption.time", SimpleNamespace(monotonic=lambda: 60.0 * next(looks)))
    with pytest.raises(DiedError):
        fit(tmp_path, interruption(tmp_path, minutes=2.5), Die(4), max_epochs=3)
    assert read(tmp_path)["global_step"] == 3


def test_neither_by_default(tmp_path):
    with pytest.raises(DiedError):
        fit(tmp_path, GracefulInterruption(tmp_path, "", 0, 0.0), Die(3), max_epochs=3)
    assert not checkpoint_of(tmp_path).exists()


def test_it_leaves_a_checkpoint_and_nothing_else(tmp_path):
    validations = Validations()
    left(tmp_path, validations, Signal("on_train_batch_start", 1), max_epochs=3)
    assert validations.steps == []
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]
