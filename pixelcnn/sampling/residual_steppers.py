"""One stepper per kind of node of PixelCNN++, its weights as matrices."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelcnn.network.blocks import GatedResidualBlock, OutputLayer, ShiftedConv, UpsamplingConv
from pixelcnn.network.layers import CausalConv2d
from pixelcnn.network.nonlinearities import Nonlinearity
from pixelcnn.network.topology import Downsample, GatedBlock, ImageConv, Output, Sum, Upsample
from pixelcnn.sampling.rows import ConcatEluRows, Reach, RowConv, Rows, fuses
from pixelcnn.sampling.stepper import ConditionTerm, Setting, Stepper, reach_of, steps


@steps(ImageConv)
class ImageConvStepper(Stepper):
    """A convolution of the image, moved down and right; what the shift moves in is zero, without the bias."""

    def __init__(self, setting: Setting, node: ImageConv, layer: ShiftedConv) -> None:
        conv = layer.conv
        super().__init__(setting, node, len(conv.b))
        self.down, self.right = node.shift
        source, whole = self.inputs[0].rows, self.down > 0
        self.conv = RowConv(conv.weight(), conv.b, node.window.left, source, whole, down=self.down, right=self.right)

    @staticmethod
    def reads(node: ImageConv) -> dict[str, Reach]:
        return {node.inputs[0]: reach_of(node.window, *node.shift)}

    def begin_row(self, i: int) -> None:
        super().begin_row(i)
        self.conv.begin_row()
        if self.down and i > 0:
            self.write_row(self.conv.base)

    def pixel(self, i: int, j: int, group: int) -> None:
        if self.right and j > 0:
            self.rows.write_pixel(j, self.conv.pixel(j).t())
            self.activate(j)


@steps(Sum)
class SumStepper(Stepper):
    """Sum of two pixels."""

    def __init__(self, setting: Setting, node: Sum, layer: Any) -> None:
        super().__init__(setting, node, setting.steppers[node.inputs[0]].rows.channels)

    def pixel(self, i: int, j: int, group: int) -> None:
        first, second = self.inputs
        torch.add(first.rows.pixel(j), second.rows.pixel(j), out=self.rows.pixel(j))
        self.activate(j)


@steps(GatedBlock)
class GatedBlockStepper(Stepper):
    """A gated residual block. Its auxiliary projection is split by input; the u stream enters a row at a time."""

    def __init__(self, setting: Setting, node: GatedBlock, layer: GatedResidualBlock) -> None:
        super().__init__(setting, node, len(layer.conv1.b))
        self.main, *aux = self.inputs
        window = node.window
        self.aux_of_row: list[tuple[Rows, Tensor]] = []
        self.aux_of_pixel: list[tuple[Rows, Tensor]] = []
        for stepper, weight in zip(aux, _aux_weights(layer), strict=True):
            if stepper.is_u:
                self.aux_of_row.append((_activation(stepper), weight))
            else:
                self.aux_of_pixel.append((_activation(stepper), weight.t().contiguous()))
        bias = layer.conv1.b + layer.aux_dense.b if aux else layer.conv1.b
        self.conv1 = RowConv(layer.conv1.weight(), bias, window.left, _activation(self.main), whole=self.is_u)
        self.inner = setting.rows(node, len(layer.conv1.b), reach_of(window), layer.nonlinearity)
        self.conv2 = RowConv(layer.conv2.weight(), layer.conv2.b, window.left, self.inner, whole=self.is_u)
        self.condition = ConditionTerm(layer.hw, node.level)
        self.fused = fuses(setting.like) and isinstance(self.activation, ConcatEluRows | None)

    @staticmethod
    def reads(node: GatedBlock) -> dict[str, Reach]:
        return {node.inputs[0]: Reach()}

    @staticmethod
    def reads_activated(node: GatedBlock, layer: GatedResidualBlock) -> dict[str, tuple[Nonlinearity, Reach]]:
        main, *aux = node.inputs
        reaches = {main: reach_of(node.window)} | {name: Reach() for name in aux}
        return {name: (layer.nonlinearity, reach) for name, reach in reaches.items()}

    def kept(self) -> list[Rows]:
        return [*super().kept(), self.inner]

    def weights(self) -> list[Tensor]:
        return [*super().weights(), *(weight for _, weight in (*self.aux_of_row, *self.aux_of_pixel))]

    def begin_row(self, i: int) -> None:
        super().begin_row(i)
        self.inner.begin_row(i)
        self.conv1.begin_row()
        for activation, weight in self.aux_of_row:
            self.conv1.add_to_base(activation.row, weight)
        if self.is_u:
            self.inner.write_row(self.conv1.base)
        self.conv2.begin_row()
        self.condition.add_to(self.conv2.base)
        if self.is_u:
            self.write_row(self.main.rows.row + F.glu(self.conv2.base, dim=2))

    def pixel(self, i: int, j: int, group: int) -> None:
        c1 = self.conv1.pixel(j)
        for activation, weight in self.aux_of_pixel:
            c1.addmm_(weight, activation.pixel(j).t())
        self.inner.write_pixel(j, c1.t())
        ab = self.conv2.pixel(j).t()
        if self.fused:
            from pixelcnn.sampling.fused import write_gated  # which imports Triton

            activated = None if self.activation is None else self.activation.pixel(j)
            write_gated(self.main.rows.pixel(j), ab, self.rows.pixel(j), activated)
            return
        a, b = ab.chunk(2, dim=1)
        torch.addcmul(self.main.rows.pixel(j), a, b.sigmoid_(), out=self.rows.pixel(j))
        self.activate(j)


@steps(Downsample)
class DownsampleStepper(Stepper):
    """A convolution of stride 2: its input's current row is row 2i."""

    def __init__(self, setting: Setting, node: Downsample, layer: CausalConv2d) -> None:
        super().__init__(setting, node, len(layer.b))
        self.conv = RowConv(layer.weight(), layer.b, node.window.left, self.inputs[0].rows, whole=self.is_u, stride=2)

    @staticmethod
    def reads(node: Downsample) -> dict[str, Reach]:
        return {node.inputs[0]: reach_of(node.window)}

    def begin_row(self, i: int) -> None:
        super().begin_row(i)
        self.conv.begin_row()
        if self.is_u:
            self.write_row(self.conv.base)

    def pixel(self, i: int, j: int, group: int) -> None:
        self.rows.write_pixel(j, self.conv.pixel(j).t())
        self.activate(j)


