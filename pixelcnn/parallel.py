"""The parallel walk: a topology with weights, evaluated for all pixels at once (training and evaluation)."""

import torch
from torch import Tensor, nn

from pixelcnn.blocks import Add, GatedResidualBlock, OutputLayer, ShiftedConv, UpsamplingConv
from pixelcnn.layers import CausalConv2d
from pixelcnn.topology import IMAGE, Downsample, GatedBlock, ImageConv, Node, Output, Sum, Topology, Upsample


class Network(nn.Module):
    """Maps images to the P parameters of every pixel's distribution.

    ``layers[node.name]`` is the module of each node. ``condition_features`` is the length of the condition vector h
    that enters every gated block, 0 for none.
    """

    def __init__(
        self,
        topology: Topology,
        image_channels: int,
        num_parameters: int,
        num_filters: int,
        nonlinearity: str,
        dropout: float,
        condition_features: int = 0,
    ) -> None:
        super().__init__()
        self.topology = topology
        self.image_channels, self.num_parameters, self.num_filters = image_channels, num_parameters, num_filters
        self.nonlinearity, self.dropout = nonlinearity, dropout
        self.condition_features = condition_features
        self.layers = nn.ModuleDict({node.name: self._layer(node) for node in topology.nodes})
        self._last_reader = {name: node.name for node in topology.nodes for name in node.inputs}

    def _layer(self, node: Node) -> nn.Module:
        match node:
            case ImageConv():
                return ShiftedConv(self.image_channels + 1, self.num_filters, node.window, node.shift)
            case Sum():
                return Add()
            case GatedBlock():
                return GatedResidualBlock(
                    self.num_filters,
                    node.window,
                    len(node.inputs) - 1,
                    self.nonlinearity,
                    self.dropout,
                    self.condition_features,
                )
            case Downsample():
                return CausalConv2d(self.num_filters, self.num_filters, node.window, stride=2)
            case Upsample():
                return UpsamplingConv(self.num_filters, node.window)
            case Output():
                return OutputLayer(self.num_filters, self.num_parameters)
        raise AssertionError(node)

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        """x (N, C, H, W) in [-1, 1], h (N, D) or None; returns (N, P, H, W)."""
        return self.values(x, h)[self.topology.nodes[-1].name]

    def values(self, x: Tensor, h: Tensor | None = None, keep: bool = False) -> dict[str, Tensor]:
        """Every node's value by name; without ``keep`` each is dropped after its last reader has run."""
        values = {IMAGE: with_ones_channel(x)}
        for node in self.topology.nodes:
            layer = self.layers[node.name]
            inputs = [values[name] for name in node.inputs]
            values[node.name] = layer(*inputs, h=h) if isinstance(layer, GatedResidualBlock) else layer(*inputs)
            if not keep:
                for name in set(node.inputs):
                    if self._last_reader[name] == node.name:
                        del values[name]
        return values


def with_ones_channel(x: Tensor) -> Tensor:
    """(N, C, H, W) to (N, C + 1, H, W): a channel of ones tells the inside of the image from its zero padding."""
    return torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
