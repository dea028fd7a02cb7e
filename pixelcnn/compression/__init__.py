"""Lossless compression: images in as many bits as a model's log-probability says, by entropy coding."""

from pixelcnn.compression.archive import Compressed, Compression, Decompression
from pixelcnn.compression.in_memory import compress, decompress

__all__ = ["Compressed", "Compression", "Decompression", "compress", "decompress"]
