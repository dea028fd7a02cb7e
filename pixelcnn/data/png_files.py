"""Small ImageNet of van den Oord et al. 2016: PNG files in a folder or an uncompressed tar, without labels."""

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixelcnn.data.folders import files_under
from pixelcnn.data.images import decode, remedy
from pixelcnn.errors import UserError
from pixelcnn.png import PNG_START

PART = 4096  # images that one process reads at once
TAR_BLOCK = 512  # bytes; a block of zeros ends an archive


@dataclass(frozen=True)
class PNGFolderPart:
    """Images of ``resolution`` x ``resolution`` in files of their own."""

    folder: Path
    names: tuple[str, ...]
    resolution: int

    def __len__(self) -> int:
        return len(self.names)

    def read(self) -> tuple[np.ndarray, None]:
        """uint8 (N, 3, H, W), grey as three equal channels; UserError names the file that is damaged or ill-sized."""
        return _decoded(self._contents(), len(self), self.resolution), None

    def _contents(self) -> Iterator[tuple[Path, bytes]]:
        for name in self.names:
            file = self.folder / name
            try:
                yield file, file.read_bytes()
            except OSError as error:
                raise UserError(f"{file} cannot be read ({error.strerror}): replace or remove it.") from error


@dataclass(frozen=True)
class TarPart:
    """Images of ``resolution`` x ``resolution`` that stand in ``tar``, each a name, its first byte and its length."""

    tar: Path
    modified: int  # nanoseconds: another archive under the same name is another source
    members: tuple[tuple[str, int, int], ...]
    resolution: int

    def __len__(self) -> int:
        return len(self.members)

    def read(self) -> tuple[np.ndarray, None]:
        """As `PNGFolderPart.read`."""
        return _decoded(self._contents(), len(self), self.resolution), None

    def _contents(self) -> Iterator[tuple[Path, bytes]]:
        with open(self.tar, "rb") as opened:
            for name, first, size in self.members:
                opened.seek(first)
                yield self.tar / name, opened.read(size)


def folder_name(split: str, resolution: int) -> str:
    """What van den Oord et al. call the images of ``split``."""
    return f"{'train' if split == 'train' else 'valid'}_{resolution}x{resolution}"


def png_source(root: Path, split: str, resolution: int) -> Path | None:
    """The folder or tar of ``split`` under ``root``; the tar where both are there, for it cannot be half unpacked."""
    folder = root / folder_name(split, resolution)
    tar = root / f"{folder.name}.tar"
    return tar if tar.is_file() else folder if folder.is_dir() else None


def png_parts(source: Path, resolution: int) -> list[PNGFolderPart | TarPart]:
    """The images of a folder or tar, in the order of their names, alike for both; UserError where there are none."""
    parts: list[PNGFolderPart | TarPart]
    if source.is_dir():
        found, _ = files_under(source, _is_image)
        names = sorted(os.path.relpath(path, source) for path in found.values())
        stretches = [tuple(names[start : start + PART]) for start in range(0, len(names), PART)]
        parts = [PNGFolderPart(source, stretch, resolution) for stretch in stretches]
    else:
        members = _members(source)
        modified = source.stat().st_mtime_ns
        starts = range(0, len(members), PART)
        parts = [TarPart(source, modified, tuple(members[start : start + PART]), resolution) for start in starts]
    if not parts:
        raise UserError(f"{source} holds no files that end in .png: put the images of the data set there.")
    return parts


def _is_image(path: str) -> bool:
    hidden = any(part.startswith(".") and part != "." for part in path.split("/"))
    return path.lower().endswith(".png") and not hidden


def _members(source: Path) -> list[tuple[str, int, int]]:
    places = {}
    try:
        with tarfile.open(source, "r:") as archive:
            end = 0
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # a million of them would fill the memory
                end = archive.offset
                if member.isfile() and _is_image(member.name):
                    places[member.name] = (member.offset_data, member.size)
        # tarfile takes a damaged header for the end.
        with open(source, "rb") as opened:
            opened.seek(end)
            whole = opened.read(TAR_BLOCK) == bytes(TAR_BLOCK)
    except tarfile.TarError as error:
        raise UserError(f"{source} is no uncompressed tar or damaged ({error}): get it anew or unpack it.") from error
    if not whole:
        raise UserError(f"{source} is cut short or damaged after {len(places):,} images: get it anew.")
    return sorted((name, first, size) for name, (first, size) in places.items())


def _decoded(contents: Iterator[tuple[Path, bytes]], count: int, resolution: int) -> np.ndarray:
    images = np.empty((count, 3, resolution, resolution), np.uint8)
    for place, (file, content) in enumerate(contents):
        if not content.startswith(PNG_START):
            raise UserError(f"{file} is no PNG file: {remedy(file)}.")
        pixels = decode(content, file, channels=3)
        if pixels.shape != images.shape[1:]:
            height, width = pixels.shape[1:]
            raise UserError(
                f"{file} is {height}x{width} where data.resolution={resolution} asks for {resolution}x{resolution}: "
                "replace or remove it, or set data.resolution."
            )
        images[place] = pixels
    return images
