import multiprocessing

import pytest

from pixelcnn.launch import said_once as module
from pixelcnn.launch.said_once import said_once

FORK = multiprocessing.get_context("fork")
RUN = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
STEP = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"}


@pytest.fixture
def refused(monkeypatch):
    """The statuses of processes that refuse at the same time, each with a sentence and in an environment."""

    def refuse(barrier, sentence, environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with said_once():
            barrier.wait(30)
            raise SystemExit(sentence)

    def start(*processes):
        barrier = FORK.Barrier(len(processes))
        started = [FORK.Process(target=refuse, args=(barrier, *each)) for each in processes]
        for process in started:
            process.start()
        for process in started:
            process.join(60)
        return [process.exitcode for process in started]

    for name in (*RUN, *STEP, "RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    return start


@pytest.mark.parametrize("environment", [RUN, STEP])
def test_one_process_says_what_all_do(refused, capfd, environment):
    codes = refused(*(("data=x is wrong.", {**environment, "LOCAL_RANK": str(rank)}) for rank in range(4)))
    assert capfd.readouterr().err == "data=x is wrong.\n"
    assert codes[0] == 1 and sum(codes[1:]) <= 1  # one has said it


def test_each_says_its_own(refused, capfd, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_FOR_THE_OTHERS", 0)
    other = {**RUN, "MASTER_PORT": "2"}
    assert refused(("a", RUN), ("b", {**RUN, "LOCAL_RANK": "1"}), ("a", other), ("a", {})) == [1, 1, 1, 1]
    assert sorted(capfd.readouterr().err.splitlines()) == ["a", "a", "a", "b"]


def test_what_is_no_sentence_passes(monkeypatch, capfd):
    for name, value in RUN.items():
        monkeypatch.setenv(name, value)
    for code in (0, 143, None):
        with pytest.raises(SystemExit) as end, said_once():
            raise SystemExit(code)
        assert end.value.code == code
    assert capfd.readouterr().err == ""
