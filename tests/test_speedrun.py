"""``bench.speedrun`` trains for a time and leaves a model that scores what it says, without Hydra or a network."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import pixelcnn
from bench import speedrun
from bench.timed_training import COOL_DOWN, WARM_UP, factor_at
from tests.bare import without

ROOT = Path(__file__).parents[1]


def test_the_learning_rate_is_a_trapezoid():
    assert factor_at(0) == 0 and factor_at(WARM_UP / 2) == pytest.approx(0.5)
    assert factor_at(WARM_UP) == factor_at(0.5) == factor_at(1 - COOL_DOWN) == 1
    assert factor_at(1 - COOL_DOWN / 4) == pytest.approx(0.25) and factor_at(1) == factor_at(1.1) == 0


def test_the_size_grows_with_the_time(monkeypatch):
    monkeypatch.setattr(speedrun, "SIZES", [(8, 1), (4, 1), (2, 1)])
    monkeypatch.setattr(speedrun, "matmul_peak", lambda *_: 1e10)
    flops = [speedrun.training_flops(speedrun.new_model(*size, 0.0, 8)) for size in speedrun.SIZES]
    needed = [images * speedrun.EPOCHS * 1000 / (speedrun.SHARE * 1e10) for images in flops]
    device = torch.device("cpu")
    sizes = [speedrun.size_for(seconds, 1000, 8, device) for seconds in (1.01 * needed[0], 1.01 * needed[1], 0)]
    assert sizes == speedrun.SIZES


@pytest.mark.slow
def test_a_run_leaves_what_it_says(tmp_path):
    rng = np.random.default_rng(0)
    for split, n in (("train", 40), ("test", 9)):
        np.savez(tmp_path / f"{split}.npz", images=rng.integers(0, 128, (n, 8, 8, 3)).astype(np.uint8))
    data = ("--data", str(tmp_path / "train.npz"), str(tmp_path / "test.npz"), "--val-images", "8")
    size = ("--minutes", "0.1", "--num-filters", "4", "--num-resnet-blocks", "1", "--batch", "4", "--samples", "2")
    command = [sys.executable, "-m", "bench.speedrun", *data, *size, "--output", str(tmp_path / "out")]
    environment = without("hydra", "omegaconf", "wandb", "rich", folder=tmp_path)
    outcome = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    assert (tmp_path / "out/samples.png").exists()
    result = json.loads((tmp_path / "out/result.json").read_text())
    assert result["images"] == 4 * result["steps"] > 0 and result["skipped_steps"] == 0
    with (tmp_path / "out/curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["seconds"]) for row in rows] == sorted(float(row["seconds"]) for row in rows)
    images = torch.from_numpy(np.load(tmp_path / "test.npz")["images"]).permute(0, 3, 1, 2)
    for name, tolerance in (("model_float32", 1e-5), ("model_bf16", 0.05)):
        with torch.no_grad():
            score = pixelcnn.load(tmp_path / "out" / name).bits_per_dim(images).mean().item()
        assert score == pytest.approx(result["test/bits_per_dim"], abs=tolerance)
