"""The incremental walk: the same topology and weights, one pixel at a time, each activation computed once.

Every node gets a stepper. When row i begins, the u stream computes its whole row (it depends on rows above only) and
the ul stream everything that its pixels take from rows above and from the u stream; what remains at pixel (i, j) is
what depends on the pixels left of it. A node of level l takes part at rows and pixels that 2^l divides. Steppers keep
two rows of their values, never whole images.

Shapes: N images, F filters, rows are channels-last (N, W, F), a pixel is (N, F). Weights are fused once: a kernel's
part becomes a matrix (taps * in, out).
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelcnn.blocks import GatedResidualBlock, OutputLayer, ShiftedConv, UpsamplingConv
from pixelcnn.layers import NONLINEARITIES, CausalConv2d
from pixelcnn.parallel import Network, with_ones_channel
from pixelcnn.topology import IMAGE, Downsample, GatedBlock, ImageConv, Node, Output, Sum, Upsample

MARGIN = 1  # columns of zeros at both sides of a stored row, as many as a window reaches


class Rows:
    """The previous and the current row of a value, with zero margins: (N, W + 2, F) each."""

    def __init__(self, n: int, width: int, channels: int, like: Tensor) -> None:
        self.previous, self.current = (like.new_zeros(n, width + 2 * MARGIN, channels) for _ in range(2))
        self.width = width

    def begin_row(self) -> None:
        """The current row becomes the previous one; the new current row is to be written."""
        self.previous, self.current = self.current, self.previous

    def write(self, row: Tensor) -> None:
        """Set the whole current row (N, W, F)."""
        self.current[:, MARGIN : MARGIN + self.width] = row

    def write_pixel(self, j: int, value: Tensor) -> None:
        """Set pixel j (N, F) of the current row."""
        self.current[:, MARGIN + j] = value

    def pixel(self, j: int) -> Tensor:
        """Pixel j of the current row, (N, F)."""
        return self.current[:, MARGIN + j]

    def row(self) -> Tensor:
        """The current row (N, W, F)."""
        return self.current[:, MARGIN : MARGIN + self.width]


class WindowMatrix:
    """A causal convolution on rows: its weights split into the rows above and the current row."""

    def __init__(self, conv: CausalConv2d) -> None:
        weight = conv.weight().permute(2, 3, 1, 0)  # rows, columns, in, out
        self.window, self.stride = conv.window, conv.stride
        self.above = weight[:-1].flatten(0, 2)
        self.here = weight[-1].flatten(0, 1)
        self.bias: Tensor = conv.b

    def from_above(self, rows: Rows) -> Tensor:
        """What the row above contributes to all pixels, bias included: (N, W / stride, out)."""
        if self.window.above == 0:
            return self.bias.expand(len(rows.current), rows.width // self.stride, -1)
        return self.bias + self._windows(rows.previous, rows.width) @ self.above

    def from_row(self, rows: Rows) -> Tensor:
        """What the complete current row contributes to all pixels."""
        return self._windows(rows.current, rows.width) @ self.here

    def add_pixel(self, rows: Rows, j: int, rest: Tensor) -> Tensor:
        """``rest`` plus what the current row up to pixel ``stride * j`` contributes to pixel j, (N, out)."""
        assert self.window.right == 0
        end = MARGIN + self.stride * j + 1
        return torch.addmm(rest, rows.current[:, end - self.window.columns : end].flatten(1), self.here)

    def _windows(self, row: Tensor, width: int) -> Tensor:
        first = MARGIN - self.window.left
        columns = [row[:, c : c + width : self.stride] for c in range(first, first + self.window.columns)]
        return torch.cat(columns, dim=2)


class Stepper:
    """One node of the walk: ``rows`` holds its value, ``activation`` the nonlinearity of it (if a block reads it)."""

    def __init__(self, walk: "IncrementalWalk", node: Node, layer: Any) -> None:
        self.walk, self.node = walk, node
        self.is_u = node.stream == "u"
        self.width = walk.x.shape[3] >> node.level
        self.inputs = [walk.steppers[name] for name in node.inputs if name != IMAGE]
        self.rows = walk.new_rows(node, walk.network.num_filters)
        self.is_activated = node.name in walk.activated
        self.activation = walk.new_rows(node, walk.expansion * walk.network.num_filters * self.is_activated)

    def begin_row(self, i: int) -> None:
        """Begin row i of this node's level; a u node writes all of it."""
        self.rows.begin_row()
        self.activation.begin_row()

    def pixel(self, i: int, j: int) -> None:
        """Write pixel (i, j) of this node's level, in the ul stream."""

    def write_row(self, value: Tensor) -> None:
        """Store a whole row (N, W, F)."""
        self.rows.write(value)
        if self.is_activated:
            self.activation.write(self.walk.activate(value))

    def write_pixel(self, j: int, value: Tensor) -> None:
        """Store one pixel (N, F)."""
        self.rows.write_pixel(j, value)
        if self.is_activated:
            self.activation.write_pixel(j, self.walk.activate(value))


