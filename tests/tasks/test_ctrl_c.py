"""Ctrl-C ends a run and the sweep that it is in with status 130, and what it has cut short is no result."""

import csv
import json
import signal

import pytest

from tests.tasks.conftest import TINY
from tests.tasks.test_distributed import TWO, exit_codes_of_two

THREE = ("trainer.max_epochs=3", "callbacks.samples=null")  # 15 steps


def ctrl_c(step, **options):
    given = "".join(f", {name}: {value}" for name, value in options.items())
    return f"trainer.callbacks=[{{_target_: tests.faults.CtrlC, step: {step}{given}}}]"


@pytest.fixture(autouse=True)
def handler():
    """Python's own, whatever the tests were started by; Lightning ignores the signal once a run has died of it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def interrupted(arrays, call):
    """The status of a command line that Ctrl-C ends."""

    def run(*keys):
        with pytest.raises(SystemExit) as end:
            call(*arrays, *TINY, *THREE, *keys)
        return end.value.code

    return run


def metrics(run_dir):
    return json.loads((run_dir / "metrics.json").read_text())


def table(sweep):
    with (sweep / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_run_is_marked_and_says_how_to_resume(arrays, call, interrupted, tmp_path, caplog):
    assert interrupted(ctrl_c(6), f"hydra.run.dir={tmp_path}") == 130
    left = metrics(tmp_path)
    assert left["interrupted"] is True and left["step"] == 7 and "val/bits_per_dim" in left
    *_, last = caplog.text.splitlines()
    assert last.lstrip().startswith("python run.py") and last.endswith(f"hydra.run.dir={tmp_path} checkpoint=last")
    call(*arrays, *TINY, *THREE, f"hydra.run.dir={tmp_path}", "checkpoint=last")
    left = metrics(tmp_path)
    assert left["step"] == 15 and "interrupted" not in left


def test_a_run_whose_steps_are_all_done_is_whole(interrupted, tmp_path):
    assert interrupted(ctrl_c(15, validating=True), f"hydra.run.dir={tmp_path}") == 130
    assert metrics(tmp_path)["step"] == 15 and "interrupted" not in metrics(tmp_path)


def test_a_second_one_leaves_what_was_saved_before(interrupted, tmp_path, caplog):
    assert interrupted(ctrl_c(6, times=2), f"hydra.run.dir={tmp_path}") == 130
    assert not (tmp_path / "metrics.json").exists()
    assert f"To resume from {tmp_path}/checkpoints/last.ckpt" in caplog.text


@pytest.mark.slow
def test_a_sweep_ends(interrupted, tmp_path):
    jobs = "trainer.callbacks=null," + ctrl_c(6).removeprefix("trainer.callbacks=") + ",null"
    assert interrupted(jobs, f"hydra.sweep.dir={tmp_path}", "hydra.mode=MULTIRUN") == 130
    rows = table(tmp_path)
    assert [(row["job"], row["best/val/bits_per_dim"] == "") for row in rows] == [("0", False), ("1", True)]
    assert metrics(tmp_path / "1")["interrupted"] is True and not (tmp_path / "2").exists()


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_one_rank_gets_it_and_all_end(arrays, call, tmp_path, capfd, rank):
    keys = (*arrays, *TINY, *THREE, *TWO, ctrl_c(6, rank=rank), f"hydra.run.dir={tmp_path}")
    assert exit_codes_of_two(call, *keys) == [130, 0]
    left = metrics(tmp_path)
    assert left["interrupted"] is True and left["step"] == 8  # the other rank learns of it a step later
    assert "has died" not in capfd.readouterr().err
