"""Mixtures of logistics with linear dependence between R, G and B: parameters and sampling (section 2.2 of the paper).

Given the mixture component, the channels are logistic with means

    mu_R,    mu_G + a x_R,    mu_B + b x_R + c x_G

and common component, so that G depends on R, and B on both. Parameters per pixel are in the original's order:
[M mixture logits | for each channel: M means, M log-scales, M coefficients], the coefficients (before tanh) a in R's
place, b in G's, c in B's; with one channel there are none.
"""

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelcnn.errors import require
from pixelcnn.image_shape import ImageShape
from pixelcnn.likelihood.bin_mass import log_bin_mass
from pixelcnn.likelihood.cumulative import cumulative_sum
from pixelcnn.likelihood.levels import nearest_level, scale

MIN_LOG_SCALE = -7.0

Terms = Callable[[Tensor, Tensor, Tensor], Tensor]  # as `CoupledLogistics.log_terms`


class CoupledLogistics:
    """What the likelihoods of such a mixture share; they differ in `log_terms`, the score of a value of a channel."""

    num_groups = 1  # the components couple the channels
    has_density: ClassVar[bool] = True

    def __init__(self, image: ImageShape, *, num_mixtures: int = 10) -> None:
        require(num_mixtures >= 1, "num_mixtures", num_mixtures, "use at least one mixture component")
        self.num_mixtures = num_mixtures
        self.channels, self.levels = image.channels, image.levels
        self.per_channel = 3 if image.channels == 3 else 2

    @property
    def num_parameters(self) -> int:
        """P, parameters per pixel: 10 M for three channels, 3 M for one."""
        return self.num_mixtures * (1 + self.channels * self.per_channel)

    @property
    def num_uniforms(self) -> int:
        """Uniform numbers that drawing one pixel takes: one for each component, one for each channel."""
        return self.num_mixtures + self.channels

    def scale(self, levels: Tensor) -> Tensor:
        """0 .. levels-1, as floats, to [-1, 1]."""
        return scale(levels, self.levels)

    def log_terms(self, centered: Tensor, log_scales: Tensor, images: Tensor) -> Tensor:
        """Log score of each value under each component, (N, M, C, H, W), given the channels before it.

        centered: the values less the component's means (N, M, C, H, W); log_scales likewise; images uint8 (N, C, H, W).
        """
        raise NotImplementedError

    def log_prob(self, parameters: Tensor, images: Tensor) -> Tensor:
        """log p of each pixel in nats, (N, H, W); parameters (N, P, H, W), images uint8 (N, C, H, W)."""
        return self._log_prob(parameters, images, self.log_terms)

    def log_mass(self, parameters: Tensor, images: Tensor) -> Tensor:
        """log of the probability that `sample_levels` draws each pixel, nats, (N, H, W): of the masses of all its bins,
        whatever `log_terms` has in their place."""
        return self._log_prob(parameters, images, partial(log_bin_mass, levels=self.levels))

    def log_prob_by_channel(self, parameters: Tensor, images: Tensor) -> Tensor:
        """log p(R), log p(G | R), log p(B | R, G) of each pixel in nats, (N, C, H, W); they sum to `log_prob`."""
        log_weights, log_terms = self._components(parameters, images, self.log_terms)
        joint = torch.logsumexp(log_weights[:, :, None] + cumulative_sum(log_terms, dim=2), dim=1)
        return torch.cat([joint[:, :1], joint[:, 1:] - joint[:, :-1]], dim=1)

    def sample(
        self,
        parameters: Tensor,
        u_mixture: Tensor,
        u_logistic: Tensor,
        quantize: bool = False,
        mixture_temperature: float = 1.0,
        scale_temperature: float = 1.0,
    ) -> Tensor:
        """Draw pixels from parameters (N, P, H, W) by uniforms u_mixture (N, M, H, W) and u_logistic (N, C, H, W).

        With ``quantize`` the values are rounded to levels before they condition the next channel, which draws the exact
        bin masses; returned is uint8 (N, C, H, W). Without, the original's sampler: real values clipped to [-1, 1].
        The temperatures divide the components' logits and multiply their scales.
        """
        logits, components = self._grouped(parameters)
        chosen = (logits / mixture_temperature - torch.log(-torch.log(u_mixture))).argmax(dim=1, keepdim=True)
        of_chosen = chosen[:, None, None].expand(-1, *components.shape[1:3], -1, -1, -1)
        own = components.gather(3, of_chosen)[:, :, :, 0]
        means, scales = own[:, :, 0], own[:, :, 1].clamp_min(MIN_LOG_SCALE).exp()
        coefficients = torch.tanh(own[:, :, 2]) if self.per_channel == 3 else None
        noise = scale_temperature * scales * (torch.log(u_logistic) - torch.log(1 - u_logistic))
        drawn: list[Tensor] = []
        for channel in range(self.channels):
            x = means[:, channel] + noise[:, channel]
            for earlier, coefficient in enumerate(_couplings(coefficients, channel)):
                x = x + coefficient * drawn[earlier]
            drawn.append(self.scale(nearest_level(x, self.levels)) if quantize else x.clamp(-1, 1))
        x = torch.stack(drawn, dim=1)
        return nearest_level(x, self.levels).to(torch.uint8) if quantize else x

    def sample_levels(
        self, parameters: Tensor, uniforms: Tensor, mixture_temperature: float = 1.0, scale_temperature: float = 1.0
    ) -> Tensor:
        """`sample` of uint8 levels (N, C, H, W) from all its uniforms in one tensor (N, num_uniforms, H, W)."""
        u_mixture, u_logistic = uniforms.split([self.num_mixtures, self.channels], dim=1)
        return self.sample(parameters, u_mixture, u_logistic, True, mixture_temperature, scale_temperature)

    def _grouped(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Mixture logits (N, M, H, W), and the components' parameters (N, C, mean log-scale coefficient, M, H, W)."""
        logits, rest = parameters.tensor_split([self.num_mixtures], dim=1)
        return logits, rest.unflatten(1, (self.channels, self.per_channel, self.num_mixtures))

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """log weights (N, M, H, W); means, log-scales and coefficients (N, M, C, H, W)."""
        logits, components = self._grouped(parameters)
        of_kind = components.transpose(1, 3)
        means, log_scales = of_kind[:, :, 0], of_kind[:, :, 1].clamp_min(MIN_LOG_SCALE)
        coefficients = torch.tanh(of_kind[:, :, 2]) if self.per_channel == 3 else None
        return F.log_softmax(logits, dim=1), means, log_scales, coefficients

    def _log_prob(self, parameters: Tensor, images: Tensor, terms: Terms) -> Tensor:
        log_weights, log_terms = self._components(parameters, images, terms)
        return torch.logsumexp(log_weights + log_terms.sum(dim=2), dim=1)

    def _components(self, parameters: Tensor, images: Tensor, terms: Terms) -> tuple[Tensor, Tensor]:
        """log weights (N, M, H, W) and, for each component, the ``terms`` of the values (N, M, C, H, W)."""
        log_weights, means, log_scales, coefficients = self._split(parameters)
        x = self.scale(images[:, None].to(parameters.dtype))
        shifts = [
            sum(
                (k * x[:, :, earlier] for earlier, k in enumerate(_couplings(coefficients, channel))),
                means[:, :, channel],
            )
            for channel in range(self.channels)
        ]
        return log_weights, terms(x - torch.stack(shifts, dim=2), log_scales, images)


def _couplings(coefficients: Tensor | None, channel: int) -> list[Tensor]:
    """Coefficients (channel axis second last but one, -3) with which the earlier channels enter ``channel``'s mean."""
    if coefficients is None:
        return []
    a, b, c = coefficients.unbind(dim=-3)
    return [[], [a], [b, c]][channel]
