"""``task=export``: writes the model without pickle or training state."""

from pathlib import Path

import torch
from omegaconf import DictConfig

from pixelcnn.checkpoint import export, load, read
from pixelcnn.configuration.description import require_agreement
from pixelcnn.configuration.groups import trusted_packages
from pixelcnn.released import push


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> None:
    """Write ``model.safetensors`` and the training run's ``config.yaml``; ``pixelcnn.load(run_dir)`` opens them."""
    model = load(config.checkpoint, trusted_packages(config))
    require_agreement(model.description, config.checkpoint, config, overrides)
    stored = read(config.checkpoint)["pixelcnn"]
    options = config.task
    dtype = None if options.dtype is None else getattr(torch, options.dtype)
    export(model, stored["config"], run_dir, stored.get("data"), dtype)
    if options.push is not None:
        push(run_dir, options.push)
