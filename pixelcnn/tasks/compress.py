"""``task=compress``: compresses images losslessly to the length that the model predicts."""

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from pixelcnn.checkpoint import load
from pixelcnn.compression import Compression
from pixelcnn.conditioning import Condition
from pixelcnn.conditioning.condition import in_each, on_device
from pixelcnn.configuration.description import require_agreement
from pixelcnn.configuration.groups import instantiated, trusted_packages
from pixelcnn.data.arrays import read_arrays
from pixelcnn.data.batches import Batch
from pixelcnn.data.images import images_in, read_images, read_pixels, unlike
from pixelcnn.durable import replacing
from pixelcnn.errors import UserError
from pixelcnn.image_shape import MOST_LEVELS
from pixelcnn.model import PixelModel
from pixelcnn.report.words import plural
from pixelcnn.tasks.conditions import for_images, given_in, require_own
from pixelcnn.tasks.pixel_by_pixel import coding
from pixelcnn.training.record import write_record


@dataclass(frozen=True)
class Source:
    """Images of one size with their labels and conditions. ``at`` reads some of them by position."""

    num_images: int
    height: int
    width: int
    at: Callable[[range], Batch]


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> None:
    """Write ``images.pxc`` and ``metrics.json``.

    The metrics: ``bits_per_dim`` of the whole file, and the model's under ``model/``; ``num_images``, ``num_bytes``
    and ``num_raw``, the number of images stored uncompressed because decoding did not reproduce them.
    """
    task = config.task
    model = load(config.checkpoint, trusted_packages(config))
    source = source_of(config, overrides, model)
    size = source.height, source.width
    given = given_in(task, model, *size)
    walked = -(-source.num_images // task.batch_size) * math.prod(size) * (2 if task.verify else 1)
    bits = 0.0
    with (
        replacing(run_dir / "images.pxc") as file,
        coding(model, config, "compressing", source.num_images, walked) as on_pixel,
    ):
        of_archive = source.num_images, *size, task.batch_size, task.verify, task.store_condition
        archive = Compression(file, model, *of_archive, on_pixel)
        for first in range(0, source.num_images, archive.frame):
            batch = source.at(range(first, min(first + archive.frame, source.num_images)))
            n = len(batch["images"])
            condition = for_images(model, given, n, batch, f", which task.file={task.file} comes without")
            archive.add(batch["images"], condition)
            bits += bits_of(model, batch["images"], condition, task.batch_size)
    result, dimensions = archive.result, source.num_images * model.image.channels * math.prod(size)
    given_code = model.conditioning.sees_the_image
    metrics = {
        "bits_per_dim": 8 * result.num_bytes / dimensions,
        f"model/{'bits_given_code' if given_code else 'bits_per_dim'}": bits / dimensions,
        "num_images": result.num_images,
        "num_bytes": result.num_bytes,
        "num_raw": result.num_raw,
    }
    write_record(run_dir / "metrics.json", metrics)
    raw = f", {plural(result.num_raw, 'image')} stored raw" if result.num_raw else ""
    print(
        f"{run_dir / 'images.pxc'}: {plural(result.num_images, 'image')} in {result.num_bytes:,} bytes, "
        f"{metrics['bits_per_dim']:.4f} bits/dim, the model's {bits / dimensions:.4f}{raw}"
    )


def source_of(config: DictConfig, overrides: list[str], model: PixelModel) -> Source:
    """The images to compress: a file's, a folder's, or a data set's."""
    task = config.task
    if task.file is not None:
        if set_data := [override for override in overrides if re.match(r"\+*data\b", override)]:
            raise UserError(f"task.file={task.file} replaces the images of {set_data[0]}: give one of the two.")
        require_agreement(model.description, config.checkpoint, config, overrides)
        return _fitting(_of_file(Path(task.file), f"task.file={task.file}", model), task.file, model)
    data = instantiated(config, "data")
    data.prepare_data()
    data.setup("test" if task.split == "test" else "validate")
    require_agreement(model.description, config.checkpoint, config, overrides, data.shape)
    given = given_in(task, model, data.shape.height, data.shape.width)
    require_own(model, given, data, config.checkpoint)
    n = data.num_images_of(task.split)
    places = data.evenly_spaced(task.split, n)
    return Source(n, data.shape.height, data.shape.width, lambda wanted: data.at(task.split, places[list(wanted)]))


def _of_file(file: Path, where: str, model: PixelModel) -> Source:
    if os.path.isdir(file):
        files, classes = images_in(file)
        classes = list(model.class_names or classes)
        return _of_images(file, files, lambda some: read_images(file, some, None, classes).at(np.arange(len(some))))
    if not os.path.isfile(file):
        raise UserError(f"{where} does not exist: give an .npz file of images, an image or a folder of images.")
    if file.suffix == ".npz":
        arrays = read_arrays(file, where, model.image.levels, codes=None)
        _, _, height, width = arrays.images.shape
        return Source(len(arrays.images), height, width, lambda wanted: arrays.at(np.array(wanted)))
    return _of_images(file.parent, [file], lambda some: read_images(file.parent, some, None, []).at(np.arange(1)))


def _fitting(source: Source, file: str, model: PixelModel) -> Source:
    """``source``, raising a UserError that names ``file`` for images that ``model`` does not take."""

    def at(wanted: range) -> Batch:
        batch = source.at(wanted)
        try:
            model.require_images(batch["images"])
        except UserError as error:
            raise UserError(f"task.file={file} does not fit: {error}") from error
        return batch

    return replace(source, at=at)


def _of_images(folder: Path, files: list[Path], read: Callable[[list[Path]], Batch]) -> Source:
    first = read_pixels(files[0], None, levels=MOST_LEVELS)
    _, height, width = first.shape

    def at(wanted: range) -> Batch:
        some = [files[place] for place in wanted]
        batch = read(some)
        shape = batch["images"].shape[1:]
        if shape != first.shape:
            raise unlike(tuple(shape), first.shape, some[0], files[0])
        return batch

    return Source(len(files), height, width, at)


@torch.no_grad()
def bits_of(model: PixelModel, images: Tensor, condition: Condition, batch_size: int) -> float:
    """-log2 p(images | condition) from the bins' masses, by the parallel walk."""
    device, nats = next(model.parameters()).device, 0.0
    for first in range(0, len(images), batch_size):
        part = images[first : first + batch_size].to(device)
        given = on_device(in_each(condition, lambda one, first=first: one[first : first + batch_size]), device)  # type: ignore[misc]
        levels = part.to(model.image.dtype)
        nats -= float(model.likelihood.log_mass(model.pixel_parameters(part, given), levels).double().sum())
    return nats / math.log(2)
