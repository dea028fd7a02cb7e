"""A training run to report, made up."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pixelcnn.report.scored_images import Example, Ranking
from pixelcnn.report.training import Ending, Start, TrainingRun

RECORD = {
    "command": "python run.py 'data.root=<b>&\"x\"'",
    "directory": "/home",
    "host": "here",
    "system": "Linux",
    "device": "cpu",
    "git_revision": None,
    "versions": {"python": "3.11", "wandb": None},
    "num_parameters": 1234567,
}
CONFIG = {
    "model": {"_target_": "pixelcnn.network.PixelCNNPP"},
    "likelihood": {"_target_": "pixelcnn.likelihood.Categorical"},
    "conditioning": {"_target_": "pixelcnn.conditioning.Unconditional"},
    "data": {"_target_": "pixelcnn.data.digits.Digits", "root": "</pre><script>alert(1)</script>"},
    "trainer": {"precision": None},
}


def png(folder: Path, step: int, side: int = 20) -> tuple[int, Path]:
    """A grid of samples at ``step``."""
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(step).integers(256, size=(side, side, 3), dtype=np.uint8)).save(
        content, "PNG"
    )
    file = folder / f"step={step:06d}.png"
    file.write_bytes(content.getvalue())
    return step, file


def scored_images(n: int = 50, channels: int = 3) -> Ranking:
    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(3, channels, 8, 8), dtype=np.uint8)
    examples = [Example(i, i % 2, 1.0 + i, each) for i, each in enumerate(pixels)]
    return Ranking(rng.normal(3, 0.5, n), examples, examples[::-1])


def training_run(run_dir: Path, **changes: Any) -> TrainingRun:
    steps = range(10, 2000, 10)
    points = {
        "train/bits_per_dim": [(float(step), 3 + 5 * math.exp(-step / 200) + 0.1 * math.sin(step)) for step in steps],
        "val/bits_per_dim": [(float(step), 3 + math.exp(-step / 200)) for step in range(200, 2000, 200)],
        "lr": [(float(step), 0.001 * 0.999**step) for step in steps],
        "train/images_per_second": [(float(step), 900.0) for step in steps],
        "train/skipped_steps": [(float(step), 0.0) for step in steps],
        "val/nats_per_image": [(float(step), 6000.0) for step in range(200, 2000, 200)],  # the score again
    }
    run = {
        "run_dir": run_dir,
        "score_name": "bits_per_dim",
        "ending": Ending("Finished", "good", "All steps are done."),
        "step": 1990,
        "epochs": 4,
        "images": 127360,
        "flop": 1.5e15,
        "seconds": 6240.0,
        "skipped_steps": 0,
        "starts": [Start(0, "2026-11-24 20:00:00 UTC", str(run_dir))],
        "points": points,
        "best": (1800, 3.0001),
        "last": (1800, 3.0001),
        "validated_on": "validation images",
        "validation": scored_images(),
        "samples": [],
        "world_size": 1,
        "record": RECORD,
        "overrides": ["data=digits", "model.name=<i>"],
        "config": CONFIG,
    }
    return TrainingRun(**{**run, **changes})
