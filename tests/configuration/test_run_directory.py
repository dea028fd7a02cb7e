"""A run's directory is not given to another one, unless that goes on with it; a refused run changes no file in it."""

import os
import signal
import time

import pytest
from omegaconf import OmegaConf

from pixelcnn.configuration import run_directory
from pixelcnn.configuration.run_directory import RESULTS, occupied, require_free
from pixelcnn.errors import UserError


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


def test_one_process_at_a_time_is_in_a_directory(tmp_path, at_once):
    inside = os.pipe()
    child = os.fork()
    if child == 0:
        with occupied(tmp_path):
            os.write(inside[1], b"in")
            time.sleep(100)
    os.read(inside[0], 2)
    told = f"hydra.run.dir={tmp_path} is the directory of a run that is still going on"
    with pytest.raises(UserError, match=told), occupied(tmp_path):
        pass
    os.kill(child, signal.SIGKILL)  # leaves nothing that would keep another one out
    os.waitpid(child, 0)
    for _ in range(2):
        with occupied(tmp_path):
            pass


def test_a_run_that_leaves_is_waited_for(tmp_path):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with occupied(tmp_path):
            os.write(writing, b"in")
            time.sleep(0.5)
        os._exit(0)
    os.read(reading, 2)
    with occupied(tmp_path):
        assert os.waitpid(child, 0)[1] == 0
