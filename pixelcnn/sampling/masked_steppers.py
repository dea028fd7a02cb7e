"""The steppers of Gated PixelCNN and PixelCNN, which write a pixel's features group by group."""

import torch
from torch import Tensor

from pixelcnn.network.layers import CausalConv2d
from pixelcnn.network.masked_blocks import (
    GateLayer,
    HorizontalLayer,
    MaskedImageLayer,
    MaskedOutputLayer,
    ResidualLayer,
    gated,
)
from pixelcnn.network.topology import (
    Gate,
    HorizontalBlock,
    MaskedImageConv,
    MaskedOutput,
    MaskedResidualBlock,
    VerticalConv,
)
from pixelcnn.sampling.residual_steppers import OutputStepper
from pixelcnn.sampling.rows import Reach, ReluRows, RowConv, Rows
from pixelcnn.sampling.stepper import ConditionTerm, Setting, Stepper, reach_of, steps


def _slices(channels: int, num_groups: int) -> list[slice]:
    size = channels // num_groups
    return [slice(g * size, (g + 1) * size) for g in range(num_groups)]


@steps(MaskedImageConv)
class MaskedImageStepper(Stepper):
    """A masked convolution of the image: the pixel's own later groups have weight zero."""

    def __init__(self, setting: Setting, node: MaskedImageConv, layer: MaskedImageLayer) -> None:
        conv = layer.conv
        super().__init__(setting, node, len(conv.b))
        self.groups = _slices(len(conv.b), setting.num_groups)
        self.conv = RowConv(
            conv.weight(), conv.b, node.window.left, self.inputs[0].rows, whole=False, out_groups=self.groups
        )

    @staticmethod
    def reads(node: MaskedImageConv) -> dict[str, Reach]:
        return {node.inputs[0]: reach_of(node.window)}

    def begin_row(self, i: int) -> None:
        super().begin_row(i)
        self.conv.begin_row()

    def pixel(self, i: int, j: int, group: int) -> None:
        self.rows.pixel(j)[:, self.groups[group]] = self.conv.pixel(j, group).t()


@steps(VerticalConv)
class VerticalConvStepper(Stepper):
    """A convolution in the vertical stack."""

    def __init__(self, setting: Setting, node: VerticalConv, layer: CausalConv2d) -> None:
        super().__init__(setting, node, len(layer.b))
        self.conv = RowConv(layer.weight(), layer.b, node.window.left, self.inputs[0].rows, whole=True)

    @staticmethod
    def reads(node: VerticalConv) -> dict[str, Reach]:
        return {node.inputs[0]: reach_of(node.window)}

    def begin_row(self, i: int) -> None:
        super().begin_row(i)
        self.conv.begin_row()
        self.rows.write_row(self.conv.base)


