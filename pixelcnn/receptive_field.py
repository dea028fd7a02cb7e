"""What each pixel can see, read off the topology alone."""

from collections.abc import Iterator

import numpy as np

from pixelcnn.topology import (
    IMAGE,
    POINT,
    Downsample,
    GatedBlock,
    ImageConv,
    Node,
    Topology,
    Upsample,
    Window,
)


def receptive_fields(topology: Topology, height: int, width: int) -> dict[str, np.ndarray]:
    """For every node a boolean array (H_l, W_l, height, width): does its pixel (i, j) depend on the image's (y, x)?"""
    pixels = height * width
    fields = {IMAGE: np.eye(pixels, dtype=bool).reshape(height, width, height, width)}
    for node in topology.nodes:
        shape = (height >> node.level, width >> node.level)
        field = np.zeros((*shape, height, width), dtype=bool)
        if isinstance(node, GatedBlock):
            main, *aux = (fields[name] for name in node.inputs)
            inside = _seen_through(node.window, main, shape)
            for other in aux:
                inside |= other
            field = main | _seen_through(node.window, inside, shape)
        else:
            for name in node.inputs:
                for (i, j), (y, x) in _reads(node, shape, fields[name].shape[:2]):
                    field[i, j] |= fields[name][y, x]
        fields[node.name] = field
    return fields


def _seen_through(window: Window, field: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    seen = np.zeros_like(field)
    for (i, j), (y, x) in _window_reads(window, shape, shape):
        seen[i, j] |= field[y, x]
    return seen


def _reads(node: Node, shape: tuple[int, ...], source: tuple[int, ...]) -> Iterator[tuple[tuple, tuple]]:
    """Pairs (output position, input position) of every weight that connects the two."""
    match node:
        case ImageConv():
            return _window_reads(node.window, shape, source, shift=node.shift)
        case Downsample():
            return _window_reads(node.window, shape, source, stride=2)
        case Upsample():
            return _transposed_reads(node.window, shape, source)
        case _:
            return _window_reads(POINT, shape, source)


def _window_reads(
    window: Window,
    shape: tuple[int, ...],
    source: tuple[int, ...],
    stride: int = 1,
    shift: tuple[int, int] = (0, 0),
) -> Iterator[tuple[tuple, tuple]]:
    for i, j in np.ndindex(shape[0] - shift[0], shape[1] - shift[1]):
        for y in range(stride * i - window.above, stride * i + 1):
            for x in range(stride * j - window.left, stride * j + window.right + 1):
                if 0 <= y < source[0] and 0 <= x < source[1]:
                    yield (i + shift[0], j + shift[1]), (y, x)


def _transposed_reads(window: Window, shape: tuple[int, ...], source: tuple[int, ...]) -> Iterator[tuple[tuple, tuple]]:
    for y, x in np.ndindex(source[0], source[1]):
        for a, b in np.ndindex(window.rows, window.columns):
            i, j = 2 * y + a, 2 * x + b - window.right
            if 0 <= i < shape[0] and 0 <= j < shape[1]:
                yield (i, j), (y, x)
