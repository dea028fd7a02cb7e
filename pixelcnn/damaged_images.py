"""Damaged image files: what Pillow raises for them, and whether a PNG file is complete, which it does not check.

The format: https://www.w3.org/TR/png-3.
"""

import struct
import zlib

from PIL import Image

# Raised by Pillow's decoders for damaged files.
DAMAGED = (OSError, SyntaxError, TypeError, ValueError, struct.error, Image.DecompressionBombError)
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xae\x42\x60\x82"
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by the colour type
WHOLE = ((0, 0, 1, 1),)  # first row and column, steps between rows and columns
INTERLACED = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
AT_ONCE = 1 << 20  # bytes


def is_cut_short(content: bytes) -> bool:
    """Whether ``content``, which begins as a PNG file does, lacks its end or rows of its image.

    Pillow accepts both if the data end with a whole row, and fills in black rows.
    """
    return PNG_END not in content or _lacks_rows(content)


def _lacks_rows(content: bytes) -> bool:
    header, data, place = b"", [], len(PNG_START)
    while place + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        chunk = content[place + 8 : place + 8 + length]
        if kind == b"IHDR":
            header = chunk
        elif kind == b"IDAT":
            data.append(chunk)
        place += 12 + length
    if len(header) < 13 or header[9] not in SAMPLES:
        return False  # as Pillow says
    needed, found = _bytes_of_rows(header), 0
    stream, rest = zlib.decompressobj(), b"".join(data)
    try:
        while found < needed and (part := stream.decompress(rest, AT_ONCE)):
            found, rest = found + len(part), stream.unconsumed_tail
    except zlib.error:
        return False  # as Pillow says
    return found < needed


def _bytes_of_rows(header: bytes) -> int:
    """Before compression, the byte that each row begins with included."""
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header[:13])
    bits, count = depth * SAMPLES[colour], 0
    for row, column, rows, columns in INTERLACED if interlaced else WHOLE:
        across, down = max(0, -(-(width - column) // columns)), max(0, -(-(height - row) // rows))
        count += down * (1 + -(-across * bits // 8)) if across else 0
    return count
