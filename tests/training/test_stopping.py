"""Every finished run has validated its last weights and left its checkpoints, whatever stopped it."""

import csv

import pytest
import torch
from pytorch_lightning.loggers import CSVLogger

from tests.training.tiny import Noise, StopAt, Validations, checkpoint_of, fit, read


@pytest.mark.parametrize(
    ("stop_at", "options", "validated"),
    [
        (None, {"max_steps": 6}, [4, 6]),
        (None, {"max_steps": 2}, [2]),
        (None, {"max_steps": 4}, [4]),
        (None, {"max_epochs": 2}, [4, 8]),
        (None, {"max_epochs": 3, "check_val_every_n_epoch": 2}, [8, 12]),
        (None, {"max_steps": 6, "val_check_interval": 3}, [3, 6]),
        (None, {"max_steps": 3, "min_epochs": 2}, [3]),
        (5, {"max_epochs": 3}, [4, 5]),
        (5, {"max_epochs": 3, "check_val_every_n_epoch": 10}, [5]),
        (2, {"max_epochs": 3, "min_steps": 6}, [4, 6]),
        (None, {"max_steps": 0}, [0]),
        (None, {"max_epochs": 0}, [0]),
        (None, {"max_epochs": 5, "max_time": "00:00:00:00"}, [0]),
        (None, {"max_steps": 3, "accumulate_grad_batches": 3}, [2, 3]),
    ],
)
def test_validates_before_stopping(tmp_path, stop_at, options, validated):
    validations = Validations()
    callbacks = [validations] if stop_at is None else [validations, StopAt(stop_at)]
    fit(tmp_path, *callbacks, **options)
    assert validations.steps == validated
    assert read(tmp_path)["global_step"] == validated[-1]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


@pytest.mark.parametrize("limit", [{"max_steps": 6}, {"max_epochs": 2}])
def test_resuming_a_finished_run_leaves_what_it_left(tmp_path, limit):
    fit(tmp_path / "finished", **limit)
    validations = Validations()
    fit(tmp_path / "resumed", validations, checkpoint=checkpoint_of(tmp_path / "finished"), **limit)
    assert len(validations.steps) == 1
    finished, resumed = read(tmp_path / "finished"), read(tmp_path / "resumed")
    for key in ("state_dict", "current_model_state", "optimizer_states", "global_step"):
        torch.testing.assert_close(resumed[key], finished[key], rtol=0, atol=0)
    assert checkpoint_of(tmp_path / "resumed", "best").exists()


@pytest.mark.parametrize("limit", [{"max_steps": 6}, {"max_epochs": 2}, {"max_steps": 8}])
def test_a_finished_run_that_is_resumed_validates_all_images_again(tmp_path, limit):
    seen, checkpoint = Validations(), None
    for name in ("finished", "resumed", "resumed again"):
        fit(tmp_path / name, seen, checkpoint=checkpoint, data=Noise(val_size=20), **limit)  # in three batches
        checkpoint = checkpoint_of(tmp_path / name)
    assert len(set(seen.values[-3:])) == 1


@pytest.mark.parametrize("limit", [{"max_steps": 6}, {"max_epochs": 2}])
def test_a_finished_run_that_is_resumed_logs_no_later_step(tmp_path, limit):
    steps, checkpoint = [], None
    for name in ("finished", "resumed", "resumed again"):
        logger = CSVLogger(tmp_path, name=name)
        fit(tmp_path / name, checkpoint=checkpoint, logger=logger, **limit)
        with (tmp_path / name / "version_0" / "metrics.csv").open() as file:
            steps.append([int(row["step"]) for row in csv.DictReader(file) if row["val/bits_per_dim"]])
        checkpoint = checkpoint_of(tmp_path / name)
    assert steps[1:] == [steps[0][-1:]] * 2


def test_the_last_validation_is_of_the_last_weights(tmp_path):
    one, other = Validations(), Validations()
    fit(tmp_path / "a", one, max_steps=6)
    fit(tmp_path / "b", other, max_steps=6, val_check_interval=1)
    assert one.values[-1] == other.values[-1]
    assert len(set(other.values)) == 6