@steps(Upsample)
class UpsampleStepper(Stepper):
    """A transposed convolution of stride 2: row i comes from the input's row i // 2 by one row of the kernel."""

    def __init__(self, setting: Setting, node: Upsample, layer: UpsamplingConv) -> None:
        super().__init__(setting, node, len(layer.conv.b))
        self.weight, self.bias, self.crop = layer.conv.weight().clone(), layer.conv.b.clone(), node.window.right
        self.column_bias = self.bias[:, None]
        self.taps = [[self.weight[:, :, a, b].t().contiguous() for b in range(2)] for a in range(2)]

    def weights(self) -> list[Tensor]:
        return [self.weight, self.bias, *self.taps[0], *self.taps[1]]

    def begin_row(self, i: int) -> None:
        super().begin_row(i)
        if self.is_u:
            source = self.inputs[0].rows.row.transpose(1, 2)
            full = F.conv_transpose1d(source, self.weight[:, :, i % 2], self.bias, stride=2, output_padding=1)
            self.write_row(full[:, :, self.crop : self.crop + self.rows.width].transpose(1, 2))

    def pixel(self, i: int, j: int, group: int) -> None:
        assert self.crop == 0
        value = torch.addmm(self.column_bias, self.taps[i % 2][j % 2], self.inputs[0].rows.pixel(j // 2).t())
        self.rows.write_pixel(j, value.t())
        self.activate(j)


@steps(Output)
class OutputStepper(Stepper):
    """The parameters of the pixel, in ``parameters`` (N, P)."""

    parameters: Tensor

    def __init__(self, setting: Setting, node: Output, layer: OutputLayer) -> None:
        super().__init__(setting, node, 1)
        self.weight, self.bias = layer.dense.weight().flatten(1).clone(), layer.dense.b[:, None].clone()

    def weights(self) -> list[Tensor]:
        return [self.weight, self.bias]

    def begin_row(self, i: int) -> None:
        """Nothing depends on the row."""

    def pixel(self, i: int, j: int, group: int) -> None:
        self.parameters = torch.addmm(self.bias, self.weight, F.elu(self.inputs[0].rows.pixel(j)).t()).t()


def _aux_weights(layer: GatedResidualBlock) -> list[Tensor]:
    """A matrix (in, out) for each auxiliary input: nl of their concatenation orders (expansion, input, feature)."""
    if not layer.aux_features:
        return []
    parts = layer.aux_dense.weight().unflatten(1, (layer.expansion, -1)).split(layer.aux_features, dim=2)
    return [part.flatten(1).t().contiguous() for part in parts]


def _activation(stepper: Stepper) -> Rows:
    assert stepper.activation is not None
    return stepper.activation
