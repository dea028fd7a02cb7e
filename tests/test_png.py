"""A PNG file is whole or cut short; Pillow, which takes what is missing for black, is not asked."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pixelcnn.png import is_cut_short

ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_rows(content, rows):
    """A PNG file whose data ends, in good order, after so many rows; only of files that Pillow has written."""
    first = content.index(b"IDAT") - 4
    length = struct.unpack(">I", content[first : first + 4])[0]
    data = zlib.decompress(content[first + 8 : first + 8 + length])
    height = struct.unpack(">I", content[20:24])[0]
    kept = data[: len(data) // height * rows]
    return content[:first] + chunk(b"IDAT", zlib.compress(kept)) + content[first + length + 12 :]


def png_of(mode, height=5, width=7, **options):
    """The content of a file of random pixels."""
    image = Image.new(mode, (width, height))
    shape = np.asarray(image).shape
    pixels = np.random.default_rng(0).integers(0, 2 if mode == "1" else 256, shape)
    if mode != "P":
        image = Image.fromarray(pixels.astype(np.asarray(image).dtype))
    content = io.BytesIO()
    image.save(content, "PNG", **options)
    return content.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (8, 8), (3, 17)])
def test_a_whole_file_is_told_from_one_without_its_last_row(mode, size):
    content = png_of(mode, *size)
    assert not is_cut_short(content)
    assert is_cut_short(with_rows(content, size[0] - 1))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_rows_of_palettes_are_whole_bytes(bits):
    content = png_of("P", bits=bits)
    assert not is_cut_short(content) and is_cut_short(with_rows(content, 4))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 7), (8, 8), (9, 17)])
@pytest.mark.parametrize("depth", [1, 8])
def test_interlaced_files_are_counted_by_their_passes(size, depth):
    height, width = size
    places = np.arange(height * width).reshape(size)
    passes = [places[i::down, j::right] for i, j, down, right in ADAM7]
    rows = [(b"\0" + bytes(-(-len(row) * depth // 8))) for part in passes if part.shape[1] for row in part]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 1))
    end = chunk(b"IEND", b"")

    def of(data):
        return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(data)) + end

    whole = b"".join(rows)
    Image.open(io.BytesIO(of(whole))).load()
    assert not is_cut_short(of(whole))
    assert is_cut_short(of(whole[:-1]))


def test_data_in_several_chunks_is_one():
    content = png_of("RGB", 64, 64)
    first = content.index(b"IDAT") - 4
    [length] = struct.unpack(">I", content[first : first + 4])
    data, end = content[first + 8 : first + 8 + length], content[first + 12 + length :]
    parts = b"".join(chunk(b"IDAT", data[k : k + 100]) for k in range(0, length, 100))
    assert not is_cut_short(content[:first] + parts + end)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("ending", [b"", chunk(b"IEND", b"")])
def test_a_file_cut_anywhere_is_cut_short(share, ending):
    content = png_of("RGB", 64, 64)
    assert is_cut_short(content[: int(share * len(content))] + ending)


@pytest.mark.parametrize("width", [0, 2**31 - 1, 2**32 - 1])
def test_a_forged_header_takes_no_memory(width):
    content = bytearray(png_of("RGB"))
    content[16:20] = struct.pack(">I", width)
    assert is_cut_short(bytes(content)) == (width > 0)
