"""The rows that incremental evaluation keeps, and convolutions on them as matrix products.

Shapes: N images; rows are channels-last (N, W, C), a pixel is (N, C). Of every value only as many rows are kept as a
window reads. Views of every pixel and window are made once, because at a pixel the arithmetic costs little more than
finding its operands.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelcnn.network.kernels import has_kernels
from pixelcnn.network.nonlinearities import Nonlinearity, concat_elu, elu, relu


@dataclass(frozen=True)
class Reach:
    """How much of a value its readers need: so many rows, the current one included, and columns beyond its sides."""

    depth: int = 1
    margin: int = 0

    def joined(self, other: "Reach") -> "Reach":
        """What serves both."""
        return Reach(max(self.depth, other.depth), max(self.margin, other.margin))


class Rows:
    """The last rows of a value, a ring, with columns of zeros at both sides."""

    def __init__(self, n: int, width: int, channels: int, reach: Reach, like: Tensor) -> None:
        # A power of two, so that rows of all values are soon in the same places again: see IncrementalWalk.period.
        depth, margin = 1 << (reach.depth - 1).bit_length(), reach.margin
        self.width, self.channels, self.depth, self.margin = width, channels, depth, margin
        self._buffers = like.new_zeros(depth, n, width + 2 * margin, channels)
        self._inside = [buffer[:, margin : margin + width] for buffer in self._buffers]
        self._pixels = [list(inside.unbind(1)) for inside in self._inside]
        self.now = 0  # which buffer is the current row

    @property
    def row(self) -> Tensor:
        """The current row (N, W, C)."""
        return self._inside[self.now]

    @property
    def num_bytes(self) -> int:
        """Memory of the rows."""
        return self._buffers.nbytes

    def clear(self) -> None:
        """All rows zero, as above an image."""
        self._buffers.zero_()

    def begin_row(self, i: int) -> None:
        """The current row is now row i, to be written."""
        self.now = i % self.depth

    def pixel(self, j: int) -> Tensor:
        """Pixel j of the current row, (N, C)."""
        return self._pixels[self.now][j]

    def write_row(self, value: Tensor) -> None:
        """Set the current row from a value (N, W, C)."""
        self.row.copy_(value)

    def write_pixel(self, j: int, value: Tensor) -> None:
        """Set pixel j of the current row from a value (N, C)."""
        self._pixels[self.now][j].copy_(value)

    def columns(self, back: int, first: int, step: int) -> Tensor:
        """Every ``step``-th column from column ``first`` on of the row ``back`` rows up: (N, W / step, C)."""
        buffer = self._buffers[(self.now - back) % self.depth]
        return buffer[:, self.margin + first : self.margin + first + self.width : step]

    def windows_ending_at(self, columns: int, stride: int, right: int) -> list[list[Tensor]]:
        """For each buffer and j the ``columns`` pixels up to pixel stride * j - right in one, (columns * C, N)."""
        ends = range(self.margin + 1 - right, self.margin + 1 - right + self.width, stride)
        return [[buffer[:, end - columns : end].flatten(1).t() for end in ends] for buffer in self._buffers]


def fuses(like: Tensor) -> bool:
    """Whether values like these are written by Triton's kernels, which compute in float32 or float64."""
    return like.itemsize >= 4 and has_kernels(like)


class ConcatEluRows(Rows):
    """Rows of concat_elu of a value, applied once, when the value is written."""

    def __init__(self, n: int, width: int, channels: int, reach: Reach, like: Tensor) -> None:
        super().__init__(n, width, 2 * channels, reach, like)
        self._fused = fuses(like)
        self._both = [[pixel.unflatten(1, (2, channels)) for pixel in pixels] for pixels in self._pixels]
        self._signs = like.new_tensor([[1.0], [-1.0]])

    def write_row(self, value: Tensor) -> None:
        channels = value.shape[2]
        self.row[:, :, :channels].copy_(value)
        torch.neg(value, out=self.row[:, :, channels:])
        F.elu_(self.row)

    def write_pixel(self, j: int, value: Tensor) -> None:
        if self._fused:
            from pixelcnn.sampling.fused import write_concat_elu  # which imports Triton

            write_concat_elu(value, self._pixels[self.now][j])
            return
        torch.mul(value[:, None], self._signs, out=self._both[self.now][j])
        F.elu_(self._pixels[self.now][j])


