"""A network with a topology: two streams of one resolution, of the layers of PixelCNN++."""

from torch import nn

from pixelcnn.network import Network
from pixelcnn.network.blocks import Add, GatedResidualBlock, OutputLayer, ShiftedConv
from pixelcnn.network.topology import IMAGE, UP, UP_LEFT, GatedBlock, ImageConv, Node, Output, Sum, Topology, Window


def shallow(num_blocks: int) -> Topology:
    """``num_blocks`` gated blocks in either stream, without resolutions below the image's."""
    nodes: list[Node] = [
        ImageConv("u_init", (IMAGE,), "u", 0, UP, shift=(1, 0)),
        ImageConv("above", (IMAGE,), "ul", 0, Window(above=0, left=1, right=1), shift=(1, 0)),
        ImageConv("left", (IMAGE,), "ul", 0, Window(above=1, left=0, right=0), shift=(0, 1)),
        Sum("ul_init", ("above", "left"), "ul", 0),
    ]
    u, ul = "u_init", "ul_init"
    for k in range(num_blocks):
        nodes += [
            GatedBlock(f"u{k}", (u,), "u", 0, UP),
            GatedBlock(f"ul{k}", (ul, f"u{k}"), "ul", 0, UP_LEFT),
        ]
        u, ul = f"u{k}", f"ul{k}"
    return Topology((*nodes, Output("output", (ul,), "ul", 0)))


class Shallow(Network):
    """The topology with weights; each node of a kind has that kind's layer."""

    def __init__(
        self, image_channels: int, num_parameters: int, condition_features: int = 0, *, width: int = 16, blocks: int = 2
    ) -> None:
        def layer_of(node: Node) -> nn.Module:
            match node:
                case ImageConv():
                    return ShiftedConv(image_channels + 1, width, node.window, node.shift)
                case Sum():
                    return Add()
                case GatedBlock():
                    aux = [width] * (len(node.inputs) - 1)
                    return GatedResidualBlock(width, node.window, aux, "concat_elu", 0.0, condition_features, 0.1)
                case Output():
                    return OutputLayer(width, num_parameters, init_scale=1.0)
            raise AssertionError(node)

        super().__init__(shallow(blocks), layer_of)
