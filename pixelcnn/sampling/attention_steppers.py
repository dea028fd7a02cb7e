"""The steppers of PixelSNAIL's own nodes. Attention keeps the keys and values of all earlier pixels of its images."""

import math

import torch
from torch import Tensor

from pixelcnn.network.attention import CausalAttention, PlacedFeatures, places
from pixelcnn.network.layers import CausalConv2d
from pixelcnn.network.topology import Attention, Placed, Pointwise
from pixelcnn.sampling.rows import RowConv
from pixelcnn.sampling.stepper import Setting, Stepper, steps


@steps(Placed)
class PlacedStepper(Stepper):
    """Features side by side; the places of a row's pixels are copied in before it begins."""

    def __init__(self, setting: Setting, node: Placed, layer: PlacedFeatures) -> None:
        super().__init__(setting, node, sum(layer.features) + 2 * layer.copies)
        self.features, self.num_features = layer.features, sum(layer.features)
        self.places = places(layer.copies, setting.height, setting.width, setting.like).permute(1, 2, 0).contiguous()

    def take_condition_of_row(self, i: int) -> None:
        super().take_condition_of_row(i)
        self.rows.row[:, :, self.num_features :] = self.places[i]

    def pixel(self, i: int, j: int, group: int) -> None:
        parts = [x.rows.pixel(j)[:, :count] for x, count in zip(self.inputs, self.features, strict=True)]
        self.rows.pixel(j)[:, : self.num_features] = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
        self.activate(j)


@steps(Pointwise)
class PointwiseStepper(Stepper):
    """A 1x1 layer."""

    def __init__(self, setting: Setting, node: Pointwise, layer: CausalConv2d) -> None:
        super().__init__(setting, node, len(layer.b))
        self.conv = RowConv(layer.weight(), layer.b, 0, self.inputs[0].rows, whole=False)

    def begin_row(self, i: int) -> None:
        super().begin_row(i)
        self.conv.begin_row()

    def pixel(self, i: int, j: int, group: int) -> None:
        self.rows.write_pixel(j, self.conv.pixel(j).t())
        self.activate(j)


@steps(Attention)
class AttentionStepper(Stepper):
    """Attention over ``slots`` (N, H * W, K + V), which hold pixel j of the current row in slot W - 1 - j, and complete
    rows r from slot (r + 1) W on. Pixel (i, j) sees the slots from W - j up to (i + 1) W.

    A captured row is replayed as later rows, which see more. It therefore reads the slots to their end, and ``hidden``
    (H * W), of zeros and -inf, is added to the logits.
    """

    def __init__(self, setting: Setting, node: Attention, layer: CausalAttention) -> None:
        queries, self.keys_values = (setting.steppers[name] for name in node.inputs)
        keys = queries.rows.channels
        super().__init__(setting, node, self.keys_values.rows.channels - keys)
        self.width, self.scale = setting.width, 1 / math.sqrt(keys)
        self.slots = setting.like.new_zeros(setting.n, setting.height * setting.width, keys + self.rows.channels)
        self.keys, self.values = self.slots[:, :, :keys].mT, self.slots[:, :, keys:]
        self.hidden = setting.like.new_zeros(setting.height * setting.width)

    @property
    def num_bytes(self) -> int:
        return super().num_bytes + self.slots.nbytes

    def begin_image(self, h: Tensor | None) -> None:
        super().begin_image(h)
        self.slots.zero_()
        self.hidden.fill_(-math.inf)

    def take_condition_of_row(self, i: int) -> None:
        super().take_condition_of_row(i)
        first, end = i * self.width, (i + 1) * self.width
        self.hidden[first:end] = 0
        if i > 0:
            self.slots[:, first:end] = self.keys_values.rows.row

    def pixel(self, i: int, j: int, group: int) -> None:
        value = self.rows.pixel(j)
        if j > 0:
            self.slots[:, self.width - j] = self.keys_values.rows.pixel(j - 1)
        elif i == 0:
            value.zero_()
            self.activate(j)
            return
        seen = slice(self.width - j, self.width if i == 0 else None)
        query = self.inputs[0].rows.pixel(j)[:, None]
        logits = torch.baddbmm(self.hidden[None, None, seen], query, self.keys[:, :, seen], alpha=self.scale)
        torch.bmm(logits.softmax(dim=2), self.values[:, seen], out=value[:, None])
        self.activate(j)
