"""A logger that fails, W&B's client or its server above all, costs what it would have logged and nothing else."""

import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
from pytorch_lightning import Callback
from pytorch_lightning.loggers import CSVLogger, Logger

from pixelcnn.training import wandb_run
from pixelcnn.training.csv_log import CSVLog
from pixelcnn.training.dashboard import RankedImages
from pixelcnn.training.failing_loggers import tolerated
from pixelcnn.training.logging import finishing, wandb_logger
from pixelcnn.training.samples import SampleGrid
from pixelcnn.training.tensorboard_dashboard import TensorBoardDashboard
from pixelcnn.training.validation_images import ValidationImages
from tests.training.test_logging import nobody  # noqa: F401
from tests.training.tiny import fit
from tests.training.wandb_log import OfflineRun
from tests.training.wandb_server import WandbServer

SCORE = "val/bits_per_dim"


@pytest.fixture
def server(nobody, monkeypatch) -> Iterator[WandbServer]:  # noqa: F811
    """To which this machine is logged in; nothing waits for long."""
    server = WandbServer()
    nobody.setenv("WANDB_BASE_URL", server.url)
    nobody.setenv("WANDB_API_KEY", "0123456789" * 4)
    nobody.setenv("WANDB_HTTP_TIMEOUT", "1")
    nobody.setenv("WANDB__TRANSACTION_LOG_FLUSH_INTERVAL", "0.5")
    monkeypatch.setattr(wandb_run, "SECONDS_TO_FINISH", 3)
    monkeypatch.setattr(wandb_run, "SECONDS_TO_BREAK_OFF", 3)
    yield server
    server.hangs = False


def warnings(caplog) -> list[str]:
    """Ours; wandb has some for its own file."""
    ours = (record for record in caplog.records if record.name.startswith("pixelcnn"))
    return [record.getMessage() for record in ours if record.levelno >= logging.WARNING]


class At(Callback):
    """Does something after a step."""

    def __init__(self, step: int, action: Callable[[], Any]) -> None:
        self.step, self.action = step, action

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        if trainer.global_step == self.step:
            self.action()


MADE: dict[str, Callable[[Path], Logger | None]] = {
    "wandb": lambda run_dir: wandb_logger(run_dir, {}, [SCORE], checkpoints="never"),
    "csv": lambda run_dir: CSVLog(run_dir, name="csv"),
    "tensorboard": lambda run_dir: TensorBoardDashboard(run_dir, [SCORE]),
}


def train(run_dir, *callbacks: Callback, name: str = "wandb") -> Any:
    """Four steps; a table, its pictures and samples at the end."""
    shown = (ValidationImages(2), RankedImages(1), SampleGrid(run_dir, 1, num_samples=2))
    made = MADE[name](run_dir)
    loggers = [tolerated(made)] if made else []
    with finishing(loggers):
        return fit(run_dir, *callbacks, *shown, logger=loggers, log_every_n_steps=1, max_steps=4)


def kill_core() -> None:
    process = wandb.setup().assert_service()._proc._process
    process.kill()
    process.wait()


def test_a_run_online(tmp_path, server, caplog):
    run = train(tmp_path)
    assert run.global_step == 4 and not warnings(caplog)
    assert {"UpsertBucket", "CreateRunFiles"} <= set(server.requests)
    wandb.teardown()
    assert len(OfflineRun(tmp_path).column("lr")) == 4


