"""One command starts a run, and resumes it wherever it was stopped."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from pixelcnn.launch.resumption import directory_of_run
from pixelcnn.training.throughput import TIMED
from tests.tasks.conftest import TINY
from tests.tasks.test_distributed import TWO, exit_codes_of_two
from tests.tasks.test_train import weights

TERM = "trainer.callbacks=[{{_target_: tests.faults.Told, rank: {rank}, step: 7}}]"


@pytest.mark.slow
def test_the_same_command_starts_and_goes_on(arrays, call, trained, tmp_path, capsys):
    keys = (*arrays, *TINY, "checkpoint=last", f"hydra.run.dir={tmp_path}")
    call(*keys, "trainer.max_steps=7")
    call(*keys, "trainer.max_epochs=3")
    resumed, whole = (weights(run / "checkpoints/last.ckpt") for run in (tmp_path, trained))
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())
    call(*keys, "trainer.max_epochs=3")  # finished
    assert json.loads((tmp_path / "metrics.json").read_text())["step"] == 15


def test_weights_to_start_from_count_once(arrays, call, trained, tmp_path):
    best = trained / "checkpoints/best.ckpt"
    keys = (*arrays, "logger=none", "callbacks.samples.num_samples=2", "checkpoint=last", f"hydra.run.dir={tmp_path}")
    call(*keys, f"init_from={best}", "trainer.max_steps=1")
    call(*keys, f"init_from={best}", "trainer.max_steps=3")
    assert torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 3


@pytest.mark.slow
def test_a_damaged_one_is_passed_over(arrays, call, tmp_path):
    keys = (*arrays, *TINY, "checkpoint=last", f"hydra.run.dir={tmp_path}")
    call(*keys, "trainer.max_steps=3")
    last = tmp_path / "checkpoints/last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    call(*keys, "trainer.max_steps=4")
    assert torch.load(last, weights_only=True)["global_step"] == 4
    for path in last.parent.iterdir():
        path.write_bytes(b"")
    with pytest.raises(SystemExit, match=r"checkpoint=last .*/checkpoints"):
        call(*keys, "trainer.max_steps=5")


def test_only_training_knows_its_last_checkpoint(arrays, call, tmp_path):
    with pytest.raises(SystemExit, match=r"checkpoint=last .*task=train"):
        call(*arrays, "task=evaluate", "checkpoint=last", f"hydra.run.dir={tmp_path}/run")


class Code:
    """What a pickle can do to whoever loads it."""

    def __reduce__(self):
        return os.mkdir, (self.directory,)


@pytest.mark.parametrize("kind", ["torch", "pickle"])
@pytest.mark.parametrize("key", ["checkpoint", "init_from"])
def test_code_in_a_checkpoint_is_not_run(arrays, call, tmp_path, kind, key):
    Code.directory = str(tmp_path / "done")
    file = tmp_path / "foreign.ckpt"
    if kind == "torch":
        torch.save({"pixelcnn": Code()}, file)
    else:
        file.write_bytes(pickle.dumps({"pixelcnn": Code()}))
    with pytest.raises(SystemExit, match=r"foreign.ckpt "):
        call(*arrays, *TINY, f"{key}={file}", f"hydra.run.dir={tmp_path}/run")
    with pytest.raises(SystemExit, match=r"foreign.ckpt "):
        call("task=sample", f"checkpoint={file}", f"hydra.run.dir={tmp_path}/sample")
    assert not Path(Code.directory).exists()
    if kind == "pickle":
        pickle.loads(file.read_bytes())  # else this shows nothing
        assert Path(Code.directory).exists()


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_one_rank_is_told_and_all_leave(arrays, call, tmp_path, capfd, rank):
    keys = (*arrays, *TINY, *TWO, "checkpoint=last", f"hydra.run.dir={tmp_path}/told", "trainer.max_epochs=3")
    codes = exit_codes_of_two(call, *keys, TERM.format(rank=rank))
    assert codes == [143, 0]
    said = capfd.readouterr().err
    assert "has died" not in said and "Traceback" not in said
    last = tmp_path / "told/checkpoints/last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 9  # the other rank learns of it a step later
    assert exit_codes_of_two(call, *keys) == [0, 0]  # rank 1 has a directory of its own
    whole = (*arrays, *TINY, *TWO, f"hydra.run.dir={tmp_path}/whole", "trainer.max_epochs=3")
    assert exit_codes_of_two(call, *whole) == [0, 0]
    resumed, expected = weights(last), weights(tmp_path / "whole/checkpoints/last.ckpt")
    assert all(torch.equal(resumed[name], value) for name, value in expected.items())


def test_directory_of_a_rank_that_has_one_of_its_own(monkeypatch):
    config = OmegaConf.create({"seed": 3})
    own = ["hydra.run.dir=/tmp/rank_x", "hydra.output_subdir=null"]
    rank = Path("/tmp/rank_x")
    assert directory_of_run(Path("/run"), ["run.py", "hydra.run.dir=/run"], config) == Path("/run")
    monkeypatch.setenv("RANK", "1")
    typed = ["run.py", "hydra.run.dir=/other", 'hydra.run.dir="/runs of ${seed}/a"']
    assert directory_of_run(rank, [*typed, *own], config) == Path("/runs of 3/a")
    assert directory_of_run(rank, ["run.py", *own], config) == rank
    assert directory_of_run(Path("/job"), ["run.py", "-m"], config) == Path("/job")


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits(arrays, tmp_path):
    """In two processes that have nothing else in common: losses, weights and samples."""
    runs = [tmp_path / name for name in ("one", "other")]
    for run, hash_seed in zip(runs, ("1", "2"), strict=True):
        keys = (*arrays, *TINY, "logger=csv", "trainer.max_steps=7", "trainer.log_every_n_steps=1")
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "run.py", *keys, f"hydra.run.dir={run}"]
        subprocess.run(command, cwd=Path(__file__).parents[2], env=environment, check=True, capture_output=True)
    one, other = (torch.load(run / "checkpoints/last.ckpt", weights_only=True) for run in runs)
    for key in ("state_dict", "current_model_state", "optimizer_states"):
        torch.testing.assert_close(one[key], other[key], rtol=0, atol=0)
    for name in ("samples/step=000007.png", "metrics.json"):
        texts = [(run / name).read_bytes() for run in runs]
        if name == "metrics.json":
            texts = [{k: v for k, v in json.loads(text).items() if k not in TIMED} for text in texts]
        assert texts[0] == texts[1]
    curves = [(run / "csv/version_0/metrics.csv").read_text().splitlines() for run in runs]
    column = curves[0][0].split(",").index("train/bits_per_dim")
    assert [line.split(",")[column] for line in curves[0]] == [line.split(",")[column] for line in curves[1]]
