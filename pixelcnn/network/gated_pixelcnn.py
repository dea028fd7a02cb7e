"""Gated PixelCNN (van den Oord et al. 2016b): its topology, and the layer of each of its nodes."""

from typing import ClassVar

from torch import nn

from pixelcnn.network.blocks import ShiftedConv
from pixelcnn.network.embedding import Input, embedding_for, seen_channels
from pixelcnn.network.layers import CausalConv2d
from pixelcnn.network.masked_blocks import (
    GateLayer,
    HorizontalLayer,
    MaskedImageLayer,
    MaskedOutputLayer,
    require_masked_network,
)
from pixelcnn.network.parallel import Network, require_layers
from pixelcnn.network.topology import (
    IMAGE,
    Gate,
    HorizontalBlock,
    ImageConv,
    MaskedImageConv,
    MaskedOutput,
    Node,
    Topology,
    VerticalConv,
    Window,
)


class GatedPixelCNN(Network):
    """The network of van den Oord et al. 2016b ("Conditional Image Generation with PixelCNN Decoders").

    ``num_filters``: features of each stack; a gated unit computes twice as many. ``first_kernel_size``: of the layer
    that sees the image. ``num_output_features``: of the layer before the output. With several ``num_groups`` of
    channels, as under a categorical likelihood, each group has an equal part of the features.
    """

    name: ClassVar[str] = "gated_pixelcnn"
    masked_channels: ClassVar[bool] = True

    def __init__(
        self,
        image_channels: int,
        num_parameters: int,
        num_groups: int = 1,
        condition_features: int = 0,
        image_levels: int = 256,
        *,
        num_filters: int = 126,
        num_layers: int = 15,
        first_kernel_size: int = 7,
        kernel_size: int = 5,
        num_output_features: int = 1023,
        dropout: float = 0.0,
        input: Input = "scaled",
        embedding_features: int = 64,
    ) -> None:
        require_masked_network(num_groups, num_filters, num_output_features, first_kernel_size, kernel_size, dropout)
        require_layers(num_layers=num_layers)
        embedding = embedding_for(input, image_channels, image_levels, embedding_features)
        seen = seen_channels(embedding, image_channels)

        def layer_of(node: Node) -> nn.Module:
            match node:
                case ImageConv():
                    return ShiftedConv(seen + 1, num_filters, node.window, node.shift)
                case MaskedImageConv():
                    return MaskedImageLayer(seen, num_filters, node.window, num_groups)
                case VerticalConv():
                    return CausalConv2d(num_filters, 2 * num_filters, node.window)
                case Gate():
                    return GateLayer(num_filters, condition_features)
                case HorizontalBlock():
                    return HorizontalLayer(num_filters, node.window, num_groups, dropout, condition_features)
                case MaskedOutput():
                    return MaskedOutputLayer(num_filters, num_output_features, num_parameters, num_groups)
            raise AssertionError(node)

        super().__init__(gated_pixelcnn(num_layers, first_kernel_size, kernel_size, num_groups), layer_of, embedding)


def gated_pixelcnn(num_layers: int, first_kernel_size: int, kernel_size: int, num_groups: int) -> Topology:
    """Gated PixelCNN (van den Oord et al. 2016b, figure 2), without blind spot.

    The vertical stack (stream u) sees the rows above. The horizontal stack (ul), which is residual, sees the pixels to
    the left in its row, and the vertical stack through a 1x1 layer.
    """
    reach = first_kernel_size // 2
    nodes: list[Node] = [
        ImageConv("v_init", (IMAGE,), "u", 0, Window(above=reach - 1, left=reach, right=reach), shift=(1, 0)),
        MaskedImageConv("h_init", (IMAGE,), "ul", 0, Window(above=0, left=reach, right=0)),
    ]
    v, h, reach = "v_init", "h_init", kernel_size // 2
    for k in range(num_layers):
        nodes += [
            VerticalConv(f"v_conv{k}", (v,), "u", 0, Window(above=reach, left=reach, right=reach)),
            Gate(f"v{k}", (f"v_conv{k}",), "u", 0),
            HorizontalBlock(f"h{k}", (h, f"v_conv{k}"), "ul", 0, Window(above=0, left=reach, right=0)),
        ]
        v, h = f"v{k}", f"h{k}"
    read = {name for node in nodes for name in node.inputs}
    nodes = [node for node in nodes if node.name in read or node.name == h]
    nodes.append(MaskedOutput("output", (h,), "ul", 0))
    return Topology(tuple(nodes), num_groups)
