"""Whether a PNG file holds all of its pixels: Pillow takes what is missing for black."""

import struct
import zlib

PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xae\x42\x60\x82"
AT_ONCE = 1 << 24  # bytes, however many a forged file claims
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by colour type
# Adam7's passes over an interlaced image: first row, first column, and the steps to the next ones.
PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def is_cut_short(content: bytes) -> bool:
    """Whether ``content``, which begins as a PNG file does, has no end or fewer rows than its header says."""
    if PNG_END not in content:
        return True
    chunks = _chunks(content)
    header = chunks.get(b"IHDR", b"")
    if len(header) != 13:
        return True
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    bits = depth * SAMPLES.get(colour, 0)
    size = 0
    for row, column, down, right in PASSES if interlaced else ((0, 0, 1, 1),):
        rows, columns = len(range(row, height, down)), len(range(column, width, right))
        size += rows * (1 + (columns * bits + 7) // 8) if columns else 0
    return not _unpacks_to(size, chunks.get(b"IDAT", b""))


def _unpacks_to(size: int, packed: bytes) -> bool:
    """Whether ``packed`` holds ``size`` bytes or more, of which few are in memory at once; True where it is damaged."""
    unpacker, there = zlib.decompressobj(), 0
    while there < size:
        try:
            part = unpacker.decompress(packed, AT_ONCE)
        except zlib.error:  # damaged, which Pillow says
            return True
        if not part:
            return False
        there, packed = there + len(part), unpacker.unconsumed_tail
    return True


def _chunks(content: bytes) -> dict[bytes, bytes]:
    """The content of the chunks of each kind, concatenated."""
    found: dict[bytes, list[bytes]] = {}
    place = len(PNG_START)
    while place + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        found.setdefault(kind, []).append(content[place + 8 : place + 8 + length])
        place += length + 12
    return {kind: b"".join(parts) for kind, parts in found.items()}
