"""The incremental walk: the same topology and weights, one pixel at a time, each activation computed once.

Every node of the topology gets a stepper (`pixelcnn.sampling.stepper`). A node of level l takes part at rows and
pixels that 2^l divides, so the lists of steps to run at each row and pixel are made once.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pixelcnn.network.parallel import Network
from pixelcnn.network.topology import IMAGE, Node
from pixelcnn.sampling.residual_steppers import OutputStepper
from pixelcnn.sampling.rows import Reach
from pixelcnn.sampling.stepper import ImageStepper, Setting, Stepper

Visit = Callable[[int, int, Tensor], Tensor]
Due = list[tuple[int, Stepper]]  # with their strides


class IncrementalWalk:
    """Computes the parameters of every site, a group of a pixel's channels, of n images of a size, in raster order.

    The weights are read when the walk is made, and by `take_weights`; any number of batches of n images can follow. The
    network is read as in evaluation: no dropout.
    """

    @torch.inference_mode()
    def __init__(self, network: Network, image_channels: int, n: int, height: int, width: int) -> None:
        topology = network.topology
        self._image_channels = image_channels
        self.num_groups, self.width = topology.num_groups, width
        self.group_channels = image_channels // topology.num_groups
        setting = _setting(network, n, height, width)
        self.image = ImageStepper(setting, Node(IMAGE, (), "image", 0), image_channels)
        setting.steppers[IMAGE] = self.image
        for node in topology.nodes:
            setting.steppers[node.name] = node.stepper(setting, node, network.layers[node.name])
        self.steppers: list[Stepper] = list(setting.steppers.values())
        output = self.steppers[-1]
        assert isinstance(output, OutputStepper)
        self.output = output
        self._due = [self._due_at(phase, topology.stride) for phase in range(topology.stride)]

    def _due_at(self, phase: int, period: int) -> tuple[Due, list[Due], Due]:
        """What takes part in rows of a phase, which of it at pixels of each phase, and which once a pixel is known."""
        by_stride = [(2**stepper.node.level, stepper) for stepper in self.steppers]
        in_row = [(stride, stepper) for stride, stepper in by_stride if phase % stride == 0]
        pixelwise, own = ([due for due in in_row if due[1].node.stream == stream] for stream in ("ul", "own"))
        assert all(stride == 1 for stride, _ in own)
        return in_row, [[due for due in pixelwise if column % due[0] == 0] for column in range(period)], own

    @torch.inference_mode()
    def take_weights(self, network: nn.Module) -> None:
        """Read the weights of ``network``, which the walk was made for, again, into where the old ones are."""
        assert isinstance(network, Network)
        stride = network.topology.stride
        smallest = IncrementalWalk(network, self._image_channels, 1, stride, stride)
        for stepper, new in zip(self.steppers, smallest.steppers, strict=True):
            for weight, value in zip(stepper.weights(), new.weights(), strict=True):
                weight.copy_(value)

    @property
    def num_bytes(self) -> int:
        """Memory of the caches, without weights. It grows with the images' number and width, and with their height only
        if there is attention."""
        return sum(stepper.num_bytes for stepper in self.steppers)

    @property
    def period(self) -> int:
        """The number of rows after which every value is kept in the same place again."""
        return math.lcm(*(rows.depth << stepper.node.level for stepper in self.steppers for rows in stepper.kept()))

    @torch.inference_mode()
    def begin_images(self, h: Tensor | None) -> None:
        """New images begin, with h as the network takes it."""
        for stepper in self.steppers:
            for rows in stepper.kept():
                rows.clear()
            stepper.begin_image(h)

    @torch.inference_mode()
    def take_conditions_of_row(self, i: int) -> None:
        """Prepare for row i. What `run_row` does then depends on i % period alone, except for row 0."""
        for stride, stepper in self._due[i % len(self._due)][0]:
            stepper.take_condition_of_row(i // stride)

    @torch.inference_mode()
    def run_row(self, i: int, visit: Visit) -> None:
        """Walk row i, after the rows before it and `take_conditions_of_row`. At every site in order
        ``visit(j, group, parameters)``, parameters (N, P / groups), returns what the network sees of the group's
        channels, (N, channels)."""
        in_row, at_pixel, own = self._due[i % len(self._due)]
        for stride, stepper in in_row:
            stepper.begin_row(i // stride)
        period = len(at_pixel)
        for j in range(self.width):
            for group in range(self.num_groups):
                for stride, stepper in at_pixel[j % period]:
                    stepper.pixel(i // stride, j // stride, group)
                first = group * self.group_channels
                channels = slice(first, first + self.group_channels)
                self.image.write(j, visit(j, group, self.output.parameters), channels)
            for _, stepper in own:
                stepper.pixel(i, j, self.num_groups - 1)


def _setting(network: Network, n: int, height: int, width: int) -> Setting:
    values: dict[str, Reach] = {}
    activations: dict = {}
    for node in network.topology.nodes:
        kind, layer = node.stepper, network.layers[node.name]
        for name, reach in kind.reads(node).items():
            values[name] = values.get(name, Reach()).joined(reach)
        for name, (nonlinearity, reach) in kind.reads_activated(node, layer).items():
            _, before = activations.get(name, (nonlinearity, Reach()))
            activations[name] = (nonlinearity, before.joined(reach))
    like = next(network.parameters())
    return Setting(n, height, width, network.topology.num_groups, like, values, activations)
