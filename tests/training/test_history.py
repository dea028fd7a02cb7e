"""A run's history is what was logged, and a resumed run's begins where the run did."""

import pytest
import torch

from pixelcnn.training.history import History
from pixelcnn.training.throughput import TIMED, Throughput
from tests.training.tiny import Noise, StopAt, Validations, checkpoint_of, fit, read, tiny_module

SCORE = "val/bits_per_dim"


def history_of(run_dir, *callbacks, **options):
    history = History(SCORE, run_dir)
    fit(run_dir, *callbacks, history, log_every_n_steps=1, **options)
    return history


def exact(history):
    """What does not depend on the clock."""
    curves = {name: curve.points for name, curve in history.curves.items() if name not in TIMED}
    return curves, history.best, history.last


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return history_of(tmp_path_factory.mktemp("whole"), Throughput(), max_steps=11)


def test_every_step_and_every_validation_is_there(tmp_path):
    validations = Validations()
    history = history_of(tmp_path, Throughput(), validations, max_steps=11)
    points = {name: curve.points for name, curve in history.curves.items()}
    assert points["val/bits_per_dim"] == list(zip(validations.steps, validations.values, strict=True))
    for name in ("train/bits_per_dim", "train/images_per_second", "lr"):
        assert [step for step, _ in points[name]] == list(range(1, 12))
    assert [rate for _, rate in points["lr"]] == pytest.approx([0.01 * 0.9 ** (step + 1) for step in range(11)])
    assert history.last == (11, validations.values[-1])
    assert history.best == min(zip(validations.steps, validations.values, strict=True), key=lambda each: each[1])


def test_steps_are_those_that_loggers_get_and_those_of_validations(tmp_path):
    history = History(SCORE, tmp_path)
    fit(tmp_path, history, log_every_n_steps=3, max_steps=11)
    assert [step for step, _ in history.curves["lr"].points] == [3, 4, 6, 8, 9, 11]


def test_accumulated_batches_are_one_step(tmp_path):
    history = history_of(tmp_path, max_steps=4, accumulate_grad_batches=2)
    assert [step for step, _ in history.curves["lr"].points] == [1, 2, 3, 4]


@pytest.mark.parametrize("stop", [3, 4, 6])
def test_a_resumed_run_knows_its_beginning(tmp_path, whole, stop):
    history_of(tmp_path / "first", Throughput(), StopAt(stop), max_steps=11)
    checkpoint = checkpoint_of(tmp_path / "first")
    resumed = history_of(tmp_path / "second", Throughput(), checkpoint=checkpoint, max_steps=11)
    curves, expected = exact(resumed)[0], exact(whole)[0]
    assert curves.keys() == expected.keys() and resumed.last == whole.last
    for key, points in expected.items():
        if not key.startswith("val/"):
            assert curves[key] == points
            continue
        # The first part has ended by a validation of its own.
        assert {step for step, _ in curves[key]} == {step for step, _ in points} | {stop}
        assert set(points) <= set(curves[key])
    assert resumed.best == min(((step, score) for step, score in curves[SCORE]), key=lambda each: each[1])
    assert [(start.step, start.directory) for start in resumed.starts] == [
        (0, str(tmp_path / "first")),
        (stop, str(tmp_path / "second")),
    ]


def test_wall_time_is_that_of_all_parts(tmp_path):
    history_of(tmp_path, max_steps=1)
    checkpoint = read(tmp_path)
    assert checkpoint["callbacks"]["History"]["seconds"] > 0
    checkpoint["callbacks"]["History"]["seconds"] = 1000.0
    torch.save(checkpoint, tmp_path / "long.ckpt")
    assert history_of(tmp_path, max_steps=2, checkpoint=tmp_path / "long.ckpt").seconds > 1000


def test_an_earlier_checkpoint_takes_the_history_back(tmp_path, whole):
    history_of(tmp_path, max_epochs=1)
    torch.save(read(tmp_path), tmp_path / "first.ckpt")
    history_of(tmp_path, Throughput(), checkpoint=checkpoint_of(tmp_path), max_steps=9)
    again = history_of(tmp_path, Throughput(), checkpoint=tmp_path / "first.ckpt", max_steps=11)
    assert exact(again) == exact(whole)


def test_scores_that_are_no_numbers_are_left_out(tmp_path):
    class Nonsense(Validations):
        def on_validation_start(self, trainer, module):
            if trainer.global_step == 4:
                module.val_score.unit = float("nan")

        def on_validation_end(self, trainer, module):
            module.val_score.unit = module.objective.unit

    history = history_of(tmp_path, Nonsense(), max_steps=8, module=tiny_module(), data=Noise())
    assert [step for step, _ in history.curves[SCORE].points] == [8] and history.best == history.last