@pytest.mark.parametrize("how", ["refuses", "hangs"])
def test_a_server_that_is_lost(tmp_path, server, caplog, how):
    """Curves and pictures are kept, and uploaded by the command that the warning ends with."""
    lose = server.close if how == "refuses" else lambda: setattr(server, "hangs", True)
    run = train(tmp_path, At(2, lose))
    assert run.global_step == 4 and SCORE in run.callback_metrics
    (warning,) = warnings(caplog)
    logged = OfflineRun(tmp_path)
    assert re.search(f"may lack some .*\n    wandb sync --include-online {logged.log.parent}$", warning)
    assert len(logged.column("lr")) == 4
    assert len(logged.pictures("samples")) == len(logged.pictures("val/best")) == 1
    assert wandb.run is None
    if how == "hangs":
        server.hangs = False
        _, command = warning.split("\n")
        wandb_command = [Path(sys.executable).parent / "wandb", *command.split()[1:]]
        subprocess.run(wandb_command, cwd=tmp_path, check=True, capture_output=True)
        (best,) = (row["val/best"] for row in server.history if "val/best" in row)
        assert best["count"] == 1 and [row["lr"] for row in server.history if "lr" in row] == logged.column("lr")


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_a_client_that_is_lost(tmp_path, server, caplog, capfd, nobody, mode):  # noqa: F811
    nobody.setenv("WANDB_MODE", mode)
    run = train(tmp_path, At(2, kill_core))
    assert run.global_step == 4 and SCORE in run.callback_metrics
    first, last = warnings(caplog)
    command = f"wandb sync {'--include-online ' * (mode == 'online')}{OfflineRun(tmp_path).log.parent}"
    assert "WandbDashboard." in first and "Training continues" in first and command in first
    assert "may lack some of this run" in last and last.endswith(command)
    assert "Traceback" not in capfd.readouterr().err


def test_a_run_that_fails_does_not_wait_for_long(tmp_path, server, caplog, monkeypatch):
    monkeypatch.setattr(wandb_run, "SECONDS_TO_FINISH", 1000)
    server.hangs = False

    def fail() -> None:
        server.hangs = True
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(tmp_path, At(2, fail))
    assert "may lack some" in warnings(caplog)[-1]


def test_a_start_that_fails_leaves_one_run(tmp_path, server, capsys, monkeypatch):
    monkeypatch.setattr(wandb_run, "SECONDS_TO_START", 1)
    server.hangs = True
    train(tmp_path)
    (folder,) = (tmp_path / "wandb").glob("*run-*")
    said = capsys.readouterr().out
    assert folder.name.startswith("offline-run-") and said.endswith(f"    wandb sync {folder}\n")
    assert said.startswith("Weights & Biases is offline: a run could not be started there (")


def test_without_wandb_core(tmp_path, server, caplog, monkeypatch):
    monkeypatch.setattr("wandb.init", lambda **options: Path("/no/such/file").read_bytes())
    assert train(tmp_path).global_step == 4
    assert re.search("Weights & Biases cannot be used .*No such file", *warnings(caplog))


def test_a_project_of_a_name_that_wandb_refuses(tmp_path, nobody):  # noqa: F811
    with pytest.raises(ValueError, match=r"^project=team/project .*entity"):
        wandb_logger(tmp_path / "run", {}, [SCORE], project="team/project")
    assert not (tmp_path / "run").exists()


class Broken(CSVLogger):
    """Of a user's own."""

    def log_metrics(self, *args: Any, **kwargs: Any) -> None:
        raise ConnectionError("no\nroute")

    log_text = log_metrics

    def finalize(self, status: str) -> None:
        raise KeyError(status)


def test_any_logger(tmp_path, caplog):
    logger = tolerated(Broken(tmp_path), remedy="Look after it.")
    assert isinstance(logger, Broken)
    trainer = fit(tmp_path, logger=logger, log_every_n_steps=1, max_steps=3)
    logger.log_text("name")
    assert trainer.global_step == 3
    (warning,) = warnings(caplog)
    assert warning.startswith("Broken.log_metrics failed (ConnectionError: no route).")
    assert warning.endswith(" Look after it.")


def test_what_is_no_failure_passes(tmp_path):
    class Interrupted(CSVLogger):
        def log_metrics(self, *args: Any, **kwargs: Any) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tolerated(Interrupted(tmp_path)).log_metrics({})


@pytest.mark.parametrize("name", ["csv", "tensorboard"])
def test_loggers_of_files_that_cannot_be_written(tmp_path, caplog, name):
    (tmp_path / name).write_text("in the way")
    assert train(tmp_path, name=name).global_step == 4
    (warning,) = warnings(caplog)
    assert "failed (" in warning
