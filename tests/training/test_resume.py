"""A run that is stopped and resumed ends with the same weights, bit for bit, as one that is not."""

import pytest
import torch

from tests.training.tiny import BATCHES_PER_EPOCH, Noise, StopAt, Validations, checkpoint_of, fit, read

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
