"""The example repository: parts of one's own, trained from outside by the installed package."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import pixelcnn
from pixelcnn.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "own_network"
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
    """The example, copied away from the checkout, and what runs the command there."""
    folder = tmp_path_factory.mktemp("elsewhere") / "paper"
    shutil.copytree(EXAMPLE, folder)

    def run(*arguments: str, status: int = 0) -> str:
        environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(site / "bin" / "pixelcnn"), *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    run.folder = folder  # type: ignore[attr-defined]
    return run


def final_weights(run_dir: Path) -> list[str]:
    return [rank["final_weights"] for rank in json.loads((run_dir / "run.json").read_text())["ranks"]]


def test_a_run_from_outside_is_resumed_bit_for_bit_and_its_model_needs_trust(paper):
    folder = paper.folder
    mine = ("--config-dir", "conf", *QUICK)
    paper(*mine, "trainer.max_steps=20", "hydra.run.dir=whole")
    assert (folder / "whole/norms.txt").read_text().count("\n") == 4  # every fifth step
    assert (folder / "whole/lines.txt").exists() and (folder / "whole/csv").is_dir()
    # Stopped in between, by its own limit; the schedule is that of 20 steps.
    paper(*mine, "trainer.max_steps=10", "scheduler.total_iters=20", "hydra.run.dir=parts")
    paper(*mine, "trainer.max_steps=20", "checkpoint=last", "hydra.run.dir=parts")
    assert final_weights(folder / "parts") == final_weights(folder / "whole")
    refused = paper("task=sample", "checkpoint=whole", status=1)
    assert "trust=[mypaper]" in refused and refused.count("\n") == 1
    told = paper("task=sample", "checkpoint=whole", "trust=[mypaper]", "task.num_samples=2", "hydra.run.dir=drawn")
    assert "Rows" in told and (folder / "drawn/samples.npz").exists()
    told = paper("task=evaluate", "checkpoint=whole", "trust=[mypaper]", "hydra.run.dir=scored")
    assert "over 64 images" in told


def test_two_processes_sweep_two_values(paper):
    devices = ("trainer.devices=2", "trainer.accelerator=cpu", "trainer.max_steps=4")
    paper("--config-dir", "conf", "-m", *QUICK, *devices, "optim.lr=0.001,0.003", "hydra.sweep.dir=sweep")
    table = (paper.folder / "sweep/sweep.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in table] == ["optim.lr", "0.001", "0.003"]
    assert len(set(final_weights(paper.folder / "sweep/0"))) == 1


def test_python_finds_the_same(paper, monkeypatch):
    monkeypatch.syspath_prepend(paper.folder)
    with pytest.raises(UserError, match="mypaper"):
        pixelcnn.load(paper.folder / "whole")
    model = pixelcnn.load(paper.folder / "whole", trust=("mypaper",))
    pixelcnn.check_causal(model)
    assert torch.equal(model.sample(2, seed=3), model.sample(2, seed=3))
