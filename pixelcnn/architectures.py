"""The networks of the family, each as a list of nodes."""

from pixelcnn.options import require
from pixelcnn.topology import (
    IMAGE,
    UP,
    UP_LEFT,
    Downsample,
    Gate,
    GatedBlock,
    HorizontalBlock,
    ImageConv,
    MaskedImageConv,
    MaskedOutput,
    MaskedResidualBlock,
    Node,
    Output,
    Sum,
    Topology,
    Upsample,
    VerticalConv,
    Window,
)

MOST_STAGES = 16  # for images of 32,768 pixels a side
MOST_LAYERS = 1000  # the papers' networks have at most 20


def pixelcnn_pp(num_resnet_blocks: int, num_stages: int, short_cuts: bool = True) -> Topology:
    """PixelCNN++ (Salimans et al. 2017, section 2 and figure 2).

    The up pass runs from the image's resolution to the lowest, the down pass back; each block of the down pass takes a
    short-cut from the mirrored node of the up pass, unless ``short_cuts`` is off (their section 3.4.3).
    """
    _require_at_most(MOST_STAGES, num_stages=num_stages)
    _require_at_most(MOST_LAYERS, num_resnet_blocks=num_resnet_blocks)
    nodes: list[Node] = [
        ImageConv("u_init", (IMAGE,), "u", 0, UP, shift=(1, 0)),
        ImageConv("ul_init_above", (IMAGE,), "ul", 0, Window(above=0, left=1, right=1), shift=(1, 0)),
        ImageConv("ul_init_left", (IMAGE,), "ul", 0, Window(above=1, left=0, right=0), shift=(0, 1)),
        Sum("ul_init", ("ul_init_above", "ul_init_left"), "ul", 0),
    ]
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


def gated_pixelcnn(num_layers: int, first_kernel_size: int, kernel_size: int, num_groups: int) -> Topology:
    """Gated PixelCNN (van den Oord et al. 2016b, figure 2), without blind spot.

    The vertical stack (stream u) sees the rows above. The horizontal stack (ul) sees what is left in its row, and the
    vertical stack through a 1x1 layer; it is residual.
    """
    _require_at_most(MOST_LAYERS, num_layers=num_layers)
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


def pixelcnn(num_blocks: int, first_kernel_size: int, kernel_size: int, num_groups: int) -> Topology:
    """PixelCNN (van den Oord et al. 2016a, section 3.5 and table 1): masked convolutions, with their blind spot."""
    _require_at_most(MOST_LAYERS, num_blocks=num_blocks)
    reach = first_kernel_size // 2
    nodes: list[Node] = [MaskedImageConv("init", (IMAGE,), "ul", 0, Window(above=reach, left=reach, right=reach))]
    reach = kernel_size // 2
    for k in range(num_blocks):
        window = Window(above=reach, left=reach, right=reach)
        nodes.append(MaskedResidualBlock(f"block{k}", (nodes[-1].name,), "ul", 0, window))
    nodes.append(MaskedOutput("output", (nodes[-1].name,), "ul", 0))
    return Topology(tuple(nodes), num_groups)


def _require_at_most(most: int, **counts: int) -> None:
    """UserError before a list is made that takes minutes, or more memory than there is."""
    for key, count in counts.items():
        require(count <= most, f"model.{key}", count, f"use at most {most}")
