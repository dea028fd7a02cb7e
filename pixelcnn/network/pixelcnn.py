"""PixelCNN (van den Oord et al. 2016a): its topology, and the layer of each of its nodes."""

from typing import ClassVar

from torch import nn

from pixelcnn.network.embedding import Input, embedding_for, seen_channels
from pixelcnn.network.masked_blocks import MaskedImageLayer, MaskedOutputLayer, ResidualLayer, require_masked_network
from pixelcnn.network.parallel import Network, require_layers
from pixelcnn.network.topology import IMAGE, MaskedImageConv, MaskedOutput, MaskedResidualBlock, Node, Topology, Window


class PixelCNN(Network):
    """The convolutional network of van den Oord et al. 2016a ("Pixel Recurrent Neural Networks").

    ``num_filters``: their h; the residual stream has 2 h features. ``first_kernel_size``: of the layer that sees the
    image. ``num_output_features``: of the layer before the output. With several ``num_groups`` of channels, as under a
    categorical likelihood, each group has an equal part of the features.
    """

    name: ClassVar[str] = "pixelcnn"
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
        num_blocks: int = 15,
        first_kernel_size: int = 7,
        kernel_size: int = 3,
        num_output_features: int = 1023,
        dropout: float = 0.0,
        input: Input = "scaled",
        embedding_features: int = 64,
    ) -> None:
        require_masked_network(num_groups, num_filters, num_output_features, first_kernel_size, kernel_size, dropout)
        require_layers(num_blocks=num_blocks)
        embedding = embedding_for(input, image_channels, image_levels, embedding_features)
        seen = seen_channels(embedding, image_channels)

        def layer_of(node: Node) -> nn.Module:
            match node:
                case MaskedImageConv():
                    return MaskedImageLayer(seen, 2 * num_filters, node.window, num_groups)
                case MaskedResidualBlock():
                    return ResidualLayer(num_filters, node.window, num_groups, dropout, condition_features)
                case MaskedOutput():
                    return MaskedOutputLayer(2 * num_filters, num_output_features, num_parameters, num_groups)
            raise AssertionError(node)

        super().__init__(pixelcnn(num_blocks, first_kernel_size, kernel_size, num_groups), layer_of, embedding)


def pixelcnn(num_blocks: int, first_kernel_size: int, kernel_size: int, num_groups: int) -> Topology:
    """PixelCNN (van den Oord et al. 2016a, section 3.5 and table 1): masked convolutions, with their blind spot."""
    reach = first_kernel_size // 2
    nodes: list[Node] = [MaskedImageConv("init", (IMAGE,), "ul", 0, Window(above=reach, left=reach, right=reach))]
    reach = kernel_size // 2
    for k in range(num_blocks):
        window = Window(above=reach, left=reach, right=reach)
        nodes.append(MaskedResidualBlock(f"block{k}", (nodes[-1].name,), "ul", 0, window))
    nodes.append(MaskedOutput("output", (nodes[-1].name,), "ul", 0))
    return Topology(tuple(nodes), num_groups)
