"""``task=sample``: draws images from a model."""

from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from rich.progress import Progress
from torch import Tensor

from pixelcnn import pictures
from pixelcnn.checkpoint import load
from pixelcnn.conditioning import ClassLabels
from pixelcnn.configuration.description import require_agreement
from pixelcnn.errors import UserError
from pixelcnn.model import PixelModel
from pixelcnn.sampling import Temperature


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> None:
    """Write ``samples.png``, a grid, and ``samples.npz``: ``images`` uint8 (N, H, W, C), ``levels`` and ``labels``."""
    task = config.task
    model = load(config.checkpoint)
    require_agreement(model.description, config.checkpoint, config, overrides)
    labels, columns = labels_for(model, task.label, task.num_samples)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    images = sampled(
        model,
        task.num_samples if labels is None else len(labels),
        None if labels is None else labels.to(device),
        config.seed,
        Temperature(task.mixture_temperature, task.scale_temperature),
        task.batch_size,
    )
    pictures.save(pictures.grid(images, model.image.levels, columns), run_dir / "samples.png")
    stored = {"images": images.permute(0, 2, 3, 1).numpy(), "levels": np.array(model.image.levels)}
    if labels is not None:
        stored["labels"] = labels.numpy()
    np.savez(run_dir / "samples.npz", allow_pickle=False, **stored)


def sampled(
    model: PixelModel, n: int, condition: Tensor | None, seed: int, temperature: Temperature, batch_size: int
) -> Tensor:
    """`PixelModel.sample` with a progress bar, on the CPU."""
    batches = -(-n // batch_size)
    with Progress() as progress:
        bar = progress.add_task(f"{n} images", total=batches * model.image.height * model.image.width)
        return model.sample(n, condition, seed, temperature, batch_size, lambda: progress.advance(bar)).cpu()


def labels_for(model: PixelModel, label: int | str | None, n: int) -> tuple[Tensor | None, int | None]:
    """The labels int64 of what to draw, and the columns of its picture.

    ``label``: one class for all n images; "all" for n images of each class, a row a class; None for the classes in
    turn. Unconditional models have none. UserError where the model does not know the label.
    """
    conditioning = model.conditioning
    if not isinstance(conditioning, ClassLabels):
        if label is not None:
            raise UserError(f"task.label={label} is for class-conditional models, and this one is not: leave it out.")
        return None, None
    classes = conditioning.features
    if label is None:
        return conditioning.examples(n), None
    if label == "all":
        return torch.arange(classes).repeat_interleave(n), n
    if not isinstance(label, int) or not 0 <= label < classes:
        raise UserError(f"task.label={label} is not a class of this model: use 0 to {classes - 1}, or all.")
    return torch.full((n,), label), None