class EluRows(Rows):
    """Rows of elu of a value."""

    def write_row(self, value: Tensor) -> None:
        super().write_row(value)
        F.elu_(self.row)

    def write_pixel(self, j: int, value: Tensor) -> None:
        super().write_pixel(j, value)
        F.elu_(self._pixels[self.now][j])


class ReluRows(Rows):
    """Rows of relu of a value."""

    def write_row(self, value: Tensor) -> None:
        torch.clamp_min(value, 0, out=self.row)

    def write_pixel(self, j: int, value: Tensor) -> None:
        torch.clamp_min(value, 0, out=self._pixels[self.now][j])

    def write_group(self, j: int, value: Tensor, channels: slice) -> None:
        """Set some channels of pixel j of the current row from a value (N, channels)."""
        torch.clamp_min(value, 0, out=self._pixels[self.now][j][:, channels])


ACTIVATED: dict[Nonlinearity, type[Rows]] = {concat_elu: ConcatEluRows, elu: EluRows, relu: ReluRows}


class RowConv:
    """A causal convolution on `Rows`: ``base`` (N, W / stride, out) is what complete rows add to the current row.

    The kernel's last row lies ``down`` rows above the output's, its last column ``right`` columns left of it. If the
    last row that it reads is complete when a row begins (``whole``), ``base`` is the whole convolution; otherwise
    `pixel` adds what the source's current row contributes up to the pixel.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        left: int,
        source: Rows,
        whole: bool,
        stride: int = 1,
        down: int = 0,
        right: int = 0,
        out_groups: Sequence[slice] = (slice(None),),
    ) -> None:
        kernel = weight.clone().permute(2, 3, 1, 0)  # rows, columns, in, out
        rows, columns = kernel.shape[:2]
        in_rows = rows if whole else rows - 1
        self.source, self.stride, self.bias = source, stride, bias.clone()
        self._first = [(down + rows - 1 - r, c - left - right) for r in range(in_rows) for c in range(columns)]
        self._above = kernel[:in_rows].flatten(0, 2).contiguous()
        n, width = len(source.row), source.width // stride
        self.base = source.row.new_empty(n, width, kernel.shape[3])
        self._flat_base = self.base.flatten(0, 1)
        self._here: list[Tensor] = []
        if not whole:
            # By output, times images as columns: the faster of the two orders for few images, and as fast for many.
            here = kernel[-1, : left + 1].flatten(0, 1).t()
            self._here = [here[group].contiguous() for group in out_groups]
            self._base_pixels = [[pixel.t()[group] for pixel in self.base.unbind(1)] for group in out_groups]
            self._windows = source.windows_ending_at(left + 1, stride, right)
            self._results = [self.base.new_empty(len(here), n) for here in self._here]

    @property
    def num_bytes(self) -> int:
        """Memory of ``base``."""
        return self.base.nbytes

    @property
    def weights(self) -> list[Tensor]:
        """Kernel and bias, as they are used here."""
        return [self.bias, self._above, *self._here]

    def begin_row(self) -> None:
        """Set ``base``, bias included; the source's row has begun (and is complete, if ``whole``)."""
        if self._first:
            seen = [self.source.columns(back, first, self.stride) for back, first in self._first]
            values = (torch.cat(seen, dim=2) if len(seen) > 1 else seen[0]).flatten(0, 1)
            torch.addmm(self.bias, values, self._above, out=self._flat_base)
        else:
            self.base.copy_(self.bias)

    def add_to_base(self, values: Tensor, weight: Tensor) -> None:
        """Add values (N, W, in) times weight (in, out)."""
        self._flat_base.addmm_(values.flatten(0, 1), weight)

    def pixel(self, j: int, group: int = 0) -> Tensor:
        """Pixel j of the output, where the source's current row is known up to it: (channels of the group, N).

        It is overwritten at the next pixel.
        """
        result = self._results[group]
        torch.addmm(self._base_pixels[group][j], self._here[group], self._windows[self.source.now][j], out=result)
        return result
