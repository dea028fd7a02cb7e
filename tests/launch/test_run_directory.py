"""A run's directory is not given to another one, unless that goes on with it; a refused run changes no file in it."""

import errno
import fcntl
import multiprocessing
import time

import pytest
from omegaconf import OmegaConf

from pixelcnn.errors import UserError
from pixelcnn.launch import run_directory
from pixelcnn.launch.run_directory import RESULTS, occupied, require_free


def asked(task: str = "train", checkpoint: str | None = None):
    return OmegaConf.create({"task": {"name": task}, "checkpoint": checkpoint})


@pytest.fixture
def run_dir(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    return tmp_path


@pytest.mark.parametrize("left", RESULTS)
def test_what_any_task_leaves_makes_a_run(tmp_path, left):
    (tmp_path / left).touch()
    with pytest.raises(UserError, match=rf"^hydra.run.dir={tmp_path} holds a run already, its {left} for one"):
        require_free(tmp_path, asked())


def test_a_refused_run_and_what_a_person_put_there_do_not(tmp_path):
    for name in (".hydra", "run.log", "output.txt"):
        (tmp_path / name).touch()
    require_free(tmp_path, asked())
    require_free(tmp_path / "absent", asked())


def test_training_goes_on_with_the_run_whose_checkpoint_is_there(run_dir, monkeypatch):
    last = f"{run_dir}/checkpoints/last.ckpt"
    with pytest.raises(UserError, match=f"go on with that run by checkpoint={last}"):
        require_free(run_dir, asked())
    with pytest.raises(UserError, match="holds a run already"):
        require_free(run_dir, asked(checkpoint=f"{run_dir}-other/checkpoints/last.ckpt"))
    with pytest.raises(UserError, match=r"choose another directory\.$"):
        require_free(run_dir, asked("evaluate", last))
    require_free(run_dir, asked(checkpoint=last))
    require_free(run_dir, asked(checkpoint="last"))
    monkeypatch.chdir(run_dir)
    require_free(run_dir, asked(checkpoint="checkpoints/last.ckpt"))


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(run_directory, "SECONDS_TO_LEAVE", 0)


@pytest.fixture
def stays_in(tmp_path):
    """Has another process in the directory for so many seconds."""
    fork, processes = multiprocessing.get_context("fork"), []

    def stay(seconds, is_in):
        with occupied(tmp_path):
            is_in.set()
            time.sleep(seconds)

    def start(seconds):
        is_in = fork.Event()
        processes.append(fork.Process(target=stay, args=(seconds, is_in)))
        processes[-1].start()
        assert is_in.wait(10)
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


def test_one_process_at_a_time_is_in_a_directory(tmp_path, at_once, stays_in):
    other = stays_in(100)
    told = f"hydra.run.dir={tmp_path} is the directory of a run that is still going on"
    with pytest.raises(UserError, match=told), occupied(tmp_path):
        pass
    other.kill()  # leaves nothing that would keep another one out
    other.join()
    for _ in range(2):
        with occupied(tmp_path):
            pass


def test_a_run_that_leaves_is_waited_for(tmp_path, stays_in):
    other = stays_in(0.5)
    with occupied(tmp_path):
        other.join()
        assert other.exitcode == 0


def test_a_file_system_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with occupied(tmp_path):
        pass
