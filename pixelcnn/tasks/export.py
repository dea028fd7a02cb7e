"""``task=export``: the model alone, without pickle or the state of training."""

from pathlib import Path

from omegaconf import DictConfig

from pixelcnn.checkpoint import export, load, read
from pixelcnn.configuration.description import require_agreement
from pixelcnn.configuration.groups import trusted_packages


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> None:
    """Write ``model.safetensors``, and the model's own run's ``config.yaml``; ``pixelcnn.load(run_dir)`` opens them."""
    model = load(config.checkpoint, trusted_packages(config))
    require_agreement(model.description, config.checkpoint, config, overrides)
    stored = read(config.checkpoint)["pixelcnn"]
    export(model, stored["config"], run_dir, stored.get("data"))
