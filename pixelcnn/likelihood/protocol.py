"""The interface of likelihoods."""

from abc import abstractmethod
from collections.abc import Callable, Generator
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from pixelcnn.errors import UserError
from pixelcnn.image_shape import tensor_type
from pixelcnn.likelihood.cumulative import distribution_function_of
from pixelcnn.likelihood.levels import scale
from pixelcnn.likelihood.prediction import Neighbours

# Of levels: takes bounds int64 (N or 1, K) of 0 .. L and returns P(level < bound), (N, K).
DistributionFunction = Callable[[Tensor], Tensor]
# Yields the function of each channel in turn; the caller sends the levels of that channel, int64 (N,), for the next.
Conditionals = Generator[DistributionFunction, Tensor, None]


class Likelihood(Protocol):
    """The interface of likelihoods; your own may inherit its defaults.

    Besides its own keys, the constructor may have the arguments

        image (`pixelcnn.image_shape.ImageShape`), masked_channels (whether the network can compute a channel's
        parameters from the channels before it),

    which the model passes. It sets ``channels`` and ``levels``.

    A pixel's channels are drawn in ``num_groups`` groups, one after another. The network computes a group's parameters
    from the groups before it; the likelihood defines how the channels inside a group depend on each other. Parameters
    and uniform numbers come group by group, P / num_groups each.
    """

    has_density: ClassVar[bool] = True  # whether log_prob exists
    channels: int
    levels: int
    num_groups: int = 1  # 1, or one for each channel
    is_bound: bool = False  # whether log_prob is only a lower bound of the log-probability
    # Whether, on a CPU, `given_neighbours` and `conditionals` return the same floats for a site whatever other sites
    # are passed with it. Many sites are then encoded at once. A subclass that overrides either sets it again.
    sites_apart: ClassVar[bool] = False

    @property
    def num_parameters(self) -> int:
        """P, per pixel."""
        ...

    @property
    def num_uniforms(self) -> int:
        """Uniform random numbers per pixel drawn."""
        ...

    @property
    def sees_neighbours(self) -> bool:
        """Whether a pixel's distribution also depends on its neighbours directly: see `given_neighbours`."""
        return False

    def given_neighbours(self, parameters: Tensor, neighbours: Neighbours) -> Tensor:
        """The parameters (N, P, H, W) for all other methods, from the network's and the pixels' neighbours."""
        return parameters

    @property
    def initial_parameters(self) -> Tensor | None:
        """(P,), the output that the network should start with; None: up to the network."""
        return None

    def scale(self, levels: Tensor) -> Tensor:
        """Levels 0 .. L-1, as floats of any shape, to the numbers in [-1, 1] that networks see."""
        return scale(levels, self.levels)

    def log_prob(self, parameters: Tensor, images: Tensor) -> Tensor:
        """log p of each pixel in nats, (N, H, W); parameters (N, P, H, W), images integers (N, C, H, W)."""
        return self.log_prob_by_channel(parameters, images).sum(dim=1)

    def log_prob_spending(self, parameters: Tensor, images: Tensor) -> Tensor:
        """`log_prob` of parameters that nobody reads again: the backward pass may overwrite them with their
        gradient."""
        return self.log_prob(parameters, images)

    def log_mass(self, parameters: Tensor, images: Tensor) -> Tensor:
        """log of the probability that `sample_levels` draws each pixel, nats, (N, H, W).

        By default `log_prob`, which is right unless that is a bound or approximates masses.
        """
        return self.log_prob(parameters, images)

    @abstractmethod
    def log_prob_by_channel(self, parameters: Tensor, images: Tensor) -> Tensor:
        """`log_prob` by the chain rule over the channels, nats, (N, C, H, W)."""

    def conditionals(self, parameters: Tensor) -> Conditionals:
        """Each channel's distribution function, given the levels of the channels before it in its group.

        parameters (N, P / num_groups), float64, of a group at N sites. Entropy coding uses the masses of levels, which
        are differences of these functions; multiplied over a pixel's channels they equal exp(`log_mass`). A value must
        not depend on which bounds are requested together, must lie in [0, 1] up to rounding, and may fall by at most
        1e-15 from a bound to the next. By default they are summed from `log_prob_by_channel` of every level; UserError
        if that is a bound.
        """
        if self.is_bound:
            raise UserError(
                f"likelihood={type(self).__name__} has only a bound for log_prob, which gives no masses to code by: "
                "implement conditionals."
            )
        of_all_groups = parameters.repeat(self.levels, self.num_groups)[:, :, None, None]
        every_level = torch.arange(self.levels, dtype=tensor_type(self.levels), device=parameters.device)
        # Every level of the channel in turn, with the known levels of the others.
        images = every_level.new_zeros(self.levels, len(parameters), self.channels, 1, 1)
        for channel in range(self.channels // self.num_groups):
            images[:, :, channel, 0, 0] = every_level[:, None]
            log_prob = self.log_prob_by_channel(of_all_groups, images.flatten(0, 1))[:, channel, 0, 0]
            images[:, :, channel, 0, 0] = yield distribution_function_of(log_prob.exp().view(self.levels, -1).T)

    @abstractmethod
    def sample_levels(
        self, parameters: Tensor, uniforms: Tensor, mixture_temperature: float = 1.0, scale_temperature: float = 1.0
    ) -> Tensor:
        """Draw one group of channels: integers (N, C / num_groups, H, W).

        parameters (N, P / num_groups, H, W) and uniforms in (0, 1) (N, num_uniforms / num_groups, H, W) are the
        group's, in float64 where masses below 2^-24 matter.
        """
