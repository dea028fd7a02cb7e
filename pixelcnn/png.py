"""Whether a PNG file has its end; that its pixels are all there is Pillow's to see."""

PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xae\x42\x60\x82"


def is_cut_short(content: bytes) -> bool:
    """Whether ``content``, which begins as a PNG file does, has no end, whose lack Pillow lets pass."""
    return PNG_END not in content
