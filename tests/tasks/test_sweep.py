"""A sweep runs every job once, with all of its processes on the same hyper-parameters."""

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from pixelcnn.launch.run_directory import occupied
from tests.tasks.conftest import TINY
from tests.tasks.test_distributed import ROOT
from tests.training.test_logging import nobody  # noqa: F401
from tests.training.wandb_log import OfflineRun

pytestmark = pytest.mark.slow

STEPS = ("trainer.max_steps=2", "callbacks.samples=null")


def needs(plugin: str) -> pytest.MarkDecorator:
    there = find_spec(f"hydra_plugins.{plugin}") is not None
    return pytest.mark.skipif(not there, reason=f"{plugin} is not installed: see requirements-sweeps.txt")


def table(sweep: Path) -> list[dict[str, str]]:
    with (sweep / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def objective(job: Path) -> float:
    return json.loads((job / "metrics.json").read_text())["best/val/bits_per_dim"]


def ranks(job: Path) -> list[dict]:
    return json.loads((job / "run.json").read_text())["ranks"]


def test_jobs_in_directories_that_only_they_can_name(arrays, call, tmp_path):
    keys = (*arrays, *(key for key in TINY if not key.startswith("logger")), *STEPS, f"hydra.sweep.dir={tmp_path}")
    named = "hydra.sweep.subdir=${hydra:runtime.choices.logger}"
    call("-m", *keys, "logger=none,csv", named)
    assert {row["job"] for row in table(tmp_path)} == {"none", "csv"}
    with pytest.raises(SystemExit, match=f"hydra.sweep.dir={tmp_path}/none "):
        call("-m", *keys, "logger=none", named)
    for seeds in ("0", "2,3"):  # the first is the default
        call("-m", *keys, "logger=none", f"seed={seeds}", "hydra.sweep.subdir=seed${seed}")


@needs("hydra_optuna_sweeper")
def test_optuna_over_two_processes(arrays, call, tmp_path):
    keys = (*arrays, *TINY, *STEPS, f"hydra.sweep.dir={tmp_path}", "trainer.accelerator=cpu", "model.num_filters=4,6")
    call("sweep=optuna", *keys, "trainer.devices=2", "hydra.sweeper.n_trials=2")
    rows = table(tmp_path)
    assert len(rows) == 2 and (tmp_path / "sweep.png").exists()
    swept = ("optim.lr", "model.dropout", "model.num_filters")
    for row in rows:
        job = tmp_path / row["job"]
        both = ranks(job)
        assert [(rank["rank"], rank["world_size"]) for rank in both] == [(0, 2), (1, 2)]
        assert both[0]["overrides"] == both[1]["overrides"]
        for key in swept:
            assert f"{key}={row[key]}" in both[0]["overrides"]
        assert both[0]["final_weights"] == both[1]["final_weights"] != both[0]["initial_weights"]
        assert float(row["best/val/bits_per_dim"]) == objective(job)
    assert ranks(tmp_path / rows[0]["job"])[0]["final_weights"] != ranks(tmp_path / rows[1]["job"])[0]["final_weights"]

    call("sweep=optuna", *keys, "hydra.sweeper.n_trials=1")  # goes on
    assert [row["job"] for row in table(tmp_path)[:2]] == [row["job"] for row in rows]
    with sqlite3.connect(tmp_path / "study.db") as study:
        told = {value for (value,) in study.execute("select value from trial_values")}
    assert told == {objective(tmp_path / row["job"]) for row in table(tmp_path)} and len(told) == 3


@needs("hydra_optuna_sweeper")
def test_a_search_goes_on_after_a_trial_that_diverges(arrays, call, tmp_path):
    keys = (*arrays, *TINY, *STEPS, f"hydra.sweep.dir={tmp_path}", "callbacks.skip_limit.most=1")
    search = ("sweep=optuna", "model.dropout=0.5", "model.num_filters=4", "hydra.sweeper.n_trials=2")
    with pytest.raises(SystemExit, match="No trial"):
        call(*keys, *search, "optim.lr=interval(1e37, 2e37)")
    assert [row["objective"] for row in table(tmp_path)] == ["", ""]
    call(*keys, *search, "optim.lr=interval(0.001, 0.002)")
    assert [row["best/val/bits_per_dim"] == "" for row in table(tmp_path)] == [True, True, False, False]


def test_a_job_ends_with_its_sweep(arrays, tmp_path):
    """Of several processes, which would train on without anyone to tell."""
    keys = (*arrays, *TINY, "trainer.max_epochs=10000", "callbacks.samples=null", "trainer.accelerator=cpu")
    command = ("-m", *keys, "trainer.devices=2", "optim.lr=0.1,0.01", f"hydra.sweep.dir={tmp_path}")
    sweep = subprocess.Popen(
        [sys.executable, "run.py", *command], cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True
    )
    last = tmp_path / "0/checkpoints/last.ckpt"
    try:
        wait_until(last.is_file, 300)
        sweep.kill()
        sweep.wait()
        with occupied(tmp_path / "0"):  # waits for it
            assert not (tmp_path / "0/metrics.json").exists() and last.is_file()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(sweep.pid, signal.SIGKILL)


def wait_until(true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("launcher", "option"),
    [
        pytest.param("joblib", "n_jobs=2", marks=needs("hydra_joblib_launcher")),
        pytest.param("submitit_local", "nodes=1", marks=needs("hydra_submitit_launcher")),
    ],
)
def test_launchers(arrays, call, tmp_path, monkeypatch, launcher, option):
    monkeypatch.chdir(ROOT)
    keys = (*arrays, *TINY, *STEPS, f"hydra.sweep.dir={tmp_path}", "trainer.accelerator=cpu")
    call("-m", *keys, "optim.lr=choice(0.1)", f"hydra/launcher={launcher}", f"hydra.launcher.{option}")
    (row,) = table(tmp_path)
    assert (row["job"], row["optim.lr"]) == ("0", "0.1") and "optim.lr=0.1" in ranks(tmp_path / "0")[0]["overrides"]
    assert float(row["best/val/bits_per_dim"]) == objective(tmp_path / "0")


def test_wandb_groups_the_jobs_of_a_sweep(arrays, call, tmp_path, nobody):  # noqa: F811
    nobody.delenv("WANDB_RUN_GROUP", raising=False)
    sweep = tmp_path / "my_sweep"
    call("-m", *arrays, *TINY, *STEPS, "logger=wandb", "optim.lr=0.1,0.01", f"hydra.sweep.dir={sweep}")
    assert "WANDB_RUN_GROUP" not in os.environ
    for job in ("0", "1"):
        records = OfflineRun(sweep / job).records
        assert next(record.run.run_group for record in records if record.HasField("run")) == "my_sweep"


def test_a_missing_plugin_is_named(tmp_path):
    (tmp_path / "hydra_plugins").mkdir()
    (tmp_path / "hydra_plugins/__init__.py").touch()  # hides all that are installed
    outcome = subprocess.run(
        [sys.executable, "run.py", "sweep=optuna"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert "hydra/sweeper/optuna" in outcome.stderr and "pip install -r requirements-sweeps.txt" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert outcome.returncode == 1 and outcome.stdout == ""
