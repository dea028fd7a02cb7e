"""The example repository: parts of one's own, trained from outside by the installed package."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

import pixelcnn
from pixelcnn.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "own_network"
# Runs commands one after another, as processes that have what they import already: that takes them the longest.
FORKS = """
import json, os, runpy, sys
import pixelcnn.tasks.evaluate, pixelcnn.tasks.sample, pixelcnn.tasks.train

script, commands = sys.argv[1], json.loads(sys.argv[2])
for number, arguments in enumerate(commands):
    if (child := os.fork()) == 0:
        said = os.open(f"{number}.said", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(said, 1), os.dup2(said, 2)
        sys.argv = [script, *arguments]
        runpy.run_path(script, run_name="__main__")
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([status, open(f"{number}.said").read()]), flush=True)
"""
QUICK = ("experiment=mine", "callbacks.samples=null", "trainer.val_check_interval=10", "data.num_images=64")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Where the wheel of this checkout is installed, without its dependencies."""
    folder = tmp_path_factory.mktemp("site")
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    source = shutil.copytree(
        ROOT, tmp_path_factory.mktemp("source") / "pixelcnn", ignore=shutil.ignore_patterns(".*", "tests", "outputs")
    )
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder / "wheel", source], check=True)
    (wheel,) = (folder / "wheel").glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True)
    return folder / "site"


@pytest.fixture(scope="module")
def paper(site, tmp_path_factory):
    """The example, copied away from the checkout, and what runs commands there: their statuses and what they say."""
    folder = tmp_path_factory.mktemp("elsewhere") / "paper"
    shutil.copytree(EXAMPLE, folder)
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}

    def run(*commands: Sequence[str]) -> list[tuple[int, str]]:
        program = [sys.executable, "-c", FORKS, str(site / "bin" / "pixelcnn"), json.dumps(commands)]
        done = subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        outcomes = [(status, said) for status, said in map(json.loads, done.stdout.splitlines())]
        assert not any("Traceback" in said for _, said in outcomes), outcomes
        return outcomes

    run.folder, run.environment = folder, environment  # type: ignore[attr-defined]
    return run


def final_weights(run_dir: Path) -> list[str]:
    return [rank["final_weights"] for rank in json.loads((run_dir / "run.json").read_text())["ranks"]]


def test_a_run_from_outside_is_resumed_bit_for_bit_and_its_model_needs_trust(paper, monkeypatch):
    folder = paper.folder
    mine = ("--config-dir", "conf", *QUICK)
    outcomes = paper(
        (*mine, "trainer.max_steps=20", "hydra.run.dir=whole"),
        # Stopped in between, by its own limit; the schedule is that of 20 steps.
        (*mine, "trainer.max_steps=10", "scheduler.total_iters=20", "hydra.run.dir=parts"),
        (*mine, "trainer.max_steps=20", "checkpoint=last", "hydra.run.dir=parts"),
        ("task=sample", "checkpoint=whole"),
        ("task=sample", "checkpoint=whole", "trust=[mypaper]", "task.num_samples=2", "hydra.run.dir=drawn"),
        ("task=evaluate", "checkpoint=whole", "trust=[mypaper]", "hydra.run.dir=scored"),
    )
    assert [status for status, _ in outcomes] == [0, 0, 0, 1, 0, 0], outcomes
    assert (folder / "whole/norms.txt").read_text().count("\n") == 4  # every fifth step
    assert (folder / "whole/lines.txt").exists() and (folder / "whole/csv").is_dir()
    assert final_weights(folder / "parts") == final_weights(folder / "whole")
    *_, (_, refused), (_, drawn), (_, scored) = outcomes
    assert "trust=[mypaper]" in refused and refused.count("\n") == 1
    assert "Rows" in drawn and (folder / "drawn/samples.npz").exists()
    assert "over 64 images" in scored
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(UserError, match="mypaper"):
        pixelcnn.load(folder / "whole")
    model = pixelcnn.load(folder / "whole", trust=("mypaper",))
    pixelcnn.check_causal(model)
    assert torch.equal(model.sample(2, seed=3), model.sample(2, seed=3))


def test_two_processes_sweep_two_values(paper, site):
    """By the command as a user runs it: each process of a run starts another."""
    devices = ("trainer.devices=2", "trainer.accelerator=cpu", "trainer.max_steps=4", "hydra.sweep.dir=sweep")
    command = [str(site / "bin/pixelcnn"), "--config-dir", "conf", "-m", *QUICK, *devices, "optim.lr=0.001,0.003"]
    done = subprocess.run(
        [sys.executable, *command], cwd=paper.folder, env=paper.environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stdout + done.stderr
    table = (paper.folder / "sweep/sweep.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in table] == ["optim.lr", "0.001", "0.003"]
    assert len(set(final_weights(paper.folder / "sweep/0"))) == 1
