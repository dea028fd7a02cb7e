"""A run's directory is not given to another one, unless that goes on with it; a refused run changes no file in it."""

import pytest
from omegaconf import OmegaConf

from pixelcnn.configuration.run_directory import RESULTS, require_free
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
