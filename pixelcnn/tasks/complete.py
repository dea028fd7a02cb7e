"""``task=complete``: draws the unknown pixels of given images."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from omegaconf import DictConfig
from torch import Tensor

from pixelcnn import pictures
from pixelcnn.checkpoint import load
from pixelcnn.conditioning import Condition
from pixelcnn.conditioning.condition import in_each
from pixelcnn.configuration.description import require_agreement
from pixelcnn.configuration.groups import instantiated, trusted_packages
from pixelcnn.data.batches import Batch
from pixelcnn.decoding import Decoder, decoder_of
from pixelcnn.errors import UserError
from pixelcnn.image_shape import channels_last
from pixelcnn.masks import known_pixels
from pixelcnn.model import PixelModel
from pixelcnn.orders import ALL
from pixelcnn.tasks.condition_files import at_levels, pixels_of
from pixelcnn.tasks.conditions import Given, for_images, given_in, require_own, way_between
from pixelcnn.tasks.pixel_by_pixel import drawing

UNKNOWN = 0.5  # grey, as a fraction of the highest level


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> None:
    """Write ``completions.png`` and ``completions.npz``.

    A row of the picture is the masked image, its completions and the original. The arrays: ``images``
    (N K, H, W, C), K completions of each of N images in turn; ``index`` (N K,), the place of the original; ``mask``
    bool (H, W), True where known; ``log_prob`` (N K,), nats of the drawn pixels, each given all before it;
    ``decoded``, the pictures that ``task.decode`` makes of the images.
    """
    task, decoder = config.task, decoder_of(config.task.decode)
    model = load(config.checkpoint, trusted_packages(config))
    batch, given = originals(config, overrides, model)
    known = known_pixels(task.mask, *batch["images"].shape[2:])
    print_order(model, known, task.mask)
    condition = conditions_of(batch, given, model, task)
    if model.conditioning.sees_the_image and (given is None or "images" not in given.conditions):
        print(
            "conditioning=encoder: each image is completed given the code of the whole original, unknown pixels "
            "included. For another code set task.image=FILE or task.condition=FILE:ROW."
        )
    repeated = {name: values.repeat_interleave(task.num_completions, dim=0) for name, values in batch.items()}
    completed, log_prob = completions(model, repeated["images"], known, condition, config)
    decoded = {} if decoder is None else {"decoded": decoder(completed).permute(0, 2, 3, 1).numpy()}
    stored = {"images": channels_last(completed, model.image.levels), "index": repeated["index"].numpy(), **decoded}
    stored |= {"mask": known.numpy(), "log_prob": log_prob.numpy()}
    np.savez(run_dir / "completions.npz", allow_pickle=False, **stored)
    picture = side_by_side(batch["images"], known, completed, model.image.levels, decoder)
    pictures.save(picture, run_dir / "completions.png")


def print_order(model: PixelModel, known: Tensor, mask: str) -> None:
    """Print the order of drawing if it was chosen, and whether the ``known`` pixels come first in it."""
    order = model.completion_order(known).name
    if model.orders.with_first(known) is None:
        known_orders = "every order" if model.orders.name == ALL else f"the order {order}"
        print(
            f"task.mask={mask} has known pixels after unknown ones in {known_orders}: pixels are drawn in the order "
            f"{order}, each ignoring the known pixels after it."
        )
    elif model.orders.name == ALL:
        print(f"Drawing in the order {order}, in which the known pixels of task.mask={mask} come first.")


def originals(config: DictConfig, overrides: list[str], model: PixelModel) -> tuple[Batch, Given | None]:
    """The images to complete with their conditions, from a file or the first of the test set, and the conditions that
    ``task`` sets for all of them."""
    task = config.task
    if task.file is not None:
        require_agreement(model.description, config.checkpoint, config, overrides)
        pixels = pixels_of(task.file, f"task.file={task.file}", model.image.levels, model.image.channels)
        height, width = pixels.shape[1:]
        if height % model.stride or width % model.stride:
            raise UserError(
                f"task.file={task.file} is of {height}x{width}, but this model needs a height and width divisible by "
                f"{model.stride}: crop it."
            )
        batch = {"images": at_levels(pixels, model.image.levels)[None], "index": torch.zeros(1, dtype=torch.int64)}
        return batch, given_in(task, model, height, width)
    data = instantiated(config, "data")
    data.prepare_data()
    data.setup("test")
    require_agreement(model.description, config.checkpoint, config, overrides, data.shape)
    given = given_in(task, model, data.shape.height, data.shape.width)
    require_own(model, given, data, config.checkpoint)
    batch = data.first("test", task.num_images)
    there = len(batch["images"])
    if there < task.num_images:
        raise UserError(f"task.num_images={task.num_images} is more than there are: use at most {there}.")
    return batch, given


def conditions_of(batch: Batch, given: Given | None, model: PixelModel, task: DictConfig) -> Condition:
    """The conditions of the K completions of each of the N images in turn, first axis N K.

    They are those ``given`` for all, an interpolation to another one, or the images' own.
    """
    n, k, (height, width) = len(batch["images"]), task.num_completions, batch["images"].shape[2:]
    if task.interpolate_to is not None:
        _, way = way_between(model, height, width, task, torch.linspace(0, 1, k))
        return in_each(way, lambda one: one.repeat(n, *[1] * (one.ndim - 1)))
    of_images = for_images(model, given, n, batch, f", which task.file={task.file} comes without")
    return in_each(of_images, lambda one: one.repeat_interleave(k, dim=0))


def completions(
    model: PixelModel, images: Tensor, known: Tensor, condition: Condition, config: DictConfig
) -> tuple[Tensor, Tensor]:
    """`PixelModel.complete` of images (N K, C, H, W), on the one device that ``trainer.*`` names, to the CPU.

    Along an interpolation only the condition changes: the K completions of an image use the same random numbers.
    """
    task, n = config.task, len(images)
    of_each = 1 if task.interpolate_to is None else task.num_completions
    numbers = torch.arange(n // of_each).repeat_interleave(of_each).tolist()
    with drawing(model, config, condition, "completion", n, known.numel()) as arguments:
        device = next(model.parameters()).device
        completed, log_prob = model.complete(images.to(device), known, numbers=numbers, **arguments)
    return completed.cpu(), log_prob.cpu()


def side_by_side(
    images: Tensor, known: Tensor, completed: Tensor, levels: int, decoder: Decoder | None = None
) -> Tensor:
    """A row for each image: masked, completions, original, or the pictures that ``decoder`` makes of them."""
    if decoder is not None:
        images, completed, levels = decoder(images), decoder(completed), 256
        size = images.shape[2:]
        known = F.interpolate(known[None, None].float(), size)[0, 0].bool()
    masked = images.clone()
    masked[:, :, ~known] = round(UNKNOWN * (levels - 1))
    completions = completed.unflatten(0, (len(images), -1))
    rows = torch.cat([masked[:, None], completions, images[:, None]], dim=1)
    return pictures.grid(rows.flatten(0, 1), levels, columns=rows.shape[1])
