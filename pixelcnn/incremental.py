"""The incremental walk: the same topology and weights, one pixel at a time, each activation computed once.

Every node gets a stepper. When row i begins, the u stream computes its whole row (it depends on rows above only) and
the ul stream everything that its pixels take from rows above and from the u stream; what remains at pixel (i, j) is
what depends on the pixels left of it. A node of level l takes part at rows and pixels that 2^l divides. Steppers keep
two rows of their values, never whole images.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelcnn.blocks import GatedResidualBlock, OutputLayer, ShiftedConv, UpsamplingConv
from pixelcnn.layers import CausalConv2d
from pixelcnn.parallel import Network, with_ones_channel
from pixelcnn.rows import Activation, RowConv, Rows
from pixelcnn.topology import IMAGE, Downsample, GatedBlock, ImageConv, Node, Output, Sum, Upsample


class Stepper:
    """One node of the walk: ``rows`` holds its value, ``activation`` the nonlinearity of it (if a block reads it)."""

    def __init__(self, walk: "IncrementalWalk", node: Node, layer: Any) -> None:
        self.walk, self.node = walk, node
        self.is_u = node.stream == "u"
        self.inputs = [walk.steppers[name] for name in node.inputs if name != IMAGE]
        self.rows = walk.new_rows(node, walk.network.num_filters)
        self.activation = walk.new_activation(node) if node.name in walk.activated else None

    def begin_row(self, i: int) -> None:
        """Begin row i of this node's level; a u node writes all of it."""
        self.rows.begin_row()
        if self.activation is not None:
            self.activation.begin_row()

    def pixel(self, i: int, j: int) -> None:
        """Write pixel (i, j) of this node's level, in the ul stream."""

    def write_row(self, value: Tensor) -> None:
        """Store a whole row (N, W, F)."""
        self.rows.row.copy_(value)
        if self.activation is not None:
            self.activation.write_row(value)

    def activate(self, j: int) -> None:
        """Pixel j of ``rows`` has been written."""
        if self.activation is not None:
            self.activation.write_pixel(j, self.rows.pixel(j))


class ImageConvStepper(Stepper):
    """A convolution of the image. It keeps the image's rows already shifted, so that its window is the ordinary one;
    what the shift moves in is zero, without the bias."""

    def __init__(self, walk: "IncrementalWalk", node: ImageConv, layer: ShiftedConv) -> None:
        super().__init__(walk, node, layer)
        self.down, self.right = node.shift
        self.seen = walk.new_rows(node, walk.x.shape[1] + 1)
        self.conv = RowConv(layer.conv, self.seen)

    def begin_row(self, i: int) -> None:
        super().begin_row(i)
        self.seen.begin_row()
        if self.down and i > 0:
            self.seen.row.copy_(with_ones_channel(self.walk.x[:, :, i - 1]).transpose(1, 2))
        self.conv.begin_row()
        if self.down and i > 0:
            self.write_row(self.conv.whole_row())

    def pixel(self, i: int, j: int) -> None:
        if self.right and j > 0:
            self.seen.pixel(j).copy_(with_ones_channel(self.walk.x[:, :, i, j - 1]))
            self.rows.pixel(j).copy_(self.conv.pixel(j))
            self.activate(j)


class SumStepper(Stepper):
    """Sum of two pixels."""

    def pixel(self, i: int, j: int) -> None:
        first, second = self.inputs
        torch.add(first.rows.pixel(j), second.rows.pixel(j), out=self.rows.pixel(j))
        self.activate(j)


