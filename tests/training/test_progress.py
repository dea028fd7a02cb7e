import io
import logging
import re
import sys

import pytest
from hydra.utils import get_class
from omegaconf import OmegaConf
from rich.console import Console

from pixelcnn.cli import CONF
from pixelcnn.training.progress import Line, RunProgress
from tests.training.tiny import BATCHES_PER_EPOCH, Noise, checkpoint_of, fit


@pytest.fixture
def terminal(monkeypatch):
    """Has rich take standard output for a terminal of 80 columns."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")


def frames(out: str) -> list[str]:
    """What has been on a terminal's line, without colours."""
    return [frame for frame in re.split(r"[\r\n]+", re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", out)) if frame.strip()]


def test_a_line_for_each_validation_where_there_is_no_terminal(tmp_path, capsys):
    trainer = fit(tmp_path, RunProgress(), max_steps=6, enable_progress_bar=True)
    lines = capsys.readouterr().out.splitlines()
    train, val = (trainer.callback_metrics[f"{split}/bits_per_dim"].item() for split in ("train", "val"))
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1, step 4/6: ") and lines[0].endswith(" left")
    assert lines[1].startswith(f"epoch 2, step 6/6: train {train:.3f} val {val:.3f} bits/dim, ")
    assert lines[1].endswith(" images/s")


def test_epochs_are_counted_from_one_up_to_their_total_also_after_a_resumption(tmp_path, capsys):
    fit(tmp_path, RunProgress(), max_epochs=1, enable_progress_bar=True)
    fit(tmp_path, RunProgress(), max_epochs=3, checkpoint=checkpoint_of(tmp_path), enable_progress_bar=True)
    places = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert places == [f"epoch {epoch}/{of}, step {BATCHES_PER_EPOCH * epoch}" for epoch, of in ((1, 1), (2, 3), (3, 3))]


def test_on_a_terminal_a_run_is_one_line_that_is_left_whole(tmp_path, capsys, terminal):
    trainer = fit(tmp_path, RunProgress(), max_epochs=2, enable_progress_bar=True)
    out = capsys.readouterr().out
    shown = frames(out)
    assert all(len(frame) <= 80 for frame in shown) and shown[0].startswith("epoch 1/2 ")
    val = trainer.callback_metrics["val/bits_per_dim"].item()
    assert shown[-1].startswith("epoch 2/2 ") and f" val {val:.3f} bits/dim, " in shown[-1]
    assert out.count("\n") == 1


def test_a_long_run_and_all_that_is_said_of_it_fit_into_80_columns():
    line = Line("epoch 5000/5000", total=5000 * 390, images=1e-3)
    for completed in (1, 2):  # whose distance gives the rate
        line.update(line.task_ids[0], scores=["train 2.921 val 2.949 bits/dim"], completed=completed)
    console = Console(width=80, file=io.StringIO())
    console.print(line.get_renderable())
    [written] = console.file.getvalue().splitlines()
    assert re.search(r"train 2.921 val 2.949 bits/dim, [\d,.]+ images/s, [\d.]+ .+ left", written)


def test_an_evaluation_says_nothing_of_epochs(tmp_path, capsys, terminal):
    trainer = fit(tmp_path, max_steps=1)
    trainer.callbacks.append(RunProgress())
    data = Noise(batch_size=2)
    for evaluate, name in ((trainer.validate, "validation"), (trainer.test, "test")):
        trainer.lightning_module.test_step = trainer.lightning_module.validation_step
        evaluate(trainer.lightning_module, data, verbose=False)
        shown = frames(capsys.readouterr().out)
        assert shown[-1].startswith(f"{name} ") and shown[-1].endswith(" images/s") and "epoch" not in "".join(shown)


def test_what_is_logged_is_put_above_the_line(capsys, terminal):
    handler = OmegaConf.load(CONF / "config.yaml").hydra.job_logging.handlers.console["class"]
    logger = logging.Logger("a run")
    logger.addHandler(get_class(handler)(sys.stdout))
    with Line("drawing", total=2) as line:
        line.advanced()
        logger.warning("a warning")
    assert "a warning" in frames(capsys.readouterr().out)