class ImageConvStepper(Stepper):
    """A convolution of the image. It keeps the image's rows already shifted, so that its window is the ordinary one;
    what the shift moves in is zero, without the bias."""

    def __init__(self, walk: "IncrementalWalk", node: ImageConv, layer: ShiftedConv) -> None:
        super().__init__(walk, node, layer)
        self.down, self.right = node.shift
        self.matrix = WindowMatrix(layer.conv)
        self.seen = walk.new_rows(node, walk.x.shape[1] + 1)

    def begin_row(self, i: int) -> None:
        super().begin_row(i)
        self.seen.begin_row()
        if self.down and i > 0:
            self.seen.write(with_ones_channel(self.walk.x[:, :, i - 1]).transpose(1, 2))
            self.write_row(self.matrix.from_above(self.seen) + self.matrix.from_row(self.seen))
        if self.right:
            self.base = self.matrix.from_above(self.seen)

    def pixel(self, i: int, j: int) -> None:
        if self.right and j > 0:
            self.seen.write_pixel(j, with_ones_channel(self.walk.x[:, :, i, j - 1]))
            self.write_pixel(j, self.matrix.add_pixel(self.seen, j, self.base[:, j]))


class SumStepper(Stepper):
    """Sum of pixels."""

    def pixel(self, i: int, j: int) -> None:
        self.write_pixel(j, sum((s.rows.pixel(j) for s in self.inputs[1:]), self.inputs[0].rows.pixel(j)))


class BlockStepper(Stepper):
    """A gated residual block. Its auxiliary projection is split by input; the u stream enters a row at a time."""

    def __init__(self, walk: "IncrementalWalk", node: GatedBlock, layer: GatedResidualBlock) -> None:
        super().__init__(walk, node, layer)
        self.conv1, self.conv2 = WindowMatrix(layer.conv1), WindowMatrix(layer.conv2)
        self.inner = walk.new_rows(node, walk.expansion * walk.network.num_filters)
        self.main, *aux = self.inputs
        self.aux_of_row: list[tuple[Stepper, Tensor]] = []
        self.aux_of_pixel: list[tuple[Stepper, Tensor]] = []
        if aux:
            self.conv1.bias = self.conv1.bias + layer.aux_dense.b
            # The nonlinearity of all inputs concatenated orders its channels (expansion, input, filter).
            weight = layer.aux_dense.weight().view(walk.network.num_filters, walk.expansion, len(aux), -1)
            for k, stepper in enumerate(aux):
                side = self.aux_of_row if stepper.is_u else self.aux_of_pixel
                side.append((stepper, weight[:, :, k].flatten(1).t().contiguous()))
        if layer.hw is not None:
            assert walk.h is not None
            self.conv2.bias = (self.conv2.bias + walk.h @ layer.hw)[:, None]

    def begin_row(self, i: int) -> None:
        super().begin_row(i)
        self.inner.begin_row()
        self.base1 = self.conv1.from_above(self.main.activation)
        for stepper, weight in self.aux_of_row:
            self.base1 = self.base1 + stepper.activation.row() @ weight
        self.base2 = self.conv2.from_above(self.inner)
        if self.is_u:
            self.inner.write(self.walk.activate(self.base1 + self.conv1.from_row(self.main.activation)))
            self.write_row(self.main.rows.row() + F.glu(self.base2 + self.conv2.from_row(self.inner), dim=-1))

    def pixel(self, i: int, j: int) -> None:
        c1 = self.conv1.add_pixel(self.main.activation, j, self.base1[:, j])
        for stepper, weight in self.aux_of_pixel:
            c1 = torch.addmm(c1, stepper.activation.pixel(j), weight)
        self.inner.write_pixel(j, self.walk.activate(c1))
        c2 = self.conv2.add_pixel(self.inner, j, self.base2[:, j])
        self.write_pixel(j, self.main.rows.pixel(j) + F.glu(c2, dim=1))


class DownsampleStepper(Stepper):
    """A convolution of stride 2: its input's current row is row 2i."""

    def __init__(self, walk: "IncrementalWalk", node: Downsample, layer: CausalConv2d) -> None:
        super().__init__(walk, node, layer)
        self.matrix = WindowMatrix(layer)

    def begin_row(self, i: int) -> None:
        super().begin_row(i)
        source = self.inputs[0].rows
        self.base = self.matrix.from_above(source)
        if self.is_u:
            self.write_row(self.base + self.matrix.from_row(source))

    def pixel(self, i: int, j: int) -> None:
        self.write_pixel(j, self.matrix.add_pixel(self.inputs[0].rows, j, self.base[:, j]))


