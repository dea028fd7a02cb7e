"""``task=decompress``: restores the images of an archive that ``task=compress`` wrote."""

import os
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from torch import Tensor

from pixelcnn.checkpoint import load
from pixelcnn.compression import Decompression
from pixelcnn.compression.header import Header
from pixelcnn.configuration.description import require_agreement
from pixelcnn.configuration.groups import trusted_packages
from pixelcnn.durable import replacing
from pixelcnn.errors import UserError
from pixelcnn.report.words import plural
from pixelcnn.tasks.coding import coding
from pixelcnn.tasks.conditions import given_condition


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> None:
    """Write ``images.npz``: ``images`` uint8 (N, H, W, C), ``levels``, and ``labels`` if the archive has them.

    Nothing is written unless all images match their checksums.
    """
    task, named = config.task, f"task.file={config.task.file}"
    model = load(config.checkpoint, trusted_packages(config))
    require_agreement(model.description, config.checkpoint, config, overrides)
    if not os.path.isfile(task.file):
        raise UserError(f"{named} is not a file: give the images.pxc of a run of task=compress.")
    with open(task.file, "rb") as file:
        header = Header.read(file, named)
        file.seek(0)
        size = header.height, header.width
        condition = given_condition(model, *size, task.label, task.condition, task.image)
        given = (
            None if condition is None else condition.condition.expand(header.num_images, *condition.condition.shape[1:])
        )
        pixels = -(-header.num_images // max(header.batch_size, 1)) * header.height * header.width
        with coding(model, config, "decompressing", header.num_images, pixels) as on_pixel:
            frames = Decompression(file, model, named, given, task.force, on_pixel)
            write(run_dir / "images.npz", header, frames)
    print(f"{run_dir / 'images.npz'}: {plural(header.num_images, 'image')}")


def write(path: Path, header: Header, frames: Iterable[tuple[Tensor, Tensor | None]]) -> None:
    """An .npz file of ``frames``, images and labels, of which one is in memory at a time."""
    shape = (header.num_images, header.height, header.width, header.channels)
    labels: list[np.ndarray] = []
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        with archive.open("images.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": shape})
            for images, of_images in frames:
                member.write(np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy()).tobytes())
                labels += [] if of_images is None else [of_images.numpy()]
        for name, array in {
            "levels": np.array(header.levels),
            **({"labels": np.concatenate(labels)} if labels else {}),
        }.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
