"""Visits the sites of images in raster order and has each decided: drawn, left as it is, or coded."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pixelcnn.image_shape import tensor_type
from pixelcnn.likelihood import Likelihood
from pixelcnn.likelihood.prediction import Neighbours
from pixelcnn.network.embedding import embedding_of, seen, seen_channels
from pixelcnn.sampling.walk import walk_of

# Takes column, group, the network's parameters (N, P / groups) of that site and its levels (N, C / groups), which it
# sets, or leaves where they are known.
Decide = Callable[[int, int, Tensor, Tensor], None]


class Scan:
    """Batches of n images of a size, a row at a time."""

    def __init__(
        self, network: nn.Module, likelihood: Likelihood, n: int, channels: int, height: int, width: int
    ) -> None:
        weight = next(network.parameters())
        self.n, self.likelihood, self.dtype = n, likelihood, weight.dtype
        self.embedding = embedding_of(network)
        seen_of_image = seen_channels(self.embedding, channels)
        self.walk = walk_of(network, seen_of_image, n, height, width, likelihood.num_groups)
        self.levels = torch.zeros(
            n, channels, width, dtype=tensor_type(likelihood.levels), device=weight.device
        )  # of the current row
        # The values of the row above, a zero before them; float64 like what is decided by them.
        self.above = torch.zeros(n, channels, width + 1, dtype=torch.float64, device=weight.device)
        self._levels_by_group = self.levels.unflatten(1, (self.walk.num_groups, -1))

    @torch.inference_mode()
    def scan(
        self,
        images: Tensor,
        h: Tensor | None,
        row: Callable[[int], None],
        on_pixel: Callable[[], object],
        on_row: Callable[[Tensor], object] = lambda images: None,
    ) -> None:
        """Have ``row(i)`` decide the ``levels`` of each row of ``images`` (N, C, H, W), which hold what is known.

        When a row is done, ``on_pixel`` is called for each of its pixels, then ``on_row`` with the images so far.
        """
        self.walk.begin_images(h)
        self.above.zero_()
        for i in range(images.shape[2]):
            self.levels.copy_(images[:, :, i])
            self.walk.take_conditions_of_row(i)
            row(i)
            images[:, :, i] = self.levels
            self.above[:, :, 1:] = self.likelihood.scale(self.levels.double())
            for _ in range(images.shape[3]):
                on_pixel()
            on_row(images)

    def decide_row(self, i: int, decide: Decide) -> None:
        """Walk row i, with ``decide`` called at every site."""

        def visit(j: int, group: int, parameters: Tensor) -> Tensor:
            levels = self._levels_by_group[:, group, :, j]
            decide(j, group, parameters, levels)
            return seen(levels, self.embedding, self.likelihood.scale, self.dtype, group * levels.shape[1])

        self.walk.run_row(i, visit)

    def given_past(self, parameters: Tensor, neighbours: Neighbours | None) -> Tensor:
        """What the likelihood's methods take, (N, P / groups, 1, 1), from sites' ``parameters`` and `neighbours`.

        In float64, where uniform numbers reach masses below 2^-24.
        """
        parameters = parameters[:, :, None, None].double()
        return parameters if neighbours is None else self.likelihood.given_neighbours(parameters, neighbours)

    def neighbours(self, j: int) -> Neighbours | None:
        """Those of the site at column j, (N, C, 1, 1), None if the likelihood does not see them."""
        if not self.likelihood.sees_neighbours:
            return None
        left = self.likelihood.scale(self.levels[:, :, j - 1].double()) if j else torch.zeros_like(self.above[:, :, 0])
        sites = left, self.above[:, :, j + 1], self.above[:, :, j]
        return Neighbours(*(site[:, :, None, None] for site in sites))
