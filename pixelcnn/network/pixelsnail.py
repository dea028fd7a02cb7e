"""PixelSNAIL (Chen et al. 2018): its topology, and the layer of each of its nodes."""

from typing import ClassVar, Literal

from torch import nn

from pixelcnn.network.attention import CausalAttention, PlacedFeatures
from pixelcnn.network.blocks import Add, GatedResidualBlock, OutputLayer, ShiftedConv
from pixelcnn.network.embedding import Input, embedding_for, seen_channels
from pixelcnn.network.layers import CausalConv2d
from pixelcnn.network.parallel import Network, require_dropout, require_layers, require_positive
from pixelcnn.network.pixelcnn_pp import UP_LEFT_INIT
from pixelcnn.network.topology import (
    IMAGE,
    POINT,
    UP_LEFT,
    Attention,
    GatedBlock,
    ImageConv,
    Node,
    Output,
    Placed,
    Pointwise,
    Sum,
    Topology,
)


class PixelSNAIL(Network):
    """The network of Chen et al. 2018; by default the authors' for CIFAR-10, of 46.2 million parameters.

    It repeats ``num_attention_blocks`` times: ``num_resnet_blocks`` gated blocks, then attention over all earlier
    pixels, whose keys have ``num_key_features`` and whose values have ``num_value_features``. ``block_init_scale`` and
    ``output_init_scale`` are as in `PixelCNNPP`.
    """

    name: ClassVar[str] = "pixelsnail"
    masked_channels: ClassVar[bool] = False

    def __init__(
        self,
        image_channels: int,
        num_parameters: int,
        condition_features: int = 0,
        image_levels: int = 256,
        *,
        num_filters: int = 256,
        num_attention_blocks: int = 12,
        num_resnet_blocks: int = 4,
        num_key_features: int = 16,
        num_value_features: int = 128,
        nonlinearity: Literal["concat_elu", "elu", "relu"] = "elu",
        dropout: float = 0.5,
        block_init_scale: float = 0.1,
        output_init_scale: float = 1.0,
        input: Input = "scaled",
        embedding_features: int = 64,
    ) -> None:
        require_positive(num_filters=num_filters, num_key_features=num_key_features)
        require_positive(num_value_features=num_value_features)
        require_positive(block_init_scale=block_init_scale, output_init_scale=output_init_scale)
        require_layers(num_attention_blocks=num_attention_blocks, num_resnet_blocks=num_resnet_blocks)
        require_dropout(dropout)
        embedding = embedding_for(input, image_channels, image_levels, embedding_features)
        features = {IMAGE: seen_channels(embedding, image_channels)}  # of the values of nodes that have their layers

        def layer_of(node: Node) -> nn.Module:
            main, *others = (features[name] for name in node.inputs)
            match node:
                case ImageConv():
                    features[node.name] = num_filters
                    return ShiftedConv(main + 1, num_filters, node.window, node.shift)
                case Sum():
                    features[node.name] = main
                    return Add()
                case GatedBlock():
                    features[node.name] = main
                    return GatedResidualBlock(
                        main, node.window, others, nonlinearity, dropout, condition_features, block_init_scale
                    )
                case Placed():
                    features[node.name] = main + sum(others) + 2 * image_channels
                    return PlacedFeatures([main, *others], image_channels)
                case Pointwise():
                    features[node.name] = node.features
                    return CausalConv2d(main, node.features, POINT)
                case Attention():
                    features[node.name] = num_value_features
                    return CausalAttention()
                case Output():
                    return OutputLayer(main, num_parameters, output_init_scale)
            raise AssertionError(node)

        topology = pixelsnail(num_attention_blocks, num_resnet_blocks, num_key_features, num_value_features)
        super().__init__(topology, layer_of, embedding)


def pixelsnail(
    num_attention_blocks: int, num_resnet_blocks: int, num_key_features: int, num_value_features: int
) -> Topology:
    """PixelSNAIL as its authors' model ``h12_noup_smallkey`` has it, with the ul stream alone.

    Keys and values are computed from the image, the stream and the pixel's place, queries from the stream and the
    place: each by a gated block of 1x1 layers and one more layer. Another such block joins the attention's result with
    the stream.
    """
    nodes: list[Node] = [*UP_LEFT_INIT]

    def add(node: Node) -> str:
        nodes.append(node)
        return node.name

    ul = nodes[-1].name
    for k in range(num_attention_blocks):
        for block in range(num_resnet_blocks):
            ul = add(GatedBlock(f"ul{k}_{block}", (ul,), "ul", 0, UP_LEFT))
        content = add(Placed(f"content{k}", (IMAGE, ul), "own", 0))
        content = add(GatedBlock(f"content_block{k}", (content,), "own", 0, POINT))
        keys_values = add(Pointwise(f"keys_values{k}", (content,), "own", 0, num_key_features + num_value_features))
        query = add(Placed(f"query{k}", (ul,), "ul", 0))
        query = add(GatedBlock(f"query_block{k}", (query,), "ul", 0, POINT))
        query = add(Pointwise(f"queries{k}", (query,), "ul", 0, num_key_features))
        attended = add(Attention(f"attention{k}", (query, keys_values), "ul", 0))
        ul = add(GatedBlock(f"join{k}", (ul, attended), "ul", 0, POINT))
    nodes.append(Output("output", (ul,), "ul", 0))
    return Topology(tuple(nodes))
