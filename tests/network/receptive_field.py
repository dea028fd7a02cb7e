"""What each pixel can see, read off the topology alone."""

from collections.abc import Iterator

import numpy as np

from pixelcnn.network.topology import (
    IMAGE,
    POINT,
    Attention,
    Downsample,
    GatedBlock,
    HorizontalBlock,
    ImageConv,
    MaskedImageConv,
    MaskedResidualBlock,
    Node,
    Topology,
    Upsample,
    VerticalConv,
    Window,
)


def receptive_fields(topology: Topology, height: int, width: int) -> dict[str, np.ndarray]:
    """For every node a boolean array (H_l, W_l, height, width): does its pixel (i, j) depend on the image's (y, x)?

    Where channels come in several groups, on any channel of it: the last group sees its own pixel.
    """
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
        elif isinstance(node, HorizontalBlock):
            own, above = (fields[name] for name in node.inputs)
            field = own | above
            _gather(field, own, _masked_reads(node.window, shape))
        elif isinstance(node, Attention):
            query, keys_values = (fields[name].reshape(pixels, height, width) for name in node.inputs)
            earlier = np.logical_or.accumulate(keys_values)
            field = query.copy()
            field[1:] |= earlier[:-1]
            field[0] = False  # nothing to attend to
            field = field.reshape(height, width, height, width)
        elif isinstance(node, MaskedImageConv | MaskedResidualBlock):
            own_pixel = isinstance(node, MaskedResidualBlock) or topology.num_groups > 1
            _gather(field, fields[node.inputs[0]], _masked_reads(node.window, shape, own_pixel))
        else:
            for name in node.inputs:
                _gather(field, fields[name], _reads(node, shape, fields[name].shape[:2]))
        fields[node.name] = field
    return fields


def _gather(field: np.ndarray, source: np.ndarray, reads: Iterator[tuple[tuple, tuple]]) -> None:
    for (i, j), (y, x) in reads:
        field[i, j] |= source[y, x]


def _seen_through(window: Window, field: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    seen = np.zeros_like(field)
    _gather(seen, field, _window_reads(window, shape, shape))
    return seen


def _masked_reads(window: Window, shape: tuple[int, ...], own_pixel: bool = True) -> Iterator[tuple[tuple, tuple]]:
    for (i, j), (y, x) in _window_reads(window, shape, shape):
        if y < i or x < j or (own_pixel and x == j):
            yield (i, j), (y, x)


def _reads(node: Node, shape: tuple[int, ...], source: tuple[int, ...]) -> Iterator[tuple[tuple, tuple]]:
    """Pairs (output position, input position) of every weight that connects the two."""
    match node:
        case ImageConv():
            return _window_reads(node.window, shape, source, shift=node.shift)
        case VerticalConv():
            return _window_reads(node.window, shape, source)
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
