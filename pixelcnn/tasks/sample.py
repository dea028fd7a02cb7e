"""``task=sample``: draws images from a model."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from rich.progress import track

from pixelcnn import pictures
from pixelcnn.checkpoint import load
from pixelcnn.configuration.description import require_agreement


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> None:
    """Write ``samples.png``, a grid, and ``samples.npz``, ``images`` uint8 (N, H, W, C) of 0 .. levels-1."""
    model = load(config.checkpoint)
    require_agreement(model.description, config.checkpoint, config, overrides)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    pixels = model.image.height * model.image.width

    def progress(walk: Iterator) -> Iterator:
        return track(walk, description="sampling", total=pixels)  # type: ignore[return-value]

    images = model.sample(config.task.num_samples, seed=config.seed, progress=progress).cpu()
    pictures.save(pictures.grid(images, model.image.levels), run_dir / "samples.png")
    np.savez(run_dir / "samples.npz", images=images.permute(0, 2, 3, 1).numpy(), levels=model.image.levels)
