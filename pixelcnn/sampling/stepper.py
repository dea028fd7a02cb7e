"""The base of an incremental walk's nodes: their rows, and the steps to run at a row and at a pixel.

When row i begins, a node of the u stream computes its whole row (it depends on rows above only) and a node of the ul
stream everything that its pixels take from rows above and from the u stream; what remains at pixel (i, j) is what
depends on the pixels left of it. A node of the own stream follows when the pixel itself is known.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import Tensor

from pixelcnn.network.nonlinearities import Nonlinearity
from pixelcnn.network.parallel import condition_at
from pixelcnn.network.topology import Node, Window
from pixelcnn.sampling.rows import ACTIVATED, Reach, RowConv, Rows

S = TypeVar("S", bound="Stepper")


@dataclass
class Setting:
    """What a walk's steppers are made for: n images of a size, and what is read of each node's value."""

    n: int
    height: int
    width: int
    num_groups: int  # of a pixel's channels
    like: Tensor  # of the type and on the device of all rows
    values: dict[str, Reach]
    activations: dict[str, tuple[Nonlinearity, Reach]]  # where a nonlinearity of the value is read
    steppers: dict[str, "Stepper"] = field(default_factory=dict)  # those made so far

    def rows(self, node: Node, channels: int, reach: Reach, nonlinearity: Nonlinearity | None = None) -> Rows:
        """Rows of a node's width, or of the nonlinearity of what is written to them."""
        kind = Rows if nonlinearity is None else ACTIVATED[nonlinearity]
        return kind(self.n, self.width >> node.level, channels, reach, self.like)


class Stepper:
    """One node of the walk: ``rows`` holds its value, ``activation`` the nonlinearity of it (if a block reads it)."""

    def __init__(self, setting: Setting, node: Node, channels: int) -> None:
        self.node = node
        self.is_u = node.stream == "u"
        self.condition = ConditionTerm(None, node.level)
        self.inputs = [setting.steppers[name] for name in node.inputs]
        self.rows = setting.rows(node, channels, setting.values.get(node.name, Reach()))
        self.activation: Rows | None = None
        if node.name in setting.activations:
            nonlinearity, reach = setting.activations[node.name]
            self.activation = setting.rows(node, channels, reach, nonlinearity)

    @staticmethod
    def reads(node: Any) -> dict[str, Reach]:
        """What this kind reads of its inputs' values."""
        return {name: Reach() for name in node.inputs}

    @staticmethod
    def reads_activated(node: Any, layer: Any) -> dict[str, tuple[Nonlinearity, Reach]]:
        """What this kind reads of nonlinearities of its inputs' values."""
        return {}

    def begin_image(self, h: Tensor | None) -> None:
        """New images begin, with h as the network takes it."""
        self.condition.begin_image(h)

    def take_condition_of_row(self, i: int) -> None:
        """Before row i of this node's level begins: what depends on i itself and not only on where rows are kept."""
        self.condition.take_row(i)

    def begin_row(self, i: int) -> None:
        """Begin row i of this node's level; a u node writes all of it."""
        self.rows.begin_row(i)
        if self.activation is not None:
            self.activation.begin_row(i)

    def pixel(self, i: int, j: int, group: int) -> None:
        """Write a group of the features of pixel (i, j) of this node's level, in the ul stream or the own one."""

    def write_row(self, value: Tensor) -> None:
        """Store a whole row (N, W, F)."""
        self.rows.write_row(value)
        if self.activation is not None:
            self.activation.write_row(value)

    def activate(self, j: int) -> None:
        """Pixel j of ``rows`` has been written."""
        if self.activation is not None:
            self.activation.write_pixel(j, self.rows.pixel(j))

    def kept(self) -> list[Rows]:
        """All rows that this stepper keeps."""
        return [rows for rows in (self.rows, self.activation) if rows is not None]

    def convs(self) -> list[RowConv]:
        """The convolutions of this stepper."""
        return [conv for conv in vars(self).values() if isinstance(conv, RowConv)]

    @property
    def num_bytes(self) -> int:
        """Memory of what is kept of the images."""
        kept: list[Rows | RowConv] = [*self.kept(), *self.convs()]
        return sum(one.num_bytes for one in kept)

    def weights(self) -> list[Tensor]:
        """All that was computed from the network's weights, in memory of this stepper's own."""
        of_condition = [] if self.condition.hw is None else [self.condition.hw]
        return [*of_condition, *(weight for conv in self.convs() for weight in conv.weights)]


def steps(kind: type[Node]) -> Callable[[type[S]], type[S]]:
    """Make a class the stepper of a kind of node."""

    def decorate(stepper: type[S]) -> type[S]:
        kind.stepper = stepper
        return stepper

    return decorate


def reach_of(window: Window, down: int = 0, right: int = 0) -> Reach:
    """What a convolution with this window, moved down and right, reads of its input."""
    return Reach(window.rows + down, max(window.left + right, window.right))


class ConditionTerm:
    """h hw, added to the base of a convolution when a row begins.

    The current row's term is copied to ``of_row``, which stays in place: a captured row is replayed as later rows.
    """

    def __init__(self, hw: Tensor | None, level: int) -> None:
        self.hw, self.level = None if hw is None else hw.clone(), level
        self.of_image: Tensor | None = None  # (N, 1, 1, channels) for all rows, or (N, H, W, channels)
        self.of_row: Tensor | None = None  # (N, 1 or W, channels)

    def begin_image(self, h: Tensor | None) -> None:
        """The condition of new images; the term's memory stays the same."""
        if self.hw is None or h is None:
            return
        h = condition_at(h, self.level)
        assert h is not None
        new = h[:, None, None] @ self.hw if h.ndim == 2 else h.permute(0, 2, 3, 1) @ self.hw
        if self.of_image is None:
            self.of_image, self.of_row = new, new[:, 0].clone()
        else:
            self.of_image.copy_(new)

    def take_row(self, i: int) -> None:
        """Row i is the current one."""
        if self.of_image is not None and self.of_row is not None:
            self.of_row.copy_(self.of_image[:, i % self.of_image.shape[1]])

    def add_to(self, base: Tensor) -> None:
        """Add the current row's term to base (N, W, channels)."""
        if self.of_row is not None:
            base.add_(self.of_row)


class ImageStepper(Stepper):
    """The images' own rows, with the channel of ones; whoever walks writes the pixels."""

    def __init__(self, setting: Setting, node: Node, image_channels: int) -> None:
        super().__init__(setting, node, image_channels + 1)
        self.image_channels = image_channels

    def begin_row(self, i: int) -> None:
        super().begin_row(i)
        self.rows.row[:, :, self.image_channels] = 1

    def write(self, j: int, x: Tensor, channels: slice) -> None:
        """Set some channels of pixel j of the current row from x (N, channels)."""
        self.rows.pixel(j)[:, channels] = x
