"""The rows that incremental evaluation keeps, and convolutions on them as matrix products.

Shapes: N images; rows are channels-last (N, W, C), a pixel is (N, C). Views of every pixel and window are made once,
because at a pixel the arithmetic costs little more than finding its operands.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelcnn.layers import CausalConv2d

MARGIN = 1  # columns of zeros at both sides of a stored row, as many as a window reaches

# On values already in place: the nonlinearities of `pixelcnn.layers`, concat_elu after [x, -x] has been written.
IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {"concat_elu": F.elu_, "elu": F.elu_, "relu": F.relu_}


class Rows:
    """The previous and the current row of a value, with zero margins: (N, W + 2, C) each."""

    def __init__(self, n: int, width: int, channels: int, like: Tensor) -> None:
        self.width = width
        self._buffers = [like.new_zeros(n, width + 2 * MARGIN, channels) for _ in range(2)]
        self._inside = [buffer[:, MARGIN : MARGIN + width] for buffer in self._buffers]
        self._pixels = [list(inside.unbind(1)) for inside in self._inside]
        self.parity = 0  # which buffer is current

    @property
    def current(self) -> Tensor:
        """The current row with its margins."""
        return self._buffers[self.parity]

    @property
    def previous(self) -> Tensor:
        """The previous row with its margins."""
        return self._buffers[1 - self.parity]

    @property
    def row(self) -> Tensor:
        """The current row (N, W, C)."""
        return self._inside[self.parity]

    def begin_row(self) -> None:
        """The current row becomes the previous one; the new current row is to be written."""
        self.parity = 1 - self.parity

    def pixel(self, j: int) -> Tensor:
        """Pixel j of the current row, (N, C)."""
        return self._pixels[self.parity][j]

    def windows_ending_at(self, columns: int, stride: int) -> list[list[Tensor]]:
        """For each buffer and j the ``columns`` pixels up to pixel stride * j as one vector, (N, columns * C)."""
        ends = range(MARGIN + 1, MARGIN + 1 + self.width, stride)
        return [[buffer[:, end - columns : end].flatten(1) for end in ends] for buffer in self._buffers]


class Activation(Rows):
    """Rows of the nonlinearity of a value, applied once, when the value is written."""

    def __init__(self, n: int, width: int, num_filters: int, nonlinearity: str, like: Tensor) -> None:
        self._apply = IN_PLACE[nonlinearity]
        self._has_negative = nonlinearity == "concat_elu"
        super().__init__(n, width, num_filters * (1 + self._has_negative), like)
        self._halves = [
            [(pixel[:, :num_filters], pixel[:, num_filters:]) for pixel in pixels] for pixels in self._pixels
        ]

    def write_row(self, value: Tensor) -> None:
        """Set the current row from a value (N, W, F)."""
        self.row.copy_(torch.cat([value, -value], dim=2) if self._has_negative else value)
        self._apply(self.row)

    def write_pixel(self, j: int, value: Tensor) -> None:
        """Set pixel j of the current row from a value (N, F)."""
        positive, negative = self._halves[self.parity][j]
        positive.copy_(value)
        if self._has_negative:
            torch.neg(value, out=negative)
        self._apply(self._pixels[self.parity][j])


class RowConv:
    """A causal convolution on `Rows`, split into what comes from the rows above and what from the current row.

    ``base`` (N, W / stride, out) holds what is known of every output pixel when its row begins.
    """

    def __init__(self, conv: CausalConv2d, source: Rows, bias: Tensor | None = None) -> None:
        weight = conv.weight().permute(2, 3, 1, 0)  # rows, columns, in, out
        self.window, self.stride, self.source = conv.window, conv.stride, source
        self.above = weight[:-1].flatten(0, 2)
        # Stored by output: products with few rows read it a fifth faster so.
        self.here = weight[-1].flatten(0, 1).t().contiguous().t()
        n, width = len(source.current), source.width // conv.stride
        self.bias = conv.b if bias is None else bias
        self.base = source.current.new_empty(n, width, len(conv.b))
        self._base_pixels = list(self.base.unbind(1))
        self._windows_here: list[list[Tensor]] = []
        if conv.window.right == 0:
            self._windows_here = source.windows_ending_at(conv.window.columns, conv.stride)

    def begin_row(self) -> None:
        """Set ``base`` to what comes from the row above, bias included."""
        self.base.copy_(self.bias)
        if self.window.above:
            self.add_to_base(self._windows(self.source.previous), self.above)

    def add_to_base(self, values: Tensor, weight: Tensor) -> None:
        """Add values (N, W, in) times weight (in, out)."""
        self.base.view(-1, weight.shape[1]).addmm_(values.flatten(0, 1), weight)

    def whole_row(self) -> Tensor:
        """The output's whole row, where the source's current row is complete: (N, W / stride, out)."""
        self.add_to_base(self._windows(self.source.current), self.here)
        return self.base

    def pixel(self, j: int) -> Tensor:
        """Pixel j of the output, (N, out), where the source's current row is known up to pixel stride * j."""
        return torch.addmm(self._base_pixels[j], self._windows_here[self.source.parity][j], self.here)

    def _windows(self, row: Tensor) -> Tensor:
        first = MARGIN - self.window.left
        stop = self.source.width
        columns = [row[:, c : c + stop : self.stride] for c in range(first, first + self.window.columns)]
        return torch.cat(columns, dim=2)
