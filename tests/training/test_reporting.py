"""Every ending of a run leaves a report that tells it."""

import html
import os
import signal
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Callback

from pixelcnn.report.training import Start
from pixelcnn.training import reporting
from pixelcnn.training.history import History
from pixelcnn.training.record import run_record, write_record
from pixelcnn.training.reporting import RunReport, sample_grids
from pixelcnn.training.samples import SampleGrid
from pixelcnn.training.validation_images import ValidationImages
from tests.report.run_of import CONFIG
from tests.training.test_interruption import CtrlC, interruption
from tests.training.tiny import StopAt, checkpoint_of, fit, read


def train(run_dir: Path, *callbacks: Callback, **options) -> None:
    run_dir.mkdir(exist_ok=True)
    write_record(run_dir / "run.json", run_record(torch.nn.Linear(2, 3), torch.device("cpu")))
    history = History("val/bits_per_dim", run_dir)
    report = RunReport(run_dir, history, ["seed=1"], CONFIG)
    fit(run_dir, *callbacks, ValidationImages(2), history, report, interruption(run_dir), **options)


def report_in(run_dir: Path) -> str:
    """What is on the page."""
    assert [path.name for path in run_dir.glob(".*")] == []
    return html.unescape((run_dir / "report.html").read_text())


def report_of(run_dir: Path, *callbacks: Callback, **options) -> str:
    """What is on the page after a run with these callbacks."""
    train(run_dir, *callbacks, **options)
    return report_in(run_dir)


class Breaks(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer, *args):
        if trainer.global_step == self.step:
            raise RuntimeError("a <wire> is loose")


class ToldToLeave(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer, *args):
        if trainer.global_step == self.step - 1:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("callbacks", "options", "state", "sentence"),
    [
        ([], {"max_epochs": 2}, "Finished", "8 steps of trainer.max_epochs"),
        ([], {"max_steps": 6}, "Finished", "6 steps of trainer.max_steps"),
        ([], {"max_steps": 0}, "Finished", "All 0 steps"),
        ([], {"max_epochs": 1000, "max_time": {"milliseconds": 1}}, "Out of time", "trainer.max_time"),
        ([CtrlC(6)], {"max_epochs": 3}, "Interrupted", "Ctrl-C ended it after 6 steps."),
        ([StopAt(5)], {"max_epochs": 3}, "Stopped early", "A callback ended it after 5 steps."),
    ],
)
def test_how_a_run_ended_is_told(tmp_path, handler, callbacks, options, state, sentence):
    page = report_of(tmp_path, *callbacks, **options)
    assert f">{state}</span>" in page and sentence in page
    assert "Histogram of bits/dim of an image of 7 images" in page and page.count('alt="Image ') == 4


@pytest.mark.parametrize(
    ("callback", "error", "state", "sentence"),
    [
        (Breaks(5), RuntimeError, "Failed", "It ended after 5 steps by RuntimeError: a <wire> is loose"),
        (CtrlC(6, times=2), SystemExit, "Stopped", "It ended after 5 steps by KeyboardInterrupt"),
        (ToldToLeave(6), SystemExit, "Stopped", "SIGTERM stopped it after 6 steps"),
    ],
)
def test_a_run_that_breaks_leaves_what_it_knew(tmp_path, handler, callback, error, state, sentence):
    with pytest.raises(error):
        train(tmp_path, callback, max_epochs=3)
    page = report_in(tmp_path)
    assert f">{state}</span>" in page and sentence in page
    assert "The best score on the validation images, at step 4." in page and "bits/dim against steps" in page


def test_a_run_that_goes_on_is_reported_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setattr(reporting, "SECONDS_BETWEEN_REPORTS", 0)
    seen = []

    class Look(Callback):
        def on_train_batch_start(self, trainer, *args):
            if (tmp_path / "report.html").exists():
                seen.append((trainer.global_step, (tmp_path / "report.html").read_text()))

    report_of(tmp_path, Look(), max_steps=6)
    assert [step for step, _ in seen] == [4, 5]
    assert ">Running</span>" in seen[0][1] and "at step 4." in seen[0][1]


def test_a_report_that_cannot_be_written_ends_no_run_that_goes_on(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(reporting, "SECONDS_BETWEEN_REPORTS", 0)
    (tmp_path / "report.html").mkdir()  # in the way of the file
    with pytest.raises(IsADirectoryError):
        train(tmp_path, max_steps=6)
    assert "report.html could not be written" in caplog.text
    assert read(tmp_path)["global_step"] == 6


def test_a_resumed_run_shows_all_of_it(tmp_path):
    for name, options in (
        ("first", {"max_steps": 6}),
        ("second", {"max_steps": 10, "checkpoint": checkpoint_of(tmp_path / "first")}),
    ):
        samples = SampleGrid(tmp_path / name, every_n_epochs=1, num_samples=1)
        page = report_of(tmp_path / name, samples, **options)
    assert [step for step in range(11) if f"Samples after {step} steps" in page] == [4, 6, 8, 10]
    assert "resumed at step 6" in page and f"from {tmp_path / 'first'}" in page
    assert "<dt>Images seen</dt><dd>80</dd>" in page and "<dt>Epochs</dt><dd>2</dd>" in page


def test_grids_are_those_of_the_parts_that_count(tmp_path):
    for name, steps in (("a", [100, 200, 300]), ("b", [200, 250, 900])):
        (tmp_path / name / "samples").mkdir(parents=True)
        for step in steps:
            (tmp_path / name / "samples" / f"step={step:06d}.png").touch()
    (tmp_path / "b" / "samples" / "step=x.png").touch()
    starts = [Start(0, "", str(tmp_path / "a")), Start(200, "", str(tmp_path / "b"))]
    grids = sample_grids(starts, tmp_path / "b", 250)
    assert [(step, path.parent.parent.name) for step, path in grids] == [(100, "a"), (200, "b"), (250, "b")]
    assert sample_grids([], tmp_path / "none", 5) == []