@steps(Gate)
class GateStepper(Stepper):
    """The gate of the vertical stack."""

    def __init__(self, setting: Setting, node: Gate, layer: GateLayer) -> None:
        super().__init__(setting, node, setting.steppers[node.inputs[0]].rows.channels // 2)
        self.condition = ConditionTerm(layer.hw, node.level)

    def begin_row(self, i: int) -> None:
        super().begin_row(i)
        before = self.inputs[0].rows.row.clone()
        self.condition.add_to(before)
        self.rows.write_row(gated(before.transpose(1, 2)).transpose(1, 2))


@steps(HorizontalBlock)
class HorizontalStepper(Stepper):
    """A layer of the horizontal stack; what comes from the vertical one enters a row at a time."""

    def __init__(self, setting: Setting, node: HorizontalBlock, layer: HorizontalLayer) -> None:
        filters = len(layer.res.b)
        super().__init__(setting, node, filters)
        self.main, self.vertical = self.inputs
        self.groups = _slices(filters, setting.num_groups)
        # Both halves of a gate's input side by side, group by group.
        order = torch.arange(2 * filters).view(2, setting.num_groups, -1).transpose(0, 1).flatten()
        weight, bias = layer.conv.weight()[order], (layer.conv.b + layer.link.b)[order]
        gates = _slices(2 * filters, setting.num_groups)
        self.conv = RowConv(weight, bias, node.window.left, self.main.rows, whole=False, out_groups=gates)
        self.link = layer.link.weight().flatten(1)[order].t().contiguous()
        self.condition = ConditionTerm(None if layer.hw is None else layer.hw[:, order], node.level)
        self.gate = setting.rows(node, filters, Reach())
        self.res = RowConv(layer.res.weight(), layer.res.b, 0, self.gate, whole=False, out_groups=self.groups)

    @staticmethod
    def reads(node: HorizontalBlock) -> dict[str, Reach]:
        main, vertical = node.inputs
        return {main: reach_of(node.window), vertical: Reach()}

    def kept(self) -> list[Rows]:
        return [*super().kept(), self.gate]

    def weights(self) -> list[Tensor]:
        return [*super().weights(), self.link]

    def begin_row(self, i: int) -> None:
        super().begin_row(i)
        self.gate.begin_row(i)
        self.conv.begin_row()
        self.conv.add_to_base(self.vertical.rows.row, self.link)
        self.condition.add_to(self.conv.base)
        self.res.begin_row()

    def pixel(self, i: int, j: int, group: int) -> None:
        own = self.groups[group]
        self.gate.pixel(j)[:, own] = gated(self.conv.pixel(j, group).t())
        residual = self.res.pixel(j, group).t()
        torch.add(self.main.rows.pixel(j)[:, own], residual, out=self.rows.pixel(j)[:, own])


@steps(MaskedResidualBlock)
class ResidualStepper(Stepper):
    """A masked residual block."""

    def __init__(self, setting: Setting, node: MaskedResidualBlock, layer: ResidualLayer) -> None:
        narrow, wide = len(layer.reduce.b), len(layer.expand.b)
        super().__init__(setting, node, wide)
        self.main = self.inputs[0]
        self.narrow, self.wide = _slices(narrow, setting.num_groups), _slices(wide, setting.num_groups)
        self.seen, self.reduced, self.inner = (
            ReluRows(setting.n, setting.width >> node.level, channels, reach, setting.like)
            for channels, reach in ((wide, Reach()), (narrow, reach_of(node.window)), (narrow, Reach()))
        )
        self.reduce = RowConv(layer.reduce.weight(), layer.reduce.b, 0, self.seen, False, out_groups=self.narrow)
        self.conv = RowConv(
            layer.conv.weight(), layer.conv.b, node.window.left, self.reduced, False, out_groups=self.narrow
        )
        self.expand = RowConv(layer.expand.weight(), layer.expand.b, 0, self.inner, False, out_groups=self.wide)
        self.condition = ConditionTerm(layer.hw, node.level)

    def kept(self) -> list[Rows]:
        return [*super().kept(), self.seen, self.reduced, self.inner]

    def begin_row(self, i: int) -> None:
        super().begin_row(i)
        for rows in (self.seen, self.reduced, self.inner):
            rows.begin_row(i)
        for conv in (self.reduce, self.conv, self.expand):
            conv.begin_row()
        self.condition.add_to(self.conv.base)

    def pixel(self, i: int, j: int, group: int) -> None:
        narrow, wide = self.narrow[group], self.wide[group]
        value = self.main.rows.pixel(j)[:, wide]
        self.seen.write_group(j, value, wide)
        self.reduced.write_group(j, self.reduce.pixel(j, group).t(), narrow)
        self.inner.write_group(j, self.conv.pixel(j, group).t(), narrow)
        torch.add(value, self.expand.pixel(j, group).t(), out=self.rows.pixel(j)[:, wide])


@steps(MaskedOutput)
class MaskedOutputStepper(OutputStepper):
    """The parameters of a group, in ``parameters`` (N, P / groups)."""

    def __init__(self, setting: Setting, node: MaskedOutput, layer: MaskedOutputLayer) -> None:
        Stepper.__init__(self, setting, node, 1)
        channels, features = self.inputs[0].rows.channels, len(layer.hidden.b)
        self.input_groups = _slices(channels, setting.num_groups)
        self.feature_groups = _slices(features, setting.num_groups)
        parameter_groups = _slices(len(layer.dense.b), setting.num_groups)
        self.seen = self.inputs[0].rows.pixel(0).new_zeros(setting.n, channels)
        self.features = self.seen.new_zeros(setting.n, features)
        hidden, dense = layer.hidden.weight().flatten(1), layer.dense.weight().flatten(1)
        self.hidden = [(hidden[g].clone(), layer.hidden.b[g, None].clone()) for g in self.feature_groups]
        self.dense = [(dense[g].clone(), layer.dense.b[g, None].clone()) for g in parameter_groups]

    def weights(self) -> list[Tensor]:
        return [weight for pair in (*self.hidden, *self.dense) for weight in pair]

    def pixel(self, i: int, j: int, group: int) -> None:
        own, features = self.input_groups[group], self.feature_groups[group]
        torch.clamp_min(self.inputs[0].rows.pixel(j)[:, own], 0, out=self.seen[:, own])
        weight, bias = self.hidden[group]
        torch.clamp_min(torch.addmm(bias, weight, self.seen.t()).t(), 0, out=self.features[:, features])
        weight, bias = self.dense[group]
        self.parameters = torch.addmm(bias, weight, self.features.t()).t()
