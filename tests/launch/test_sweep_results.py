"""The table and the picture of a sweep, read off the directories that its jobs left."""

import csv
import json

import pytest
from omegaconf import OmegaConf

from pixelcnn.launch.sweep_results import swept_keys, write_results


@pytest.fixture
def leave(tmp_path):
    """Leaves what a job does."""

    def leave(name, overrides, config, metrics=None):
        (tmp_path / name / ".hydra").mkdir(parents=True)
        OmegaConf.save(OmegaConf.create(overrides), tmp_path / name / ".hydra/overrides.yaml")
        OmegaConf.save(OmegaConf.create(config), tmp_path / name / ".hydra/config.yaml")
        if metrics is not None:
            (tmp_path / name / "metrics.json").write_text(json.dumps(metrics))

    return leave


def table(directory):
    with (directory / "sweep.csv").open() as file:
        return list(csv.reader(file))


def test_a_line_for_each_job_in_order(tmp_path, leave):
    for i in (10, 2):
        model = {"name": f"net{i}", "dropout": i / 100}
        leave(
            str(i), [f"model=net{i}", "seed=1"], {"model": model, "seed": 1}, {"val/bits_per_dim": 3.0 + i, "step": 5}
        )
    leave("11", ["model=net"], {"model": {"dropout": 0.5}})  # has failed, or runs yet
    write_results(tmp_path, ["model", "model.dropout"])
    assert table(tmp_path) == [
        ["job", "model", "model.dropout", "val/bits_per_dim"],
        ["2", "net2", "0.02", "5.0"],
        ["10", "net10", "0.1", "13.0"],
        ["11", "net", "0.5", ""],
    ]
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in tmp_path.iterdir()} == {"2", "10", "11", "sweep.csv", "sweep.png"}


def test_no_picture_of_nothing(tmp_path, leave):
    leave("0", ["seed=1"], {"seed": 1}, {"val/bits_per_dim": float("nan")})
    write_results(tmp_path, ["seed"])
    assert table(tmp_path)[1] == ["0", "1", "nan"] and not (tmp_path / "sweep.png").exists()


def test_what_is_swept():
    task = ["experiment=digits", "optim.lr=0.1,0.2", "model=a,b", "seed=range(3)", "optim.betas=[0.9,0.99]"]
    hydra = {"overrides": {"task": task}, "sweeper": {"params": {"model.dropout": "interval(0,1)", "model": "c,d"}}}
    config = OmegaConf.create({"hydra": hydra})
    assert swept_keys(config) == ["model.dropout", "model", "optim.lr", "seed"]
    config.hydra.sweeper.params = None
    assert swept_keys(config) == ["optim.lr", "model", "seed"]
