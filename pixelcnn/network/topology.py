"""Networks as data: an ordered list of nodes, each naming its inputs.

The list is the one definition of an architecture. `pixelcnn.network.parallel` evaluates it for all pixels at once,
`pixelcnn.sampling.incremental` one pixel at a time. The order of the nodes is the order in which the original code
creates its variables.

Two streams run through a network. At pixel (i, j) a node of the **u** stream ("up") has seen the rows above i, a node
of the **ul** stream ("up-left") these and the pixels left of j in row i. Where there is attention, nodes of the **own**
stream have also seen the pixel itself: only later pixels read them. A node of level l has 1/2^l of the image's height
and width.

A pixel's channels come in groups, one after another. If there are several, the features of each node of the ul stream
are split into as many, and group g of them has also seen the channels of earlier groups at its own pixel. Windows of
*masked* layers stop at the pixel itself in row i, of which they see only the groups before (van den Oord et al. 2016a,
section 3.4).
"""

from dataclasses import dataclass
from typing import Any, ClassVar


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
    """One layer: its name, the names of its inputs (earlier nodes), its stream and its level.

    ``stepper`` of a kind of node is its class in the incremental walk (`pixelcnn.sampling.stepper.Stepper`). A network
    with nodes of a kind without a stepper is sampled by one forward pass per pixel.
    """

    stepper: ClassVar[Any] = None
    name: str
    inputs: tuple[str, ...]
    stream: str
    level: int


@dataclass(frozen=True)
class Windowed(Node):
    """A node that sees a window of its first input."""

    window: Window


@dataclass(frozen=True)
class ImageConv(Windowed):
    """Convolution of the image itself, then moved down and right by ``shift`` so that no pixel sees itself."""

    shift: tuple[int, int]


class MaskedImageConv(Windowed):
    """Masked convolution of the image itself, of kind A: of its own pixel it sees the groups before."""


class Sum(Node):
    """Sum of the inputs."""


class GatedBlock(Windowed):
    """Gated residual block on the first input; the other inputs are auxiliary, seen at the same pixel only."""


class Downsample(Windowed):
    """Convolution of stride 2: output (i, j) looks at the window around (2i, 2j)."""


class Upsample(Windowed):
    """Transposed convolution of stride 2: input (i, j) reaches (2i+a, 2j+b-right) for every (a, b) of the kernel."""


class Placed(Node):
    """The inputs' features side by side, and beside them the pixel's row and column."""


@dataclass(frozen=True)
class Pointwise(Node):
    """A 1x1 layer with ``features`` output channels."""

    features: int


class Attention(Node):
    """The mean of the values of all earlier pixels, weighted by how the query, the first input, fits their keys.

    The second input, of the own stream, has a pixel's key and then its value.
    """


class Output(Node):
    """The parameters of every pixel: a 1x1 layer on elu of the input."""


class VerticalConv(Windowed):
    """Convolution in the vertical stack: what its gate and the horizontal stack read, two halves."""


class Gate(Node):
    """tanh of one half of the input times sigmoid of the other."""


class HorizontalBlock(Windowed):
    """Residual layer of the horizontal stack: a gate of the sum of a masked convolution of the first input and the
    second input, which is the vertical stack's."""


class MaskedResidualBlock(Windowed):
    """Residual block of 1x1, masked and 1x1 convolutions."""


class MaskedOutput(Node):
    """The parameters of every pixel, group by group: two masked 1x1 layers, relu before each."""


IMAGE = "image"


@dataclass(frozen=True)
class Topology:
    """An architecture: nodes in an order in which inputs come before their readers; the last one is the output."""

    nodes: tuple[Node, ...]
    num_groups: int = 1  # of a pixel's channels

    @property
    def stride(self) -> int:
        """Image heights and widths must be divisible by this."""
        return 2 ** max(node.level for node in self.nodes)
