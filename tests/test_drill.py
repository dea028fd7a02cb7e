"""The drill of ``bench/drill.py``, with few kills: a run that is killed ends as one that is not."""

import multiprocessing

import pytest

from bench.drill import differences, killed, uninterrupted
from tests.tasks.conftest import TINY, arrays, call

__all__ = ["arrays", "call"]  # fixtures

pytestmark = pytest.mark.slow


class Forked:
    """A run in a process that need not import everything again."""

    def __init__(self, call, arguments):
        self.process = multiprocessing.get_context("fork").Process(target=call, args=arguments)
        self.process.start()
        self.pid = self.process.pid

    def poll(self):
        return self.process.exitcode

    def wait(self, timeout):
        self.process.join(timeout)
        return self.process.exitcode


@pytest.fixture
def start(arrays, call):
    keys = ("trainer.max_epochs=8", "callbacks.interruption.every_n_steps=2", "model.num_filters=6", "checkpoint=last")

    def start(run_dir, *more):
        return Forked(call, (*arrays, *TINY, *keys, *more, f"hydra.run.dir={run_dir}"))

    return start


def test_three_kills_leave_no_trace(start, tmp_path):
    starting, training = uninterrupted(start, tmp_path / "whole")
    deaths = killed(start, tmp_path / "killed", 3, starting, training, seed=0)
    assert [death.kind for death in deaths] == ["while writing", "SIGKILL", "SIGTERM"]
    assert [death.status for death in deaths] in ([-9, -9, 143], [-9, -9, -15])
    assert deaths[-1].step
    assert differences(tmp_path / "whole", tmp_path / "killed") == []
    assert {path.name for path in (tmp_path / "killed/checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


def test_it_sees_differences(start, tmp_path):
    for name, seed in (("one", 0), ("other", 1)):
        start(tmp_path / name, "trainer.max_epochs=1", f"seed={seed}").wait(240)
    found = differences(tmp_path / "one", tmp_path / "other")
    assert "last.ckpt: current_model_state" in found and "metrics.json: val/bits_per_dim" in found
    assert differences(tmp_path / "one", tmp_path / "one") == []
