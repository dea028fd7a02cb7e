"""Loggers on a machine that is not logged in to Weights & Biases, or has no network."""

import csv
import json
import socket
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import torch
import wandb
from pytorch_lightning.loggers import CSVLogger
from wandb.proto.wandb_internal_pb2 import Record

from pixelcnn.training.logging import WandbRunId, _answers, make_logger
from pixelcnn.training.samples import SampleGrid
from tests.training.tiny import checkpoint_of, fit, picture_in, read

SCORE = "val/bits_per_dim"


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


def offline_log(run_dir):
    (log,) = (run_dir / "wandb").glob("offline-run-*/run-*.wandb")
    return log


def records(log):
    """What an offline run wrote: LevelDB's log format, of blocks of 32768 bytes, after a header of 7."""
    data, position, record = log.read_bytes(), 7, b""
    while position < len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        record += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield Record.FromString(record)
            record = b""


def config_of(logged):
    return {item.key: json.loads(item.value_json) for record in logged for item in record.run.config.update}


def test_not_logged_in_is_offline(tmp_path, nobody, capsys):
    run_dir = tmp_path / "run"
    with make_logger("wandb", run_dir, config={"data": {"batch_size": 8765}}, minimised=SCORE) as logger:
        samples = SampleGrid(run_dir / "samples", 1, num_samples=2, seed=0)
        trainer = fit(run_dir, samples, logger=logger, log_every_n_steps=1, max_steps=2)
        assert wandb.run is not None
    assert wandb.run is None
    said = capsys.readouterr().out
    assert "not logged in" in said and f"wandb sync {offline_log(run_dir).parent}" in said
    wandb.teardown()  # its service writes the log in the background
    logged = list(records(offline_log(run_dir)))
    history = [{item.nested_key[0]: item.value_json for item in record.history.item} for record in logged]
    assert [float(row["lr"]) for row in history if "lr" in row] == pytest.approx([0.009, 0.0081])
    (val,) = (float(row["val/bits_per_dim"]) for row in history if "val/bits_per_dim" in row)
    assert val == trainer.callback_metrics["val/bits_per_dim"].item()
    assert [record.metric.name for record in logged if record.metric.summary.min] == ["val/bits_per_dim"]
    assert {"data": {"batch_size": 8765}}.items() <= config_of(logged).items()
    (picture,) = (run_dir / "wandb").glob("offline-run-*/files/media/images/samples_*.png")
    assert torch.equal(picture_in(picture), picture_in(run_dir / "samples" / "step=000002.png"))


def test_key_without_a_server_is_offline(tmp_path, nobody, capsys):
    nobody.setenv("WANDB_API_KEY", "0123456789" * 4)
    nobody.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    with make_logger("wandb", tmp_path / "run", config={}, minimised=SCORE):
        pass
    assert "http://127.0.0.1:9 does not answer" in capsys.readouterr().out
    assert offline_log(tmp_path / "run").exists()


def test_malformed_key_is_offline(tmp_path, nobody, capsys):
    nobody.setenv("WANDB_API_KEY", "short")
    nobody.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    with make_logger("wandb", tmp_path / "run", config={}, minimised=SCORE):
        pass
    assert offline_log(tmp_path / "run").exists()


def test_failing_run_is_finished(tmp_path, nobody):
    with pytest.raises(ZeroDivisionError), make_logger("wandb", tmp_path / "run", config={}, minimised=SCORE):
        raise ZeroDivisionError
    assert wandb.run is None


def test_csv_holds_the_curves(tmp_path):
    with make_logger("csv", tmp_path, config={}, minimised=SCORE) as logger:
        assert isinstance(logger, CSVLogger)
        trainer = fit(tmp_path, logger=logger, log_every_n_steps=1, max_steps=3)
    with open(tmp_path / "csv" / "version_0" / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert len([row for row in rows if row["train/bits_per_dim"]]) == 3
    (val,) = (float(row["val/bits_per_dim"]) for row in rows if row["val/bits_per_dim"])
    assert val == trainer.callback_metrics["val/bits_per_dim"].item()


def test_none_is_no_logger(tmp_path):
    with make_logger("none", tmp_path, config={}, minimised=SCORE) as logger:
        assert logger is False
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("status", "expected"), [(200, True), (404, True), (502, False)])
def test_a_server_answers(status, expected):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert _answers(f"http://127.0.0.1:{server.server_port}", seconds=5) is expected
        server.shutdown()


def test_a_silent_server_does_not_answer():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert _answers(f"http://127.0.0.1:{server.getsockname()[1]}", seconds=0.3) is False


def test_a_resumed_run_is_the_same_one(tmp_path, nobody):
    """Recorded in its checkpoints, it goes on with its id; offline that is the name of its directories too."""
    ids = []
    checkpoint, run_id = None, None
    for stop in (2, 5):
        with make_logger("wandb", tmp_path, {}, SCORE, run_id=run_id) as logger:
            fit(tmp_path, WandbRunId(), checkpoint=checkpoint, logger=logger, log_every_n_steps=1, max_steps=stop)
        checkpoint = checkpoint_of(tmp_path)
        run_id = read(tmp_path)["wandb_run_id"]
        ids.append(run_id)
    logs = sorted((tmp_path / "wandb").glob("offline-run-*/run-*.wandb"))
    assert [log.stem for log in logs] == [f"run-{run_id}"] * 2 and ids == [run_id] * 2
    steps = [[int(step) for record in records(log) for step in steps_in(record)] for log in logs]
    assert steps == [[0, 1], [2, 3, 4]]


def steps_in(record):
    """The steps of training that a record of a history has."""
    values = {item.key or ".".join(item.nested_key): item.value_json for item in record.history.item}
    return [values["trainer/global_step"]] if "lr" in values else []
