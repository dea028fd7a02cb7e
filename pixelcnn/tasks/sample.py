"""``task=sample``: draws images from a model."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from pixelcnn import pictures
from pixelcnn.checkpoint import load
from pixelcnn.conditioning import Condition
from pixelcnn.conditioning.condition import in_each
from pixelcnn.conditioning.several import by_key, kinds_of
from pixelcnn.configuration.description import require_agreement
from pixelcnn.configuration.groups import trusted_packages
from pixelcnn.decoding import Decoder, decoder_of
from pixelcnn.image_shape import channels_last
from pixelcnn.model import PixelModel
from pixelcnn.tasks.condition_files import arrays_of
from pixelcnn.tasks.conditions import for_images, given_condition, way_between
from pixelcnn.tasks.pixel_by_pixel import drawing


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> None:
    """Write ``samples.png``, a grid, and ``samples.npz``.

    The arrays: ``images`` (`channels_last`), ``levels``, their conditions (``labels``, ``embeddings``, ``maps``,
    ``coarse`` or ``codes``), and ``decoded``, their pictures by ``task.decode``. ``task.interpolate_to`` draws an
    interpolation, also in ``interpolation.png``.
    """
    task, decoder = config.task, decoder_of(config.task.decode)
    model = load(config.checkpoint, trusted_packages(config))
    require_agreement(model.description, config.checkpoint, config, overrides)
    if task.interpolate_to is None:
        n, condition, columns = conditions(model, task)
        write(model, sampled(model, condition, range(n), config), condition, columns, run_dir, decoder)
        return
    size = model.image.height, model.image.width
    ends, way = way_between(model, *size, task, torch.linspace(0, 1, task.num_samples))
    rows = task.interpolate_rows
    of_each = in_each(way, lambda one: one.repeat(rows, *[1] * (one.ndim - 1)))
    # A row uses the same random numbers.
    numbers = torch.arange(rows).repeat_interleave(task.num_samples).tolist()
    images = sampled(model, of_each, numbers, config)
    write(model, images, of_each, task.num_samples, run_dir, decoder)
    drawn = images.unflatten(0, (rows, task.num_samples))
    left, right = ([] if end.image is None else [end.image.expand_as(drawn[:, 0])[:, None]] for end in ends)
    shown = torch.cat([*left, drawn, *right], dim=1)
    of_rows = pictures.grid_of(shown.flatten(0, 1), model.image.levels, decoder, shown.shape[1])
    pictures.save(of_rows, run_dir / "interpolation.png")


def conditions(model: PixelModel, task: DictConfig) -> tuple[int, Condition, int | None]:
    """How many images to draw, their conditions, and the columns of their picture.

    The conditions set by the task, for all of ``task.num_samples``; with ``task.label=all`` that many of each class,
    one row per class; without a label the classes in turn. UserError if a condition is missing or unknown.
    """
    size = model.image.height, model.image.width
    n, classes, label, columns = task.num_samples, model.num_classes, task.label, None
    own: dict[str, Tensor] = {}
    if label == "all" and classes is not None:
        own, n, columns, label = {"labels": torch.arange(classes).repeat_interleave(n)}, n * classes, n, None
    given = given_condition(model, *size, label, task.condition, task.image)
    for key, kind in kinds_of(model.conditioning).items():
        made = None if key in own else kind.examples(n)
        own |= {} if made is None else {key: cast(Tensor, made)}
    return n, for_images(model, given, n, own), columns


def sampled(model: PixelModel, condition: Condition, numbers: Sequence[int], config: DictConfig) -> Tensor:
    """An image for each of ``numbers``, which select the random numbers: (N, C, H, W), on the CPU."""
    n, pixels = len(numbers), model.image.height * model.image.width
    with drawing(model, config, condition, "image", n, pixels) as arguments:
        return model.sample(n, numbers=numbers, **arguments).cpu()


def write(
    model: PixelModel,
    images: Tensor,
    condition: Condition,
    columns: int | None,
    run_dir: Path,
    decoder: Decoder | None = None,
) -> None:
    """``samples.png`` and ``samples.npz``."""
    pictures.save(pictures.grid_of(images, model.image.levels, decoder, columns), run_dir / "samples.png")
    stored = {"images": channels_last(images, model.image.levels), "levels": np.array(model.image.levels)}
    if decoder is not None:
        stored["decoded"] = decoder(images).permute(0, 2, 3, 1).numpy()
    for key, one in by_key(model.conditioning, condition).items():
        name = arrays_of(key)[0]
        stored["label_weights" if name == "labels" and one.is_floating_point() else name] = one.numpy()
    np.savez(run_dir / "samples.npz", allow_pickle=False, **stored)
