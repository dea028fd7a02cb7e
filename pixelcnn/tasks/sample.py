"""``task=sample``: draws images from a model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from pixelcnn import pictures
from pixelcnn.checkpoint import load
from pixelcnn.configuration.description import require_agreement
from pixelcnn.configuration.groups import trusted_packages
from pixelcnn.image_shape import channels_last
from pixelcnn.model import PixelModel
from pixelcnn.tasks.conditions import arrays_of, given_condition, missing_condition, way_between
from pixelcnn.tasks.drawing import drawing


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> None:
    """Write ``samples.png``, a grid, and ``samples.npz``.

    The arrays: ``images`` (`channels_last`), ``levels``, and what they were drawn given: ``labels``, ``embeddings``,
    ``maps`` or ``codes``. ``task.interpolate_to`` draws an interpolation, in ``interpolation.png`` too.
    """
    task = config.task
    model = load(config.checkpoint, trusted_packages(config))
    require_agreement(model.description, config.checkpoint, config, overrides)
    if task.interpolate_to is None:
        n, condition, columns = conditions(model, task)
        write(model, sampled(model, condition, range(n), config), condition, columns, run_dir)
        return
    size = model.image.height, model.image.width
    ends, way = way_between(model, *size, task, torch.linspace(0, 1, task.num_samples))
    rows = task.interpolate_rows
    of_each = way.repeat(rows, *[1] * (way.ndim - 1))
    # A row by the same random numbers.
    numbers = torch.arange(rows).repeat_interleave(len(way)).tolist()
    images = sampled(model, of_each, numbers, config)
    write(model, images, of_each, len(way), run_dir)
    drawn = images.unflatten(0, (rows, len(way)))
    left, right = ([] if end.image is None else [end.image.expand_as(drawn[:, 0])[:, None]] for end in ends)
    shown = torch.cat([*left, drawn, *right], dim=1)
    pictures.save(pictures.grid(shown.flatten(0, 1), model.image.levels, shown.shape[1]), run_dir / "interpolation.png")


def conditions(model: PixelModel, task: DictConfig) -> tuple[int, Tensor | None, int | None]:
    """How many images to draw, their conditions, and the columns of their picture.

    The condition that is given, for all of ``task.num_samples``; ``task.label=all`` for so many of each class, a row
    a class; without one the classes in turn. UserError where the model needs a condition, or does not know this one.
    """
    n, conditioning = task.num_samples, model.conditioning
    classes = model.num_classes
    if task.label == "all" and classes is not None:
        return n * classes, torch.arange(classes).repeat_interleave(n), n
    given = given_condition(model, model.image.height, model.image.width, task.label, task.condition, task.image)
    if given is not None:
        return n, given.condition.repeat_interleave(n, dim=0), None
    condition = conditioning.examples(n)
    if condition is None and conditioning.batch_key is not None:
        raise missing_condition(model)
    return n, condition, None


def sampled(model: PixelModel, condition: Tensor | None, numbers: Sequence[int], config: DictConfig) -> Tensor:
    """An image for each of ``numbers``, which choose their random numbers: (N, C, H, W), on the CPU.

    With a progress bar, on the one device that ``trainer.*`` names.
    """
    n, pixels = len(numbers), model.image.height * model.image.width
    with drawing(model, config, condition, "image", n, pixels) as arguments:
        return model.sample(n, numbers=numbers, **arguments).cpu()


def write(model: PixelModel, images: Tensor, condition: Tensor | None, columns: int | None, run_dir: Path) -> None:
    """``samples.png`` and ``samples.npz``."""
    pictures.save(pictures.grid(images, model.image.levels, columns), run_dir / "samples.png")
    stored = {"images": channels_last(images, model.image.levels), "levels": np.array(model.image.levels)}
    if condition is not None:
        assert model.conditioning.batch_key is not None
        name = arrays_of(model.conditioning.batch_key)[0]
        stored["label_weights" if name == "labels" and condition.is_floating_point() else name] = condition.numpy()
    np.savez(run_dir / "samples.npz", allow_pickle=False, **stored)
