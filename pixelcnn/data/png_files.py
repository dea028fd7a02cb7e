"""Small ImageNet of van den Oord et al. 2016: PNG files in a folder or an uncompressed tar, without labels."""

import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixelcnn.data.folders import files_under
from pixelcnn.data.images import decode
from pixelcnn.errors import UserError

PART = 4096  # images that one process reads at once

Member = tuple[str, int, int]  # name, first byte and length in a folder or tar; -1: the whole file


@dataclass(frozen=True)
class PNGPart:
    """Images of ``resolution`` x ``resolution`` in the folder or tar ``source``."""

    source: Path
    members: tuple[Member, ...]
    resolution: int

    def __len__(self) -> int:
        return len(self.members)

    def read(self) -> tuple[np.ndarray, None]:
        """uint8 (N, 3, H, W), grey as three equal channels; UserError names the file that is damaged or ill-sized."""
        images = np.empty((len(self), 3, self.resolution, self.resolution), np.uint8)
        in_folder = self.source.is_dir()
        for image, (name, first, size) in zip(images, self.members, strict=True):
            file = self.source / name
            with open(file if in_folder else self.source, "rb") as opened:
                opened.seek(first)
                pixels = decode(opened.read(size), file, channels=3)
            if pixels.shape != image.shape:
                height, width = pixels.shape[1:]
                raise UserError(
                    f"{file} is {height}x{width} where data.resolution={self.resolution} asks for "
                    f"{self.resolution}x{self.resolution}: replace or remove it, or set data.resolution."
                )
            image[:] = pixels
        return images, None


def folder_name(split: str, resolution: int) -> str:
    """Van den Oord et al.'s name for the images of ``split``."""
    return f"{'train' if split == 'train' else 'valid'}_{resolution}x{resolution}"


def png_source(root: Path, split: str, resolution: int) -> Path | None:
    """The folder or tar of ``split`` under ``root``; the tar if both exist, since a folder may be half unpacked."""
    folder = root / folder_name(split, resolution)
    tar = root / f"{folder.name}.tar"
    return tar if tar.is_file() else folder if folder.is_dir() else None


def png_parts(source: Path, resolution: int) -> list[PNGPart]:
    """The images of a folder or tar, ordered by name in either case; UserError if there are none."""
    if source.is_dir():
        paths = files_under(source, _is_image)[0].values()
        members = [(os.path.relpath(path, source), 0, -1) for path in paths]
    else:
        members = _in_tar(source)
    if not members:
        raise UserError(f"{source} holds no files that end in .png: put the images of the data set there.")
    members.sort()
    return [PNGPart(source, tuple(members[k : k + PART]), resolution) for k in range(0, len(members), PART)]


def _is_image(path: str) -> bool:
    hidden = any(part.startswith(".") and part != "." for part in path.split("/"))
    return path.lower().endswith(".png") and not hidden


def _in_tar(source: Path) -> list[Member]:
    """The images of an archive; the last of several with one name, as unpacking would leave."""
    found = {}
    try:
        with tarfile.open(source, "r:") as archive:
            while (member := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # a million of them would fill the memory
                if member.isfile() and _is_image(member.name):
                    found[member.name] = (member.name, member.offset_data, member.size)
            # tarfile takes a damaged header for the end; the real end is a block of zeros.
            end = tarfile.BLOCKSIZE
            archive.fileobj.seek(archive.offset)
            whole = archive.fileobj.read(end) == bytes(end)
    except tarfile.TarError as error:
        raise UserError(
            f"{source} is damaged or not an uncompressed tar ({error}): download it again or unpack it."
        ) from error
    if not whole:
        raise UserError(f"{source} is cut short or damaged after {len(found):,} images: download it again.")
    return list(found.values())
