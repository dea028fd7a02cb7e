"""The archive: a header, then frames, each of enough images that its own overhead is negligible.

A frame is

    length of the body, body, CRC-32

and a body is

    twice the number of images, plus one if they are raw; their conditions, unless they are integers or not stored; the
    range coder's stream of these integers and of levels; the levels themselves, if raw; the CRC-32 of each image's
    levels

Integers have 32 bits, little-endian. A frame is raw if decoding it did not reproduce its images. Each CRC-32 continues
the previous frame's, and the first one the header's, so a frame is valid only at its own position.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from pixelcnn.compression import conditions
from pixelcnn.compression.coding import Coding, Decoder, Encoder
from pixelcnn.compression.header import CRC, GIVEN, NONE, Header, cut_short
from pixelcnn.conditioning import Condition
from pixelcnn.conditioning.condition import in_each
from pixelcnn.errors import UserError
from pixelcnn.image_shape import array_type, tensor_type
from pixelcnn.model import PixelModel
from pixelcnn.sampling.walk import in_evaluation

NUMBER = struct.Struct("<I")
FRAME = 2**20  # sub-pixels, or a batch if that is more

OnPixel = Callable[[], object]


@dataclass
class Compressed:
    """The result of compressing."""

    num_images: int = 0
    num_raw: int = 0
    num_bytes: int = 0


class _Batches:
    """Codes images in batches of ``batch_size``, the last one possibly smaller, and caches one walk at a time."""

    def __init__(self, model: PixelModel, batch_size: int, on_pixel: OnPixel) -> None:
        self.model, self.batch_size, self.on_pixel = model, batch_size, on_pixel
        weight = next(model.parameters())
        self.device, self.dtype = weight.device, weight.dtype
        self._coding: Coding | None = None

    def code(self, images: Tensor, h: Tensor | None, coder: Encoder | Decoder) -> Tensor:
        """Encode ``images`` (N, C, H, W), or decode as many. Returns the coded images, on the CPU."""
        coded, orders = [], self.model.orders
        read = orders.chosen(None)
        for first in range(0, len(images), self.batch_size):
            part = slice(first, first + self.batch_size)
            batch, features = orders.shown(
                images[part].to(self.device, copy=True), None if h is None else h[part], read, self.dtype
            )
            if self._coding is None or self._coding.n != len(batch):
                self._coding = None  # frees its caches first
                self._coding = Coding(self.model.network, self.model.likelihood, *batch.shape)
            self._coding.code(batch, features, coder, self.on_pixel)
            coded.append(read.back(batch).cpu())
        return torch.cat(coded)


@dataclass
class Compression:
    """Writes an archive of ``num_images`` images of one size to ``file``. Call `add` with consecutive parts of them."""

    file: BinaryIO
    model: PixelModel
    num_images: int
    height: int
    width: int
    batch_size: int = 64
    verify: bool = True
    store_conditions: bool = True
    on_pixel: OnPixel = lambda: None
    result: Compressed = field(default_factory=Compressed)

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UserError(f"batch_size={self.batch_size} is out of range: use a positive number of images.")
        if not self.model.likelihood.has_density:
            name = self.model.description.likelihood.name
            raise UserError(
                f"likelihood={name} has no density, which compression needs: use a model with another likelihood."
            )
        self._batches = _Batches(self.model, self.batch_size, self.on_pixel)
        self._kind: int | None = None
        self._crc = 0

    @property
    def frame(self) -> int:
        """Images per frame, a multiple of the batch size. `add` is most efficient with this many at a time."""
        dimensions = self.model.image.channels * self.height * self.width
        return self.batch_size * max(1, FRAME // (self.batch_size * dimensions))

    def add(self, images: Tensor, condition: Condition = None) -> None:
        """Compress the next images, (N, C, H, W), with their conditions. Each call starts a new frame.

        UserError for images or conditions that the model does not take.
        """
        self.model.require_images(images)
        assert images.shape[2:] == (self.height, self.width)
        with in_evaluation(self.model):
            h = conditions.features_of(self.model, condition, images)
        if self._kind is None:
            self._kind = conditions.kind_of(self.model, condition, self.store_conditions)
            sizes = (self.num_images, self.height, self.width, self.batch_size)
            header = Header.of(self.model, *sizes, self._kind)
            self._write(header.to_bytes())
            self._crc = header.crc
        images = images.cpu().to(self.model.image.dtype)
        with in_evaluation(self.model), torch.no_grad():
            for first in range(0, len(images), self.frame):
                part = slice(first, first + self.frame)
                self._add_frame(images[part], *_of_part(part, h, condition))
        self.result.num_images += len(images)

    def _add_frame(self, images: Tensor, h: Tensor | None, condition: Condition) -> None:
        """Write one frame. If decoding does not reproduce it, split it in half, or store a single image raw."""
        encoder = Encoder()
        stored = self._conditions(h, condition, encoder)
        self._batches.code(images, h, encoder)
        stream = encoder.to_bytes()
        if not self.verify or self._comes_back(images, h, stream):
            self._write_frame(images, stored + stream, raw=False)
            return
        n = len(images)
        if n > 1:
            middle = -(-n // self.batch_size) // 2 * self.batch_size or n // 2
            for part in (slice(middle), slice(middle, n)):
                self._add_frame(images[part], *_of_part(part, h, condition))
            return
        only_labels = Encoder()
        stored = self._conditions(h, condition, only_labels)
        levels = b"".join(stored_levels(images, self.model.image.levels))
        self._write_frame(images, stored + only_labels.to_bytes() + levels, raw=True)
        self.result.num_raw += 1

    def _conditions(self, h: Tensor | None, condition: Condition, encoder: Encoder) -> bytes:
        assert self._kind is not None
        return conditions.stored(self._kind, h, condition, encoder, self.model)

    def _comes_back(self, images: Tensor, h: Tensor | None, stream: bytes) -> bool:
        decoder = Decoder(stream)
        assert self._kind is not None
        conditions.integers(self._kind, decoder, len(images), self.model)
        try:
            return torch.equal(self._batches.code(torch.zeros_like(images), h, decoder), images)
        except INVALID:
            return False

    def _write_frame(self, images: Tensor, content: bytes, raw: bool) -> None:
        crcs = b"".join(map(CRC.pack, map(zlib.crc32, stored_levels(images, self.model.image.levels))))
        body = NUMBER.pack(2 * len(images) + raw) + content + crcs
        frame = NUMBER.pack(len(body)) + body
        self._crc = zlib.crc32(frame, self._crc)
        self._write(frame + CRC.pack(self._crc))

    def _write(self, content: bytes) -> None:
        self.file.write(content)
        self.result.num_bytes += len(content)


# Raised by the range coder for a stream that the model's masses cannot have produced.
INVALID = AssertionError


@dataclass
class Decompression:
    """Reads the archive in ``file`` with the model that wrote it; messages call it ``named``.

    ``condition`` is that of all images, first axis num_images, where the archive does not hold them. UserError unless
    the file is an archive, of this model, and, without ``force``, of the same versions, device and threads.
    """

    file: BinaryIO
    model: PixelModel
    named: str = "archive"
    condition: Condition = None
    force: bool = False
    on_pixel: OnPixel = lambda: None

    def __post_init__(self) -> None:
        self.header = there = Header.read(self.file, self.named)
        self._crc = there.crc
        here = Header.of(self.model, there.num_images, there.height, there.width, there.batch_size, there.conditions)
        there.require_same(here, self.named, self.force)
        if there.conditions == GIVEN and self.condition is None:
            raise UserError(
                f"{self.named} was compressed without its conditions: give them, by task.label or task.condition (in "
                "Python condition=…)."
            )
        if there.conditions != GIVEN and self.condition is not None:
            told = "has images without conditions" if there.conditions == NONE else "has its own conditions"
            raise UserError(f"{self.named} {told}: leave the condition out.")

    def __iter__(self) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        """Yield the images of each frame, (N, C, H, W), on the CPU, with the integers among their stored conditions.

        UserError if the file is damaged or an image does not match its checksum.
        """
        batches, done = _Batches(self.model, self.header.batch_size, self.on_pixel), 0
        with in_evaluation(self.model), torch.no_grad():
            while done < self.header.num_images:
                images, integers = self._frame(batches, done)
                yield images, integers
                done += len(images)
        if self.file.read(1):
            raise UserError(f"{self.named} has bytes after its last image: use an undamaged copy.")

    def _frame(self, batches: _Batches, done: int) -> tuple[Tensor, dict[str, Tensor]]:
        head, header = self._read(NUMBER.size), self.header
        body = self._read(NUMBER.unpack(head)[0])
        self._crc = zlib.crc32(head + body, self._crc)
        if CRC.pack(self._crc) != self._read(CRC.size):
            raise UserError(f"{self.named} is damaged: use another copy.")
        n, raw = divmod(NUMBER.unpack_from(body)[0], 2)
        places = torch.zeros(n, header.channels, header.height, header.width, dtype=tensor_type(header.levels))
        beside = NUMBER.size + n * conditions.bytes_each(header.conditions, self.model, header.height, header.width)
        crcs = len(body) - n * CRC.size
        stored = array_type(header.levels).newbyteorder("<")
        pixels = crcs - raw * places.numel() * stored.itemsize
        decoder, given = Decoder(body[beside:pixels]), self.condition
        part = in_each(given, lambda one: one[done : done + n])
        h, integers = conditions.restored(
            header.conditions, body[NUMBER.size : beside], decoder, part, self.model, places
        )
        if raw:
            values = np.frombuffer(body[pixels:crcs], stored).astype(np.int32)
            images = torch.from_numpy(values).to(places.dtype).view(places.shape)
        else:
            try:
                images = batches.code(places, h, decoder)
            except INVALID as error:
                raise self._not_back(done) from error
        there = zip(stored_levels(images, header.levels), CRC.iter_unpack(body[crcs:]), strict=True)
        for place, (levels, (crc,)) in enumerate(there):
            if zlib.crc32(levels) != crc:
                raise self._not_back(done + place)
        return images, integers

    def _read(self, size: int) -> bytes:
        content = self.file.read(size)
        if len(content) < size:
            raise cut_short(self.named)
        return content

    def _not_back(self, image: int) -> UserError:
        return UserError(
            f"{self.named} decodes image {image} to other pixels (its checksum differs): decompress it with the model, "
            "conditions, versions and machine that compressed it."
        )


def _of_part(part: slice, h: Tensor | None, condition: Condition) -> tuple[Tensor | None, Condition]:
    return None if h is None else h[part], in_each(condition, lambda one: one[part])


def stored_levels(images: Tensor, levels: int) -> list[bytes]:
    """Each image (C, H, W) as bytes, for raw storage and checksums: one byte per level, or two, little-endian."""
    stored = array_type(levels).newbyteorder("<")
    return [image.numpy().astype(stored).tobytes() for image in images.contiguous()]
