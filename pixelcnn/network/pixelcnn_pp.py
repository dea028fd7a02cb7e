"""PixelCNN++ (Salimans et al. 2017): its topology, and the layer of each of its nodes."""

from typing import ClassVar, Literal

from torch import nn

from pixelcnn.errors import require
from pixelcnn.network.blocks import Add, GatedResidualBlock, OutputLayer, ShiftedConv, UpsamplingConv
from pixelcnn.network.embedding import Input, embedding_for, seen_channels
from pixelcnn.network.layers import CausalConv2d
from pixelcnn.network.parallel import Network, require_dropout, require_layers, require_positive
from pixelcnn.network.topology import (
    IMAGE,
    UP,
    UP_LEFT,
    Downsample,
    GatedBlock,
    ImageConv,
    Node,
    Output,
    Sum,
    Topology,
    Upsample,
    Window,
)

MOST_STAGES = 16  # of images of 32,768 pixels a side

# The ul stream's first nodes.
UP_LEFT_INIT: tuple[Node, ...] = (
    ImageConv("ul_init_above", (IMAGE,), "ul", 0, Window(above=0, left=1, right=1), shift=(1, 0)),
    ImageConv("ul_init_left", (IMAGE,), "ul", 0, Window(above=1, left=0, right=0), shift=(0, 1)),
    Sum("ul_init", ("ul_init_above", "ul_init_left"), "ul", 0),
)


class PixelCNNPP(Network):
    """The network of Salimans et al. 2017; by default the paper's for CIFAR-10, of 53.7 million parameters.

    ``num_resnet_blocks``: per stage. ``num_stages``: resolutions, each half the size of the one before.
    ``short_cuts``: from the up pass to the down pass. ``block_init_scale`` and ``output_init_scale``: the standard
    deviations that data-dependent initialisation gives the outputs of a block's second convolution and of the network.
    """

    name: ClassVar[str] = "pixelcnn_pp"
    masked_channels: ClassVar[bool] = False

    def __init__(
        self,
        image_channels: int,
        num_parameters: int,
        condition_features: int = 0,
        image_levels: int = 256,
        *,
        num_filters: int = 160,
        num_resnet_blocks: int = 5,
        num_stages: int = 3,
        nonlinearity: Literal["concat_elu", "elu", "relu"] = "concat_elu",
        dropout: float = 0.5,
        short_cuts: bool = True,
        block_init_scale: float = 0.1,
        output_init_scale: float = 1.0,
        input: Input = "scaled",
        embedding_features: int = 64,
    ) -> None:
        require_positive(num_filters=num_filters, num_stages=num_stages)
        require_positive(block_init_scale=block_init_scale, output_init_scale=output_init_scale)
        require_layers(num_resnet_blocks=num_resnet_blocks)
        require_dropout(dropout)
        require(num_stages <= MOST_STAGES, "num_stages", num_stages, f"use at most {MOST_STAGES} resolutions")
        embedding = embedding_for(input, image_channels, image_levels, embedding_features)
        seen = seen_channels(embedding, image_channels)

        def layer_of(node: Node) -> nn.Module:
            match node:
                case ImageConv():
                    return ShiftedConv(seen + 1, num_filters, node.window, node.shift)
                case Sum():
                    return Add()
                case GatedBlock():
                    aux = [num_filters] * (len(node.inputs) - 1)
                    return GatedResidualBlock(
                        num_filters, node.window, aux, nonlinearity, dropout, condition_features, block_init_scale
                    )
                case Downsample():
                    return CausalConv2d(num_filters, num_filters, node.window, stride=2)
                case Upsample():
                    return UpsamplingConv(num_filters, node.window)
                case Output():
                    return OutputLayer(num_filters, num_parameters, output_init_scale)
            raise AssertionError(node)

        super().__init__(pixelcnn_pp(num_resnet_blocks, num_stages, short_cuts), layer_of, embedding)


def pixelcnn_pp(num_resnet_blocks: int, num_stages: int, short_cuts: bool = True) -> Topology:
    """PixelCNN++ (Salimans et al. 2017, section 2 and figure 2).

    The up pass runs from the image's resolution to the lowest, the down pass back; each block of the down pass takes a
    short-cut from the mirrored node of the up pass, unless ``short_cuts`` is off (their section 3.4.3).
    """
    nodes: list[Node] = [ImageConv("u_init", (IMAGE,), "u", 0, UP, shift=(1, 0)), *UP_LEFT_INIT]
    u, ul = "u_init", "ul_init"
    skips = [(u, ul)]

    def add(node: Node) -> str:
        nodes.append(node)
        return node.name

    for stage in range(num_stages):
        if stage > 0:
            u = add(Downsample(f"shrink{stage}_u", (u,), "u", stage, UP))
            ul = add(Downsample(f"shrink{stage}_ul", (ul,), "ul", stage, UP_LEFT))
            skips.append((u, ul))
        for k in range(num_resnet_blocks):
            u = add(GatedBlock(f"up{stage}_u{k}", (u,), "u", stage, UP))
            ul = add(GatedBlock(f"up{stage}_ul{k}", (ul, u), "ul", stage, UP_LEFT))
            skips.append((u, ul))

    u, ul = skips.pop()
    for stage in reversed(range(num_stages)):
        for k in range(num_resnet_blocks + (stage < num_stages - 1)):
            u_skip, ul_skip = skips.pop()
            u = add(GatedBlock(f"down{stage}_u{k}", (u, u_skip) if short_cuts else (u,), "u", stage, UP))
            ul = add(
                GatedBlock(f"down{stage}_ul{k}", (ul, u, ul_skip) if short_cuts else (ul, u), "ul", stage, UP_LEFT)
            )
        if stage > 0:
            u = add(Upsample(f"grow{stage}_u", (u,), "u", stage - 1, UP))
            ul = add(Upsample(f"grow{stage}_ul", (ul,), "ul", stage - 1, UP_LEFT))
    assert not skips
    nodes.append(Output("output", (ul,), "ul", 0))
    return Topology(tuple(nodes))
