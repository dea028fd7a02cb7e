"""Loggers on a machine that is not logged in to Weights & Biases, or has no network."""

import csv
import errno
import os
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import wandb
from pytorch_lightning.loggers import CSVLogger

from pixelcnn.training import wandb_run
from pixelcnn.training.dashboard import KeptCheckpoints, RankedImages
from pixelcnn.training.logging import WandbRunId, finishing, mlflow_logger, wandb_logger
from pixelcnn.training.samples import SampleGrid
from pixelcnn.training.validation_images import ValidationImages
from tests.training.tiny import checkpoint_of, fit, picture_in, read
from tests.training.wandb_log import OfflineRun

SCORE = "val/bits_per_dim"


@contextmanager
def in_wandb(run_dir, config=None, **options):
    """A logger of Weights & Biases, finished on leaving."""
    logger = wandb_logger(run_dir, config or {}, [SCORE], **options)
    with finishing([logger]):
        yield logger


@pytest.fixture
def nobody(tmp_path, monkeypatch):
    """An environment without wandb settings, keys or a standard input."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "wandb-config"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setattr(sys, "stdin", None)
    wandb.teardown()
    yield monkeypatch
    wandb.teardown()


def test_not_logged_in_is_offline(tmp_path, nobody, capsys):
    run_dir = tmp_path / "run"
    with in_wandb(run_dir, config={"data": {"batch_size": 8765}}) as logger:
        samples = SampleGrid(run_dir, 1, num_samples=2)
        trainer = fit(run_dir, samples, logger=logger, log_every_n_steps=1, max_steps=2)
        assert wandb.run is not None
    assert wandb.run is None
    said = capsys.readouterr().out
    wandb.teardown()  # its service writes the log in the background
    logged = OfflineRun(run_dir)
    assert f"wandb sync {logged.log.parent}" in said and "not logged in" in said
    assert logged.column("lr") == pytest.approx([0.009, 0.0081])
    assert logged.column(SCORE) == [trainer.callback_metrics[SCORE].item()]
    assert logged.minimised == {SCORE: "trainer/global_step", f"by_images/{SCORE}": "images"}
    assert {"data": {"batch_size": 8765}}.items() <= logged.config.items()
    ((_, picture),) = logged.pictures("samples")
    assert torch.equal(picture, picture_in(run_dir / "samples" / "step=000002.png"))


@pytest.mark.parametrize(("checkpoints", "count"), [("end", 2), ("never", 0)])
def test_checkpoints_are_kept_where_asked_for(tmp_path, nobody, checkpoints, count):
    with in_wandb(tmp_path, checkpoints=checkpoints) as logger:
        fit(tmp_path, KeptCheckpoints(tmp_path), logger=logger, max_steps=1)
    wandb.teardown()
    assert len(OfflineRun(tmp_path).artifacts("model")) == count


def test_a_file_system_without_hard_links(tmp_path, nobody):
    def refuse(*paths):
        raise OSError(errno.EPERM, "Operation not permitted")

    nobody.setattr(os, "link", refuse)
    with in_wandb(tmp_path) as logger:
        fit(tmp_path, KeptCheckpoints(tmp_path), logger=logger, max_steps=1)
    wandb.teardown()
    for artifact in OfflineRun(tmp_path).artifacts("model"):
        (entry,) = artifact.manifest.contents
        assert Path(entry.local_path).read_bytes() == (tmp_path / "checkpoints" / entry.path).read_bytes()


def test_a_run_without_a_validation(tmp_path, nobody):
    validations = ValidationImages(2)
    callbacks = (validations, RankedImages(1), KeptCheckpoints(tmp_path))
    with in_wandb(tmp_path) as logger:
        fit(tmp_path, *callbacks, logger=logger, max_steps=2, limit_val_batches=0)
    wandb.teardown()
    logged = OfflineRun(tmp_path)
    assert logged.column("val/images") == [] and logged.artifacts("model") == []


def test_a_disabled_run_goes_on_without(tmp_path, nobody):
    nobody.setenv("WANDB_MODE", "disabled")
    validations = ValidationImages(2)
    everything = (
        validations,
        RankedImages(1),
        KeptCheckpoints(tmp_path),
        SampleGrid(tmp_path, 1, num_samples=2),
    )
    with in_wandb(tmp_path) as logger:
        trainer = fit(tmp_path, *everything, logger=logger, max_steps=2)
    assert trainer.global_step == 2 and not (tmp_path / "wandb").exists()


def test_where_wandb_stages_is_up_to_its_own_variable(tmp_path, nobody):
    nobody.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    validations = ValidationImages(2)
    with in_wandb(tmp_path) as logger:
        fit(tmp_path, validations, RankedImages(1), logger=logger, max_steps=1)
    wandb.teardown()
    for artifact in OfflineRun(tmp_path).artifacts("run_table"):
        assert all(entry.local_path.startswith(f"{tmp_path}/data/") for entry in artifact.manifest.contents)


def test_key_without_a_server_is_offline(tmp_path, nobody, capsys):
    nobody.setenv("WANDB_API_KEY", "0123456789" * 4)
    nobody.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    nobody.setattr(wandb_run, "SECONDS_TO_START", 1)
    with in_wandb(tmp_path / "run"):
        pass
    assert "offline: a run could not be started there (" in capsys.readouterr().out
    assert OfflineRun(tmp_path / "run").log.exists()
    assert not list((tmp_path / "run/wandb").glob("run-*"))  # of the attempt


def test_malformed_key_is_offline(tmp_path, nobody, capsys):
    nobody.setenv("WANDB_API_KEY", "short")
    nobody.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    with in_wandb(tmp_path / "run"):
        pass
    assert OfflineRun(tmp_path / "run").log.exists()


def test_failing_run_is_finished(tmp_path, nobody):
    with pytest.raises(ZeroDivisionError), in_wandb(tmp_path / "run"):
        raise ZeroDivisionError
    assert wandb.run is None


def test_csv_holds_the_curves(tmp_path):
    trainer = fit(tmp_path, logger=CSVLogger(tmp_path, name="csv"), log_every_n_steps=1, max_steps=3)
    with open(tmp_path / "csv" / "version_0" / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert len([row for row in rows if row["train/bits_per_dim"]]) == 3
    (val,) = (float(row["val/bits_per_dim"]) for row in rows if row["val/bits_per_dim"])
    assert val == trainer.callback_metrics["val/bits_per_dim"].item()


def test_a_resumed_run_is_the_same_one(tmp_path, nobody):
    """Recorded in its checkpoints, its id survives resuming, and is in the name of what is uploaded too."""
    checkpoint, run_id, names, steps = None, None, [], []
    for stop in (2, 5):
        run_dir = tmp_path / str(stop)
        with in_wandb(run_dir, {}, run_id=run_id) as logger:
            fit(run_dir, WandbRunId(), checkpoint=checkpoint, logger=logger, log_every_n_steps=1, max_steps=stop)
        checkpoint, run_id = checkpoint_of(run_dir), read(run_dir)["wandb_run_id"]
        names.append(OfflineRun(run_dir).log.stem)
        steps.append([row["trainer/global_step"] for row in OfflineRun(run_dir).history if "lr" in row])
    assert names == [f"run-{run_id}"] * 2
    assert steps == [[0, 1], [2, 3, 4]]


def test_mlflow_keeps_a_run_with_its_name_tags_and_notes_in_the_run_directory(tmp_path):
    pytest.importorskip("mlflow")
    logger = mlflow_logger(tmp_path / "run", name="mine", tags={"set": "noise"}, notes="a try")
    trainer = fit(tmp_path / "run", max_steps=4, logger=logger)
    run = logger.experiment.get_run(logger.run_id)
    assert run.info.run_name == "mine" and run.info.artifact_uri.startswith(str(tmp_path / "run" / "mlflow"))
    assert run.data.tags["set"] == "noise" and run.data.tags["mlflow.note.content"] == "a try"
    assert run.data.metrics["val/bits_per_dim"] == pytest.approx(trainer.callback_metrics["val/bits_per_dim"].item())
    assert (tmp_path / "run" / "mlflow.db").exists()
