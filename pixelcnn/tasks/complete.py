"""``task=complete``: draws the unknown pixels of given images."""

from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from pixelcnn import pictures
from pixelcnn.checkpoint import load
from pixelcnn.configuration.description import require_agreement, require_conditions
from pixelcnn.configuration.groups import instantiated, trusted_packages
from pixelcnn.data.batches import Batch
from pixelcnn.errors import UserError
from pixelcnn.masks import known_pixels
from pixelcnn.model import PixelModel
from pixelcnn.orders import ALL
from pixelcnn.tasks.conditions import (
    at_levels,
    given_condition,
    missing_condition,
    named_kind,
    pixels_of,
    require_same_classes,
    way_between,
)
from pixelcnn.tasks.drawing import drawing

UNKNOWN = 0.5  # grey, as a fraction of the highest level


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> None:
    """Write ``completions.png`` and ``completions.npz``.

    A row of the picture is the masked image, its completions and the original. The arrays: ``images`` uint8
    (N K, H, W, C), K completions of each of N images in turn; ``index`` (N K,), the place of the original; ``mask``
    bool (H, W), True where known; ``log_prob`` (N K,), nats of the drawn pixels given all before each of them.
    """
    task = config.task
    model = load(config.checkpoint, trusted_packages(config))
    batch = originals(config, overrides, model)
    known = known_pixels(task.mask, *batch["images"].shape[2:])
    print_order(model, known, task.mask)
    condition = conditions_of(batch, model, task)
    if model.conditioning.sees_the_image and named_kind(task) is None:
        print(
            "conditioning=encoder: each image is completed given the code of the whole original, unknown pixels "
            "included. task.image=FILE gives the code of another, task.condition=FILE:ROW any."
        )
    repeated = {name: values.repeat_interleave(task.num_completions, dim=0) for name, values in batch.items()}
    completed, log_prob = completions(model, repeated["images"], known, condition, config)
    np.savez(
        run_dir / "completions.npz",
        images=completed.permute(0, 2, 3, 1).numpy(),
        index=repeated["index"].numpy(),
        mask=known.numpy(),
        log_prob=log_prob.numpy(),
    )
    pictures.save(side_by_side(batch["images"], known, completed, model.image.levels), run_dir / "completions.png")


def print_order(model: PixelModel, known: Tensor, mask: str) -> None:
    """Say in what order pixels are drawn if it is chosen, and whether those that are ``known`` come first in it."""
    order = model.completion_order(known).name
    if model.orders.with_first(known) is None:
        known_orders = "every order" if model.orders.name == ALL else f"the order {order}"
        print(
            f"task.mask={mask} has known pixels after unknown ones in {known_orders}: they are kept, but pixels drawn "
            f"before them, in the order {order}, are not conditioned on them."
        )
    elif model.orders.name == ALL:
        print(f"Drawing in the order {order}, in which the known pixels of task.mask={mask} come first.")


def originals(config: DictConfig, overrides: list[str], model: PixelModel) -> Batch:
    """The images to complete, with what comes with them: a file's, or the first of the test set."""
    task = config.task
    if task.file is not None:
        require_agreement(model.description, config.checkpoint, config, overrides)
        pixels = pixels_of(task.file, f"task.file={task.file}", model.image.channels)
        height, width = pixels.shape[1:]
        if height % model.stride or width % model.stride:
            raise UserError(
                f"task.file={task.file} is of {height}x{width}, and this model takes images of a height and width "
                f"divisible by {model.stride}: crop it."
            )
        return {"images": at_levels(pixels, model.image.levels)[None], "index": torch.zeros(1, dtype=torch.int64)}
    data = instantiated(config, "data")
    data.prepare_data()
    data.setup("test")
    require_agreement(model.description, config.checkpoint, config, overrides, data.shape)
    if named_kind(task) is None:
        require_conditions(model.description, f"checkpoint={config.checkpoint}", data.condition_sizes)
        require_same_classes(model, data.class_names, config.checkpoint)
    batch = data.first("test", task.num_images)
    there = len(batch["images"])
    if there < task.num_images:
        raise UserError(f"task.num_images={task.num_images} is more than there are: use at most {there}.")
    return batch


def conditions_of(batch: Batch, model: PixelModel, task: DictConfig) -> Tensor | None:
    """What the K completions of each of the N images in turn are drawn given, first axis N K.

    The condition that is given for all of them, the interpolation to another one, or the images' own.
    """
    n, k, (height, width) = len(batch["images"]), task.num_completions, batch["images"].shape[2:]
    if task.interpolate_to is not None:
        _, way = way_between(model, height, width, task, torch.linspace(0, 1, k))
        return way.repeat(n, *[1] * (way.ndim - 1))
    given = given_condition(model, height, width, task.label, task.condition, task.image)
    if given is not None:
        return given.condition.repeat_interleave(n * k, dim=0)
    if task.file is not None and model.conditioning.batch_key not in (None, *batch):
        raise missing_condition(model, f", which task.file={task.file} comes without")
    own = model.condition_in(batch)
    return None if own is None else own.repeat_interleave(k, dim=0)


def completions(
    model: PixelModel, images: Tensor, known: Tensor, condition: Tensor | None, config: DictConfig
) -> tuple[Tensor, Tensor]:
    """`PixelModel.complete` of images (N K, C, H, W), on the one device that ``trainer.*`` names, to the CPU.

    With a progress bar. Along an interpolation nothing but the condition changes, the K completions
    of an image having the same random numbers.
    """
    task, n = config.task, len(images)
    of_each = 1 if task.interpolate_to is None else task.num_completions
    numbers = torch.arange(n // of_each).repeat_interleave(of_each).tolist()
    with drawing(model, config, condition, "completion", n, known.numel()) as arguments:
        device = next(model.parameters()).device
        completed, log_prob = model.complete(images.to(device), known, numbers=numbers, **arguments)
    return completed.cpu(), log_prob.cpu()


def side_by_side(images: Tensor, known: Tensor, completed: Tensor, levels: int) -> Tensor:
    """A row for each image: masked, completions, original."""
    masked = images.clone()
    masked[:, :, ~known] = round(UNKNOWN * (levels - 1))
    completions = completed.unflatten(0, (len(images), -1))
    rows = torch.cat([masked[:, None], completions, images[:, None]], dim=1)
    return pictures.grid(rows.flatten(0, 1), levels, columns=rows.shape[1])
