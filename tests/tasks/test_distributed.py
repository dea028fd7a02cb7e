"""Two processes that share a batch train as one does, however they were started, and end together."""

import csv
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.tasks.conftest import TINY

ROOT = Path(__file__).parents[2]
TWO = ("trainer.accelerator=cpu", "trainer.devices=2")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without torch.distributed"),
]


def run_py(*arguments: str, launcher: tuple[str, ...] = (sys.executable,)) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*launcher, "run.py", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


def losses(run_dir: Path) -> list[tuple[int, float]]:
    with (run_dir / "csv/version_0/metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["train/bits_per_dim"]]
    return [(int(row["step"]), float(row["train/bits_per_dim"])) for row in rows]


@pytest.fixture(scope="module")
def keys(arrays) -> tuple[str, ...]:
    """Six steps, of which the third is skipped."""
    fault = "trainer.callbacks=[{_target_: tests.faults.InfiniteLoss, batch: 2}]"
    run = ("logger=csv", "model.dropout=0", "trainer.log_every_n_steps=1", "trainer.max_steps=6")
    return (*arrays, *TINY, *run, fault)


@pytest.fixture(scope="module")
def one(keys, call, tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("one")
    call(*keys, f"hydra.run.dir={directory}")
    return directory


def assert_trained_alike(two: Path, one: Path) -> None:
    curve, curve_of_one = losses(two), losses(one)
    assert [step for step, _ in curve] == list(range(6))
    assert dict(curve) == pytest.approx(dict(curve_of_one), rel=1e-5, nan_ok=True)
    metrics, metrics_of_one = (json.loads((run / "metrics.json").read_text()) for run in (two, one))
    assert metrics["val/bits_per_dim"] == pytest.approx(metrics_of_one["val/bits_per_dim"], rel=1e-5)
    assert metrics["train/skipped_steps"] == metrics_of_one["train/skipped_steps"] == 1
    ranks, (alone,) = (json.loads((run / "run.json").read_text())["ranks"] for run in (two, one))
    assert [rank["rank"] for rank in ranks] == [0, 1] and all(rank["world_size"] == 2 for rank in ranks)
    assert {rank["initial_weights"] for rank in ranks} == {alone["initial_weights"]}
    assert len({rank["final_weights"] for rank in ranks}) == 1
    assert ranks[0]["final_weights"] != alone["initial_weights"]


def test_two_processes_train_as_one(keys, one, tmp_path):
    outcome = run_py(*keys, *TWO, f"hydra.run.dir={tmp_path}")
    assert outcome.returncode == 0, outcome.stderr
    assert_trained_alike(tmp_path, one)
    assert [path.name for path in tmp_path.glob("*.log")] == ["run.log"]
    assert outcome.stdout.splitlines()[-1] == f"Run directory: {tmp_path}"
    assert outcome.stderr == "" and "GLOBAL_RANK" not in outcome.stdout  # Lightning's notices
    for rank in json.loads((tmp_path / "run.json").read_text())["ranks"]:
        assert rank["overrides"] == [*keys, *TWO]
    last, last_of_one = (torch.load(run / "checkpoints/last.ckpt", weights_only=True) for run in (tmp_path, one))
    for key, atol in {"current_model_state": 1e-4, "state_dict": 1e-4, "optimizer_states": 1e-3}.items():
        torch.testing.assert_close(last[key], last_of_one[key], rtol=1e-3, atol=atol)


def test_processes_started_by_torchrun_share_a_directory(keys, one, tmp_path):
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    by_the_clock = f"hydra.run.dir={tmp_path}/${{now:%f}}"  # in microseconds
    outcome = run_py(*keys, *TWO, by_the_clock, launcher=torchrun)
    assert outcome.returncode == 0, outcome.stderr
    (run_dir,) = tmp_path.iterdir()
    assert_trained_alike(run_dir, one)
    assert outcome.stdout.splitlines()[-1] == f"Run directory: {run_dir}"


def one_rank(rank: int, world_size: int, port: int, call, arguments: tuple[str, ...]) -> None:
    """What a launcher starts; forked, it need not import everything again."""
    place = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "NODE_RANK": 0,
        "WORLD_SIZE": world_size,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    os.environ.update({name: str(value) for name, value in place.items()})
    call(*arguments)


def exit_codes_of_two(call, *arguments: str) -> list[int | None]:
    """Of the two processes of a run; None of one that has not ended within four minutes."""
    return exit_codes(2, 240, call, *arguments)


def exit_codes(world_size: int, seconds: float, call, *arguments: str) -> list[int | None]:
    """Of the processes of a run; None of one that has not ended within so many seconds."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    processes = [
        fork.Process(target=one_rank, args=(rank, world_size, port, call, arguments)) for rank in range(world_size)
    ]
    for process in processes:
        process.start()
    deadline = time.monotonic() + seconds
    for process in processes:
        process.join(timeout=max(0.0, deadline - time.monotonic()))
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    return codes


ENDED = (1, -signal.SIGKILL)  # by itself, or by Lightning


def died(remedy: str) -> str:
    return f"A process has died, which ends the run on all ranks: {remedy}."


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_is_killed_ends_the_run(arrays, call, tmp_path, capfd, rank):
    """Whoever has started it."""
    fault = f"trainer.callbacks=[{{_target_: tests.faults.Dies, rank: {rank}, step: 7}}]"
    arguments = (*arrays, *TINY, *TWO, fault, "trainer.max_epochs=1000", f"hydra.run.dir={tmp_path}")
    codes = exit_codes_of_two(call, *arguments)
    assert codes[rank] == -signal.SIGKILL and codes[1 - rank] == 1
    checkpoint = tmp_path / "checkpoints/last.ckpt"
    said = capfd.readouterr().err
    assert said.splitlines().count(died(f"resume it with checkpoint={checkpoint}")) == 1 and "Traceback" not in said
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 5


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_is_killed_while_others_are_busy_ends_the_run(arrays, tmp_path, rank):
    """Launched by Lightning."""
    fault = f"trainer.callbacks=[{{_target_: tests.faults.DiesAlone, rank: {rank}, step: 7}}]"
    outcome = run_py(*arrays, *TINY, *TWO, fault, "trainer.max_epochs=1000", f"hydra.run.dir={tmp_path}")
    assert outcome.returncode in ENDED
    assert outcome.stderr.splitlines() == [died(f"resume it with checkpoint={tmp_path}/checkpoints/last.ckpt")]


def test_a_rank_that_is_killed_while_it_starts_up_ends_the_run(keys, tmp_path):
    fault = "trainer.callbacks=[{_target_: tests.faults.DiesEarly}]"
    outcome = run_py(*keys, *TWO, fault, f"hydra.run.dir={tmp_path}")
    assert outcome.returncode in ENDED
    assert outcome.stderr.splitlines() == [died("there is no checkpoint yet, start it again")]


def test_ranks_that_refuse_alike_say_why_once(arrays, call, tmp_path, capfd):
    """The first one to go is no death to the other."""
    arguments = (*arrays, *TINY, *TWO, "data.batch_size=3", f"hydra.run.dir={tmp_path}")
    assert exit_codes_of_two(call, *arguments)[0] == 1
    said = capfd.readouterr().err
    assert said.count("data.batch_size=3 is out of range") == 1 and "has died" not in said


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_refuses_alone_ends_the_run(arrays, call, tmp_path, capfd, rank):
    fault = f"trainer.callbacks=[{{_target_: tests.faults.Refuses, rank: {rank}, step: 7}}]"
    arguments = (*arrays, *TINY, *TWO, fault, "trainer.max_epochs=1000", f"hydra.run.dir={tmp_path}")
    assert exit_codes_of_two(call, *arguments) == [1, 1]
    said = capfd.readouterr().err
    assert said.count("data.root=x cannot be read") == 1 and said.count("A process has died") == 1
    assert "Traceback" not in said


def test_torchrun_ends_the_others_of_a_rank_that_is_killed_while_they_are_busy(arrays, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "2")  # by default they have 30 seconds to leave
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    fault = "trainer.callbacks=[{_target_: tests.faults.DiesAlone, rank: 1, step: 7}]"
    keys = (*arrays, *TINY, *TWO, fault, "trainer.max_epochs=1000", f"hydra.run.dir={tmp_path}")
    outcome = run_py(*keys, launcher=torchrun)
    assert outcome.returncode == 1
    assert torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 5


def test_a_rehearsal_of_the_papers_recipe_on_eight_devices(arrays, call, tmp_path):
    """By processes of this CPU, with gradients accumulated: the same curve and weights as by one."""
    few = ("trainer.max_steps=2", "trainer.log_every_n_steps=1", "trainer.accumulate_grad_batches=2", "model.dropout=0")
    keys = ("experiment=cifar10", *arrays, *TINY, *few, "data.batch_size=8", "data.val_size=0", "logger=csv")
    eight = ("trainer.accelerator=cpu", "trainer.devices=8")
    codes = exit_codes(8, 300, call, *keys, *eight, f"hydra.run.dir={tmp_path}/eight")
    assert codes == [0] * 8
    call(*keys, f"hydra.run.dir={tmp_path}/one")
    curve, curve_of_one = losses(tmp_path / "eight"), losses(tmp_path / "one")
    assert len(curve) == 2 and dict(curve) == pytest.approx(dict(curve_of_one), rel=1e-5)
    ranks = json.loads((tmp_path / "eight/run.json").read_text())["ranks"]
    assert [rank["rank"] for rank in ranks] == list(range(8)) and all(rank["world_size"] == 8 for rank in ranks)
    assert len({rank["final_weights"] for rank in ranks}) == 1
    last, last_of_one = (
        torch.load(tmp_path / run / "checkpoints/last.ckpt", weights_only=True) for run in ("eight", "one")
    )
    for key, atol in {"current_model_state": 1e-4, "state_dict": 1e-4, "optimizer_states": 1e-3}.items():
        torch.testing.assert_close(last[key], last_of_one[key], rtol=1e-3, atol=atol)
