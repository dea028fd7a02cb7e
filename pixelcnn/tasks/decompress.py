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
from pixelcnn.image_shape import array_type, channels_last
from pixelcnn.report.words import plural
from pixelcnn.tasks.conditions import for_images, given_in
from pixelcnn.tasks.pixel_by_pixel import coding


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> None:
    """Write ``images.npz``: ``images`` (`channels_last`), ``levels``, and the archive's ``labels`` and ``coarse``.

    Nothing is written unless all images match their checksums.
    """
    task, where = config.task, f"task.file={config.task.file}"
    model = load(config.checkpoint, trusted_packages(config))
    require_agreement(model.description, config.checkpoint, config, overrides)
    if not os.path.isfile(task.file):
        raise UserError(f"{where} is not a file: give the images.pxc of a run of task=compress.")
    with open(task.file, "rb") as file:
        header = Header.read(file, where)
        file.seek(0)
        size = header.height, header.width
        named = given_in(task, model, *size)
        given = None if named is None else for_images(model, named, header.num_images, {})
        pixels = -(-header.num_images // max(header.batch_size, 1)) * header.height * header.width
        with coding(model, config, "decompressing", header.num_images, pixels) as on_pixel:
            frames = Decompression(file, model, where, given, task.force, on_pixel)
            write(run_dir / "images.npz", header, frames)
    print(f"{run_dir / 'images.npz'}: {plural(header.num_images, 'image')}")


def write(path: Path, header: Header, frames: Iterable[tuple[Tensor, dict[str, Tensor]]]) -> None:
    """An .npz file of ``frames``, images and integers, holding one frame in memory at a time."""
    shape = (header.num_images, header.height, header.width, header.channels)
    columns: dict[str, list[np.ndarray]] = {}
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        with archive.open("images.npy", "w", force_zip64=True) as member:
            descr = np.lib.format.dtype_to_descr(array_type(header.levels))
            np.lib.format.write_array_header_1_0(member, {"descr": descr, "fortran_order": False, "shape": shape})
            for images, of_images in frames:
                member.write(channels_last(images, header.levels).tobytes())
                for name, integers in of_images.items():
                    columns.setdefault(name, []).append(integers.numpy())
        of_all = {name: np.concatenate(parts) for name, parts in columns.items()}
        for name, array in {"levels": np.array(header.levels), **of_all}.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
