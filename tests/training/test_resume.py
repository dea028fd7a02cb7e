"""A run that is stopped and resumed ends with the same weights, bit for bit, as one that is not."""

import shutil

import pytest
import torch
from pytorch_lightning import Callback

from pixelcnn.training.checkpoints import has_training_state
from tests.faults import NoGradient
from tests.training.tiny import BATCHES_PER_EPOCH, Noise, StopAt, Validations, checkpoint_of, fit, read, tiny_module

STEPS = 11  # in the middle of the third epoch
EXACT = ("current_model_state", "state_dict", "averaging_state", "optimizer_states", "lr_schedulers", "global_step")


def assert_same_checkpoint(one, other):
    assert names_in(one) == names_in(other)
    for key in EXACT:
        torch.testing.assert_close(one[key], other[key], rtol=0, atol=0, msg=lambda text, key=key: f"{key}: {text}")
    progress = "epoch_loop.batch_progress"
    assert one["loops"]["fit_loop"][progress] == other["loops"]["fit_loop"][progress]
    assert one["loops"]["fit_loop"]["epoch_progress"] == other["loops"]["fit_loop"]["epoch_progress"]


def names_in(checkpoint):
    """Those of the parameters, as the optimiser has them, taken out: torch compares numbers alone."""
    return [group.pop("param_names", None) for group in checkpoint["optimizer_states"][0]["param_groups"]]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("uninterrupted")
    fit(run_dir, max_steps=STEPS)
    return read(run_dir)


@pytest.mark.parametrize("stop", [1, BATCHES_PER_EPOCH - 1, BATCHES_PER_EPOCH, BATCHES_PER_EPOCH + 2])
def test_after_max_steps(tmp_path, uninterrupted, stop):
    fit(tmp_path / "stopped", max_steps=stop)
    assert read(tmp_path / "stopped")["global_step"] == stop
    fit(tmp_path / "resumed", checkpoint=checkpoint_of(tmp_path / "stopped"), max_steps=STEPS)
    assert_same_checkpoint(read(tmp_path / "resumed"), uninterrupted)


@pytest.mark.parametrize("options", [{}, {"check_val_every_n_epoch": 10}])
@pytest.mark.parametrize("stop", [BATCHES_PER_EPOCH, BATCHES_PER_EPOCH + 2])
def test_after_a_signal_to_stop(tmp_path, stop, options):
    fit(tmp_path / "uninterrupted", max_epochs=3, **options)
    fit(tmp_path / "stopped", StopAt(stop), max_epochs=3, **options)
    assert read(tmp_path / "stopped")["global_step"] == stop
    fit(tmp_path / "resumed", checkpoint=checkpoint_of(tmp_path / "stopped"), max_epochs=3, **options)
    assert_same_checkpoint(read(tmp_path / "resumed"), read(tmp_path / "uninterrupted"))


def test_after_max_epochs(tmp_path):
    fit(tmp_path / "uninterrupted", max_epochs=3)
    fit(tmp_path / "stopped", max_epochs=2)
    fit(tmp_path / "resumed", checkpoint=checkpoint_of(tmp_path / "stopped"), max_epochs=3)
    assert_same_checkpoint(read(tmp_path / "resumed"), read(tmp_path / "uninterrupted"))


def test_with_orders_that_are_drawn(tmp_path):
    fit(tmp_path / "uninterrupted", module=tiny_module(dropout=0.0, order="all"), max_steps=STEPS)
    fit(tmp_path / "stopped", module=tiny_module(dropout=0.0, order="all"), max_steps=3)
    resumed = tiny_module(dropout=0.0, order="all")
    fit(tmp_path / "resumed", module=resumed, checkpoint=checkpoint_of(tmp_path / "stopped"), max_steps=STEPS)
    assert_same_checkpoint(read(tmp_path / "resumed"), read(tmp_path / "uninterrupted"))


def test_from_a_validation_in_mid_epoch(tmp_path):
    options = {"val_check_interval": 3}
    fit(tmp_path / "uninterrupted", max_steps=STEPS, **options)
    fit(tmp_path / "stopped", max_steps=3, **options)
    fit(tmp_path / "resumed", checkpoint=checkpoint_of(tmp_path / "stopped"), max_steps=STEPS, **options)
    assert_same_checkpoint(read(tmp_path / "resumed"), read(tmp_path / "uninterrupted"))


def test_at_the_end_of_an_epoch_without_validation(tmp_path):
    options = {"check_val_every_n_epoch": 2}
    fit(tmp_path / "uninterrupted", max_steps=STEPS, **options)
    fit(tmp_path / "stopped", max_steps=BATCHES_PER_EPOCH, **options)
    fit(tmp_path / "resumed", checkpoint=checkpoint_of(tmp_path / "stopped"), max_steps=STEPS, **options)
    assert_same_checkpoint(read(tmp_path / "resumed"), read(tmp_path / "uninterrupted"))


def test_with_accumulated_batches(tmp_path):
    options = {"accumulate_grad_batches": 2}
    fit(tmp_path / "uninterrupted", max_steps=5, **options)
    fit(tmp_path / "stopped", max_steps=3, **options)
    fit(tmp_path / "resumed", checkpoint=checkpoint_of(tmp_path / "stopped"), max_steps=5, **options)
    assert_same_checkpoint(read(tmp_path / "resumed"), read(tmp_path / "uninterrupted"))


