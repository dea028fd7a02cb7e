"""Networks as data: an ordered list of nodes, each naming its inputs.

The list is the one definition of an architecture. `pixelcnn.parallel` evaluates it for all pixels at once,
`pixelcnn.incremental` one pixel at a time, `pixelcnn.receptive_field` follows what each pixel can see. The order of the
nodes is the order in which the original code creates its variables.

Two streams run through a network. At pixel (i, j) a node of the **u** stream ("up") has seen the rows above i, a node
of the **ul** stream ("up-left") these and the pixels left of j in row i. A node of level l has 1/2^l of the image's
height and width.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """What a causal convolution's output (i, j) looks at: rows i-above .. i, columns j-left .. j+right."""

    above: int
    left: int
    right: int

    @property
    def rows(self) -> int:
        """Height of the kernel."""
        return self.above + 1

    @property
    def columns(self) -> int:
        """Width of the kernel."""
        return self.left + 1 + self.right


POINT = Window(above=0, left=0, right=0)
UP = Window(above=1, left=1, right=1)
UP_LEFT = Window(above=1, left=1, right=0)


@dataclass(frozen=True)
class Node:
    """One layer: its name, the names of its inputs (earlier nodes), its stream and its level."""

    name: str
    inputs: tuple[str, ...]
    stream: str
    level: int


@dataclass(frozen=True)
class ImageConv(Node):
    """Convolution of the image itself, then moved down and right by ``shift`` so that no pixel sees itself."""

    window: Window
    shift: tuple[int, int]


@dataclass(frozen=True)
class Sum(Node):
    """Sum of the inputs."""


@dataclass(frozen=True)
class GatedBlock(Node):
    """Gated residual block on the first input; the other inputs are auxiliary, seen at the same pixel only."""

    window: Window


@dataclass(frozen=True)
class Downsample(Node):
    """Convolution of stride 2: output (i, j) looks at the window around (2i, 2j)."""

    window: Window


@dataclass(frozen=True)
class Upsample(Node):
    """Transposed convolution of stride 2: input (i, j) reaches (2i+a, 2j+b-right) for every (a, b) of the kernel."""

    window: Window


@dataclass(frozen=True)
class Output(Node):
    """The parameters of every pixel: a 1x1 layer on elu of the input."""


IMAGE = "image"


@dataclass(frozen=True)
class Topology:
    """An architecture: nodes in an order in which inputs come before their readers; the last one is the output."""

    nodes: tuple[Node, ...]

    @property
    def stride(self) -> int:
        """Image heights and widths must be divisible by this."""
        return 2 ** max(node.level for node in self.nodes)


def pixelcnn_pp(num_resnet_blocks: int, num_stages: int) -> Topology:
    """PixelCNN++ (Salimans et al. 2017, section 2 and figure 2).

    The up pass runs from the image's resolution to the lowest, the down pass back; each block of the down pass takes a
    short-cut from the mirrored node of the up pass.
    """
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
            u = add(GatedBlock(f"down{stage}_u{k}", (u, u_skip), "u", stage, UP))
            ul = add(GatedBlock(f"down{stage}_ul{k}", (ul, u, ul_skip), "ul", stage, UP_LEFT))
        if stage > 0:
            u = add(Upsample(f"grow{stage}_u", (u,), "u", stage - 1, UP))
            ul = add(Upsample(f"grow{stage}_ul", (ul,), "ul", stage - 1, UP_LEFT))
    assert not skips
    nodes.append(Output("output", (ul,), "ul", 0))
    return Topology(tuple(nodes))
