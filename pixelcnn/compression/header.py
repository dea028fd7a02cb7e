"""The header of an archive: its contents, and everything that the rounding of its floats depends on."""

import hashlib
import json
import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

import torch

from pixelcnn.errors import UserError
from pixelcnn.model import PixelModel
from pixelcnn.weights_hash import weights_hash

MAGIC, FORMAT = b"PXC\x89", 3
# After the magic and the format: hash of the model; images, channels, height, width, levels - 1; batch size, threads;
# the kind of conditions; length of the text that follows, "dtype;torch version;device". Then the CRC-32 of all.
FIXED = struct.Struct("<4sB16sQHIIHIHBB")
CRC = struct.Struct("<I")
# Kinds of conditions: given again for decompression, or stored.
NONE, GIVEN, LABELS, FEATURES, MAPS, CODES, SEVERAL, FEATURES_OF_SEVERAL = range(8)
MOST_TEXT = 96


@dataclass(frozen=True)
class Header:
    """The header, at most 150 bytes."""

    model: bytes  # of 16
    num_images: int
    channels: int
    height: int
    width: int
    levels: int
    batch_size: int
    threads: int
    conditions: int
    dtype: str
    torch: str
    device: str

    @classmethod
    def of(
        cls, model: PixelModel, num_images: int, height: int, width: int, batch_size: int, conditions: int
    ) -> "Header":
        """The header of an archive that ``model`` writes on this machine."""
        weight, shape = next(model.parameters()), model.image
        description = json.dumps(model.description.to_dict(), sort_keys=True)
        return cls(
            model=hashlib.sha256(f"{description} {weights_hash(model)}".encode()).digest()[:16],
            num_images=num_images,
            channels=shape.channels,
            height=height,
            width=width,
            levels=shape.levels,
            batch_size=batch_size,
            threads=torch.get_num_threads(),
            conditions=conditions,
            dtype=str(weight.dtype).removeprefix("torch."),
            torch=torch.__version__,
            device=_name_of(weight.device),
        )

    def to_bytes(self) -> bytes:
        """The header as stored, with its checksum."""
        return self._content() + CRC.pack(self.crc)

    @property
    def crc(self) -> int:
        """CRC-32 of all fields."""
        return zlib.crc32(self._content())

    def _content(self) -> bytes:
        text = f"{self.dtype};{self.torch};{self.device}".encode()[:MOST_TEXT]
        numbers = (self.num_images, self.channels, self.height, self.width, self.levels - 1, self.batch_size)
        return FIXED.pack(MAGIC, FORMAT, self.model, *numbers, self.threads, self.conditions, len(text)) + text

    @classmethod
    def read(cls, file: BinaryIO, named: str) -> "Header":
        """Read the header of ``file``. UserError, starting with ``named``, if it is not a complete header."""
        fixed = file.read(FIXED.size)
        if fixed[: len(MAGIC)] != MAGIC[: len(fixed)] or len(fixed) <= len(MAGIC):
            raise UserError(f"{named} is not an archive of this project: give a file that task=compress wrote.")
        if fixed[len(MAGIC)] != FORMAT:
            raise UserError(
                f"{named} has format {fixed[len(MAGIC)]} instead of {FORMAT}: use the version of this project that "
                "wrote it, unless it is damaged."
            )
        if len(fixed) < FIXED.size:
            raise cut_short(named)
        _, _, model, n, channels, height, width, levels, batch_size, threads, conditions, length = FIXED.unpack(fixed)
        text, crc = file.read(length), file.read(CRC.size)
        if len(text) < length or len(crc) < CRC.size:
            raise cut_short(named)
        if CRC.pack(zlib.crc32(fixed + text)) != crc:
            raise UserError(f"{named} has a damaged header: use another copy.")
        dtype, version, device = text.decode().split(";", 2)
        return cls(
            model, n, channels, height, width, levels + 1, batch_size, threads, conditions, dtype, version, device
        )

    def require_same(self, here: "Header", named: str, force: bool) -> None:
        """Raise UserError if the model, or without ``force`` the machine or its versions, differ from ``here``."""
        told = f"{named} holds images of {self.channels} channels with {self.levels} levels"
        if (self.channels, self.levels) != (here.channels, here.levels):
            raise UserError(
                f"{told}, and this is a model of {here.channels} with {here.levels}: give the model that compressed it."
            )
        if force:
            return
        if self.model != here.model:
            raise UserError(
                f"{named} was compressed by another model: give that checkpoint, or try this one with task.force=true "
                "(in Python force=True)."
            )
        names = ("dtype", "torch", "device", "threads")
        there = {name: (getattr(self, name), getattr(here, name)) for name in names}
        differing = [f"{name} {was} instead of {now}" for name, (was, now) in there.items() if was != now]
        if differing:
            raise UserError(
                f"{named} was compressed with {', '.join(differing)}, which may round differently: decompress it under "
                "the same conditions, or try with task.force=true (in Python force=True)."
            )


def cut_short(named: str) -> UserError:
    """The error for a truncated file."""
    return UserError(f"{named} is cut short: use a whole copy.")


def _name_of(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} {torch.backends.cpu.get_cpu_capability()}"