class Copies(Callback):
    """Keeps every ``last.ckpt`` as it appears: what a run leaves that is killed then."""

    def __init__(self, run_dir):
        self.last, self.copies, self._time = checkpoint_of(run_dir), [], None

    def on_train_batch_start(self, *args):
        if self.last.exists() and self.last.stat().st_mtime_ns != self._time:
            self._time = self.last.stat().st_mtime_ns
            self.copies.append(shutil.copy(self.last, self.last.parent.parent / f"{len(self.copies)}.copy"))


class StopAtBatch(Callback):
    """Stops training as a time limit would, after some batch, be it one of several that make a step."""

    def __init__(self, batch):
        self.batch = batch

    def on_train_batch_end(self, trainer, *args):
        trainer.should_stop = trainer.fit_loop.epoch_loop.batch_progress.total.processed >= self.batch


# Groups of three batches, the last one of an epoch of sixteen alone; the last batch of some steps is skipped.
@pytest.mark.parametrize(
    "options",
    [
        {"val_check_interval": 7},
        {"val_check_interval": 0.25},
        {"val_check_interval": 7, "check_val_every_n_epoch": None},
    ],
)
def test_killed_after_any_validation_between_accumulated_batches(tmp_path, options):
    options = {"accumulate_grad_batches": 3, "max_epochs": 2, **options}

    def run(name, *callbacks, **more):
        validations = Validations()
        fit(tmp_path / name, validations, *callbacks, data=Noise(batch_size=2), **options, **more)
        return list(zip(validations.steps, validations.values, strict=True))

    copies = Copies(tmp_path / "whole")
    whole = run("whole", NoGradient(8), copies)
    assert [step for step, _ in whole] == sorted({step for step, _ in whole})  # no weights are scored twice
    assert read(tmp_path / "whole")["skipped_steps"] == 2 and len(copies.copies) >= 3
    for number, copy in enumerate(copies.copies):
        steps = torch.load(copy, weights_only=True)["global_step"]
        later = run(f"resumed{number}", NoGradient(8), checkpoint=copy)
        assert later == [(step, score) for step, score in whole if step > steps]
        assert_same_checkpoint(read(tmp_path / f"resumed{number}"), read(tmp_path / "whole"))


@pytest.mark.parametrize("batch", [7, 8, 9, 16])
def test_stopped_between_accumulated_batches(tmp_path, batch):
    options = {"accumulate_grad_batches": 3, "max_epochs": 2, "data": Noise(batch_size=2)}
    fit(tmp_path / "whole", **options)
    fit(tmp_path, StopAtBatch(batch), **options)
    assert read(tmp_path)["global_step"] == (6 if batch == 16 else 3)
    fit(tmp_path, checkpoint=checkpoint_of(tmp_path), **options)
    assert_same_checkpoint(read(tmp_path), read(tmp_path / "whole"))


def test_what_is_saved_between_accumulated_batches_resumes_no_run(tmp_path):
    class Saves(Callback):
        def on_train_batch_end(self, trainer, *args):
            trainer.save_checkpoint(tmp_path / f"{args[-1] + 1}.ckpt")

    fit(tmp_path, Saves(), data=Noise(batch_size=2), accumulate_grad_batches=3, max_epochs=1)
    resumable = [b for b in range(1, 17) if has_training_state(torch.load(tmp_path / f"{b}.ckpt", weights_only=True))]
    assert resumable == [3, 6, 9, 12, 15, 16]


def test_twice_and_with_workers(tmp_path, uninterrupted):
    checkpoint = None
    for stop in (2, 7, STEPS):
        fit(tmp_path / str(stop), checkpoint=checkpoint, data=Noise(num_workers=2), max_steps=stop)
        checkpoint = checkpoint_of(tmp_path / str(stop))
    assert_same_checkpoint(read(tmp_path / str(STEPS)), uninterrupted)


@pytest.mark.parametrize("stop", [3, 4, 6])
def test_later_validations_are_of_all_images(tmp_path, stop):
    seen, options = Validations(), {"val_check_interval": 2}
    for name, checkpoint, steps in (("a", None, 8), ("b", None, stop), ("b", checkpoint_of(tmp_path / "b"), 8)):
        fit(tmp_path / name, seen, checkpoint=checkpoint, data=Noise(val_size=20), max_steps=steps, **options)
    values = list(zip(seen.steps, seen.values, strict=True))  # of three batches each
    whole, later = dict(values[:4]), dict(values[4:])
    assert whole.items() <= later.items()


def test_steps_of_the_logger_go_on(tmp_path):
    from pytorch_lightning.loggers import CSVLogger

    steps = []
    checkpoint = None
    for stop in (2, 6):
        logger = CSVLogger(tmp_path, name=str(stop))
        fit(tmp_path, checkpoint=checkpoint, logger=logger, log_every_n_steps=1, max_steps=stop)
        lines = (tmp_path / str(stop) / "version_0" / "metrics.csv").read_text().splitlines()
        header = lines[0].split(",")
        rows = [dict(zip(header, line.split(","), strict=True)) for line in lines[1:]]
        steps += [int(row["step"]) for row in rows if row["lr"]]
        checkpoint = checkpoint_of(tmp_path)
    assert steps == list(range(6))
