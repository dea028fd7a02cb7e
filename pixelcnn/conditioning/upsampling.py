"""Maps of a lower resolution than the images."""

from collections.abc import Sequence

from torch import Tensor


def divides(shape: Sequence[int], height: int, width: int) -> bool:
    """Whether ``shape``, (N, D, h, w), is of maps whose size divides the images' ``height`` and ``width``."""
    return len(shape) == 4 and all(shape[2:]) and height % shape[2] == 0 and width % shape[3] == 0


def upsampled(maps: Tensor, height: int, width: int) -> Tensor:
    """Maps (N, D, h, w) repeated to (N, D, height, width): nearest-neighbour upsampling by a whole factor."""
    n, features, h, w = maps.shape
    if (h, w) == (height, width):
        return maps
    blocks = maps[:, :, :, None, :, None].expand(n, features, h, height // h, w, width // w)
    return blocks.reshape(n, features, height, width)