class BlockStepper(Stepper):
    """A gated residual block. Its auxiliary projection is split by input; the u stream enters a row at a time."""

    def __init__(self, walk: "IncrementalWalk", node: GatedBlock, layer: GatedResidualBlock) -> None:
        super().__init__(walk, node, layer)
        self.main, *aux = self.inputs
        self.aux_of_row: list[tuple[Activation, Tensor]] = []
        self.aux_of_pixel: list[tuple[Activation, Tensor]] = []
        for stepper, weight in zip(aux, self._aux_weights(layer), strict=True):
            (self.aux_of_row if stepper.is_u else self.aux_of_pixel).append((_activation(stepper), weight))
        self.conv1 = RowConv(
            layer.conv1, _activation(self.main), layer.conv1.b + layer.aux_dense.b if aux else layer.conv1.b
        )
        self.inner = walk.new_activation(node)
        # The condition is the same at every pixel of an image.
        shift = 0 if layer.hw is None or walk.h is None else (walk.h @ layer.hw)[:, None]
        self.conv2 = RowConv(layer.conv2, self.inner, layer.conv2.b + shift)

    def _aux_weights(self, layer: GatedResidualBlock) -> list[Tensor]:
        """One matrix an auxiliary input: the nonlinearity of their concatenation orders (expansion, input, filter)."""
        if not layer.num_aux:
            return []
        weight = layer.aux_dense.weight().unflatten(1, (layer.expansion, layer.num_aux, -1))
        return [weight[:, :, k].flatten(1).contiguous().t() for k in range(layer.num_aux)]

    def begin_row(self, i: int) -> None:
        super().begin_row(i)
        self.inner.begin_row()
        self.conv1.begin_row()
        for activation, weight in self.aux_of_row:
            self.conv1.add_to_base(activation.row, weight)
        self.conv2.begin_row()
        if self.is_u:
            self.inner.write_row(self.conv1.whole_row())
            self.write_row(self.main.rows.row + F.glu(self.conv2.whole_row(), dim=2))

    def pixel(self, i: int, j: int) -> None:
        c1 = self.conv1.pixel(j)
        for activation, weight in self.aux_of_pixel:
            c1.addmm_(activation.pixel(j), weight)
        self.inner.write_pixel(j, c1)
        torch.add(self.main.rows.pixel(j), F.glu(self.conv2.pixel(j), dim=1), out=self.rows.pixel(j))
        self.activate(j)


class DownsampleStepper(Stepper):
    """A convolution of stride 2: its input's current row is row 2i."""

    def __init__(self, walk: "IncrementalWalk", node: Downsample, layer: CausalConv2d) -> None:
        super().__init__(walk, node, layer)
        self.conv = RowConv(layer, self.inputs[0].rows)

    def begin_row(self, i: int) -> None:
        super().begin_row(i)
        self.conv.begin_row()
        if self.is_u:
            self.write_row(self.conv.whole_row())

    def pixel(self, i: int, j: int) -> None:
        self.rows.pixel(j).copy_(self.conv.pixel(j))
        self.activate(j)


class UpsampleStepper(Stepper):
    """A transposed convolution of stride 2: row i comes from the input's row i // 2 by one row of the kernel."""

    def __init__(self, walk: "IncrementalWalk", node: Upsample, layer: UpsamplingConv) -> None:
        super().__init__(walk, node, layer)
        self.weight, self.bias, self.crop = layer.conv.weight(), layer.conv.b, node.window.right
        self.taps = [[self.weight[:, :, a, b].t().contiguous().t() for b in range(2)] for a in range(2)]

    def begin_row(self, i: int) -> None:
        super().begin_row(i)
        if self.is_u:
            source = self.inputs[0].rows.row.transpose(1, 2)
            full = F.conv_transpose1d(source, self.weight[:, :, i % 2], self.bias, stride=2, output_padding=1)
            self.write_row(full[:, :, self.crop : self.crop + self.rows.width].transpose(1, 2))

    def pixel(self, i: int, j: int) -> None:
        assert self.crop == 0
        value = torch.addmm(self.bias, self.inputs[0].rows.pixel(j // 2), self.taps[i % 2][j % 2])
        self.rows.pixel(j).copy_(value)
        self.activate(j)


class OutputStepper(Stepper):
    """The parameters of the pixel, in ``parameters`` (N, P)."""

    def __init__(self, walk: "IncrementalWalk", node: Output, layer: OutputLayer) -> None:
        super().__init__(walk, node, layer)
        self.weight, self.bias = layer.dense.weight().flatten(1).t(), layer.dense.b

    def pixel(self, i: int, j: int) -> None:
        self.parameters = torch.addmm(self.bias, F.elu(self.inputs[0].rows.pixel(j)), self.weight)


def _activation(stepper: Stepper) -> Activation:
    assert stepper.activation is not None
    return stepper.activation


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
        nodes = network.topology.nodes
        self.activated = {name for node in nodes if isinstance(node, GatedBlock) for name in node.inputs}
        self.steppers: dict[str, Stepper] = {}
        for node in nodes:
            self.steppers[node.name] = STEPPERS[type(node)](self, node, network.layers[node.name])

    def new_rows(self, node: Node, channels: int) -> Rows:
        """Empty rows of the node's width."""
        return Rows(len(self.x), self.x.shape[3] >> node.level, channels, self.x)

    def new_activation(self, node: Node) -> Activation:
        """Empty rows of the nonlinearity of values of the node's width."""
        network = self.network
        return Activation(len(self.x), self.x.shape[3] >> node.level, network.num_filters, network.nonlinearity, self.x)

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
