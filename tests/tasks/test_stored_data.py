"""Which data set a task that reads a checkpoint takes: the one that is chosen, else that of the checkpoint's run."""

import json

import pytest

from pixelcnn.cli import CONF

EXPERIMENTS = ("digits", "cifar10", "minutes", "ablation/base", "networks/gated_pixelcnn")


def test_the_checkpoints_own(call, trained, tmp_path):
    call("task=evaluate", f"checkpoint={trained}", f"hydra.run.dir={tmp_path}", "logger=none")
    assert json.loads((tmp_path / "metrics.json").read_text())["test/num_images"] == 11


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_also_beside_an_experiment_unless_that_chooses_one(call, trained, tmp_path, monkeypatch, experiment):
    used = []
    monkeypatch.setattr("pixelcnn.tasks.evaluate.run", lambda config, *_: used.append(config.data._target_))
    call("task=evaluate", f"checkpoint={trained}", f"hydra.run.dir={tmp_path}", f"experiment={experiment}")
    own = "override /data:" in (CONF / f"experiment/{experiment}.yaml").read_text()
    assert (used == ["pixelcnn.data.arrays.Arrays"]) == (not own)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_a_data_set_that_is_typed_wins_over_an_experiments(call, tmp_path, monkeypatch, experiment):
    used = []
    monkeypatch.setattr("pixelcnn.tasks.train.run", lambda config, *_: used.append(config.data._target_))
    call("data=digits", f"experiment={experiment}", f"hydra.run.dir={tmp_path}")
    assert used == ["pixelcnn.data.digits.Digits"]