class UpsampleStepper(Stepper):
    """A transposed convolution of stride 2: row i comes from the input's row i // 2 by one row of the kernel."""

    def __init__(self, walk: "IncrementalWalk", node: Upsample, layer: UpsamplingConv) -> None:
        super().__init__(walk, node, layer)
        self.weight, self.bias, self.crop = layer.conv.weight(), layer.conv.b, node.window.right

    def begin_row(self, i: int) -> None:
        super().begin_row(i)
        if self.is_u:
            source = self.inputs[0].rows.row().transpose(1, 2)
            kernel = self.weight[:, :, i % 2]
            full = F.conv_transpose1d(source, kernel, self.bias, stride=2, output_padding=1)
            self.write_row(full[:, :, self.crop : self.crop + self.width].transpose(1, 2))

    def pixel(self, i: int, j: int) -> None:
        assert self.crop == 0
        self.write_pixel(j, torch.addmm(self.bias, self.inputs[0].rows.pixel(j // 2), self.weight[:, :, i % 2, j % 2]))


class OutputStepper(Stepper):
    """The parameters of the pixel, in ``parameters`` (N, P)."""

    def __init__(self, walk: "IncrementalWalk", node: Output, layer: OutputLayer) -> None:
        super().__init__(walk, node, layer)
        self.weight, self.bias = layer.dense.weight().flatten(1).t(), layer.dense.b

    def pixel(self, i: int, j: int) -> None:
        self.parameters = torch.addmm(self.bias, F.elu(self.inputs[0].rows.pixel(j)), self.weight)


STEPPERS: dict[type[Node], type[Stepper]] = {
    ImageConv: ImageConvStepper,
    Sum: SumStepper,
    GatedBlock: BlockStepper,
    Downsample: DownsampleStepper,
    Upsample: UpsampleStepper,
    Output: OutputStepper,
}


class IncrementalWalk:
    """The steppers of a network for N images x (N, C, H, W) that are known up to the pixel being computed."""

    def __init__(self, network: Network, x: Tensor, h: Tensor | None) -> None:
        self.network, self.x, self.h = network, x, h
        self.activation_function, self.expansion = NONLINEARITIES[network.nonlinearity]
        nodes = network.topology.nodes
        self.activated = {name for node in nodes if isinstance(node, GatedBlock) for name in node.inputs}
        self.steppers: dict[str, Stepper] = {}
        for node in nodes:
            self.steppers[node.name] = STEPPERS[type(node)](self, node, network.layers[node.name])

    def new_rows(self, node: Node, channels: int) -> Rows:
        """Empty rows of the node's width."""
        return Rows(len(self.x), self.x.shape[3] >> node.level, channels, self.x)

    def activate(self, value: Tensor) -> Tensor:
        """The network's nonlinearity on channels-last values (..., F)."""
        return self.activation_function(value.flatten(0, -2)).unflatten(0, value.shape[:-1])

    def pixel_parameters(self) -> Iterator[tuple[int, int, Tensor]]:
        """Yield (i, j, parameters (N, P)) in raster order."""
        by_stride = [(2**stepper.node.level, stepper) for stepper in self.steppers.values()]
        period = self.network.topology.stride
        output = self.steppers[self.network.topology.nodes[-1].name]
        assert isinstance(output, OutputStepper)
        for i in range(self.x.shape[2]):
            due_in_row = [(stride, stepper) for stride, stepper in by_stride if i % stride == 0]
            for stride, stepper in due_in_row:
                stepper.begin_row(i // stride)
            pixelwise = [(stride, stepper) for stride, stepper in due_in_row if not stepper.is_u]
            due_at_pixel = [[due for due in pixelwise if phase % due[0] == 0] for phase in range(period)]
            for j in range(self.x.shape[3]):
                for stride, stepper in due_at_pixel[j % period]:
                    stepper.pixel(i // stride, j // stride)
                yield i, j, output.parameters


@torch.no_grad()
def pixel_parameters_in_order(network: Network, x: Tensor, h: Tensor | None) -> Iterator[tuple[int, int, Tensor]]:
    """Yield (i, j, parameters (N, P)) for every pixel in raster order, reading x (N, C, H, W) only before (i, j).

    The caller writes x[:, :, i, j] before it asks for the next pixel, or has filled x beforehand. The network is read
    as in evaluation: no dropout.
    """
    yield from IncrementalWalk(network, x, h).pixel_parameters()
