"""Chooses a network's walk over pixels: with caches if it has a topology, else one forward pass per site."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor, nn

from pixelcnn.network.parallel import Network
from pixelcnn.sampling.incremental import IncrementalWalk, Visit

log = logging.getLogger(__name__)


@contextmanager
def in_evaluation(module: nn.Module) -> Iterator[None]:
    """Within it ``module`` is in evaluation mode; afterwards each submodule has its former mode again."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


class RepeatedPasses:
    """The walk of a network without a topology: one forward pass for every site, whose parameters it reads."""

    period = 1

    def __init__(
        self, network: nn.Module, image_channels: int, n: int, height: int, width: int, num_groups: int
    ) -> None:
        weight = next(network.parameters())
        self.network, self.num_groups, self.width = network, num_groups, width
        self.group_channels = image_channels // num_groups
        self.x = torch.zeros(n, image_channels, height, width, dtype=weight.dtype, device=weight.device)
        self.h: Tensor | None = None

    def begin_images(self, h: Tensor | None) -> None:
        """New images begin, with h as the network takes it."""
        self.x.zero_()
        self.h = h

    def take_weights(self, network: nn.Module) -> None:
        """As `IncrementalWalk.take_weights`; here every pass uses the network's own."""

    def take_conditions_of_row(self, i: int) -> None:
        """As `IncrementalWalk.take_conditions_of_row`; here every pass is given the whole condition."""

    @torch.inference_mode()
    def run_row(self, i: int, visit: Visit) -> None:
        """As `IncrementalWalk.run_row`."""
        with in_evaluation(self.network):
            for j in range(self.width):
                for group in range(self.num_groups):
                    parameters = self.network(self.x, self.h)[:, :, i, j].chunk(self.num_groups, dim=1)[group]
                    first = group * self.group_channels
                    self.x[:, first : first + self.group_channels, i, j] = visit(j, group, parameters)


Walk = IncrementalWalk | RepeatedPasses


def walk_of(network: nn.Module, image_channels: int, n: int, height: int, width: int, num_groups: int) -> Walk:
    """The fastest walk over n images of a size that ``network`` allows, its weights as they are now."""
    if isinstance(network, Network) and all(node.stepper is not None for node in network.topology.nodes):
        return IncrementalWalk(network, image_channels, n, height, width)
    _say_that_it_is_slow(type(network).__name__)
    return RepeatedPasses(network, image_channels, n, height, width, num_groups)


@cache
def _say_that_it_is_slow(name: str) -> None:
    log.warning("%s has no topology to sample with caches: its images are drawn with one forward pass per pixel.", name)


def pixel_parameters_incrementally(network: nn.Module, x: Tensor, h: Tensor | None, num_groups: int) -> Tensor:
    """What ``network(x, h)`` computes, one site at a time and without gradients: x (N, C, H, W) to (N, P, H, W)."""
    n, channels, height, width = x.shape
    walk = walk_of(network, channels, n, height, width, num_groups)
    walk.begin_images(h)
    rows: list[Tensor] = []
    by_group = x.unflatten(1, (num_groups, -1))
    for i in range(height):
        sites: list[Tensor] = []
        walk.take_conditions_of_row(i)
        walk.run_row(i, _recording(sites, by_group[:, :, :, i]))
        rows.append(torch.stack(sites, dim=2))
    stacked = torch.stack(rows, dim=2)  # N, P / groups, H, W * groups
    return stacked.unflatten(3, (width, num_groups)).permute(0, 4, 1, 2, 3).flatten(1, 2).clone()


def _recording(sites: list[Tensor], row: Tensor) -> Callable[[int, int, Tensor], Tensor]:
    """What appends every site's parameters to ``sites``, and shows the walk the values of ``row``."""

    def visit(j: int, group: int, parameters: Tensor) -> Tensor:
        sites.append(parameters.clone())
        return row[:, group, :, j]

    return visit
