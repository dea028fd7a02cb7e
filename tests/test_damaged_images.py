"""A PNG file that is cut or whose bits are flipped is refused, or has the pixels that it had."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixelcnn.damaged_images import INTERLACED, PNG_START, is_cut_short
from pixelcnn.data.images import decode
from pixelcnn.errors import UserError

END = b"\0\0\0\0IEND\xae\x42\x60\x82"


@pytest.fixture(params=["L", "P", "RGB"])
def image(request):
    """The content of a file, and its pixels uint8 (C, H, W)."""
    pixels = np.random.default_rng(0).integers(0, 256, (11, 13, 3), dtype=np.uint8)
    pixels[4:] = 40
    content = io.BytesIO()
    Image.fromarray(pixels).convert(request.param).save(content, "png")
    return content.getvalue(), decode(content.getvalue(), Path("whole.png"), None)


def test_every_cut_is_noticed(image):
    content, _ = image
    for length in range(8, len(content)):
        assert is_cut_short(content[:length])
        with pytest.raises(UserError, match=r"^cut\.png "):
            decode(content[:length], Path("cut.png"), None)


def test_what_is_cut_out_of_its_middle_is_noticed(image):
    content, pixels = image
    for length in range(8, len(content) - len(END)):
        unless_the_same(content[:length] + END, pixels)


def test_flipped_bits_change_no_pixel_unseen(image):
    content, pixels = image
    for place in range(8, len(content)):
        spoilt = bytearray(content)
        spoilt[place] ^= 1 << place % 8
        unless_the_same(bytes(spoilt), pixels)


def unless_the_same(content, pixels):
    """A refusal in one sentence, unless the damage is where no pixel is."""
    try:
        np.testing.assert_array_equal(decode(content, Path("spoilt.png"), None), pixels)
    except UserError as error:
        assert str(error).startswith("spoilt.png ") and "\n" not in str(error)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_every_missing_row_is_noticed(image):
    """Where the compressed data end as they should, which is enough for Pillow."""
    content, pixels = image
    first = content.index(b"IDAT") - 4
    [length] = struct.unpack(">I", content[first : first + 4])
    rows = zlib.decompress(content[first + 8 : first + 8 + length])
    of_one = len(rows) // 11

    def with_rows(data: bytes) -> bytes:
        return content[:first] + chunk(b"IDAT", zlib.compress(data)) + END

    np.testing.assert_array_equal(decode(with_rows(rows), Path("whole.png"), None), pixels)
    for missing in range(1, 12):
        with pytest.raises(UserError, match=r"^spoilt\.png is cut short: "):
            decode(with_rows(rows[: len(rows) - missing * of_one]), Path("spoilt.png"), None)


@pytest.mark.parametrize(("height", "width", "depth"), [(11, 13, 8), (1, 1, 8), (3, 2, 8), (9, 5, 1), (8, 3, 4)])
def test_interlaced_rows_are_counted(height, width, depth):
    values = np.random.default_rng(0).integers(0, 2**depth, (height, width), dtype=np.uint8)
    rows = []
    for row, column, down, across in INTERLACED:
        for line in values[row::down, column::across]:
            bits = np.unpackbits(line[:, None], axis=1)[:, 8 - depth :].ravel()
            rows += [b"\0" + np.packbits(bits).tobytes()] if line.size else []
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 1))
    whole, cut = (PNG_START + header + chunk(b"IDAT", zlib.compress(b"".join(r))) + END for r in (rows, rows[:-1]))
    with Image.open(io.BytesIO(whole)) as image:
        np.testing.assert_array_equal(np.asarray(image.convert("L")), values * (255 // (2**depth - 1)))
    assert not is_cut_short(whole) and is_cut_short(cut)


def test_data_in_several_chunks_is_one(image):
    content, pixels = image
    first = content.index(b"IDAT") - 4
    [length] = struct.unpack(">I", content[first : first + 4])
    data = content[first + 8 : first + 8 + length]
    parts = [chunk(b"IDAT", data[k : k + 40]) for k in range(0, length, 40)]
    whole = decode(content[:first] + b"".join(parts) + END, Path("parts.png"), None)
    np.testing.assert_array_equal(whole, pixels)
    for missing in range(1, len(parts)):
        unless_the_same(content[:first] + b"".join(parts[:missing]) + END, pixels)
