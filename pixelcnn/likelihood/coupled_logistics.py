"""Mixtures of logistics with linear dependence between R, G and B: parameters and sampling (section 2.2 of the paper).

Given the mixture component, the channels are logistic with means

    mu_R,    mu_G + a x_R,    mu_B + b x_R + c x_G

and share the component, so G depends on R, and B on both. Parameters per pixel are in the original's order:
[M mixture logits | for each channel: M means, M log-scales, M coefficients], the coefficients (before tanh) a in R's
place, b in G's, c in B's; with one channel there are none.

With ``residual`` each component is over r = x - p instead of x, where p is a causal prediction of the pixel from its
neighbours (`pixelcnn.likelihood.prediction`), which may differ between components: the means are m_R, m_G + a r_R,
m_B + b r_R + c r_G. In x this is a mixture as above with means shifted by earlier pixels, so bins, masses and sampling
stay the same.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from functools import cache, partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelcnn.errors import require
from pixelcnn.image_shape import ImageShape, tensor_type
from pixelcnn.likelihood.bin_mass import bin_mass, log_bin_mass
from pixelcnn.likelihood.levels import nearest_level
from pixelcnn.likelihood.prediction import Neighbours, predictions
from pixelcnn.likelihood.protocol import Conditionals, DistributionFunction, Likelihood
from pixelcnn.network.kernels import has_kernels

MIN_LOG_SCALE = -7.0
MAX_LOG_SCALE = 700.0  # beyond which an inverse scale underflows
LEAST_MASS = 1e-300  # of a component, where those of all underflow

SPREAD_OF_MEANS = 0.9  # of grey values, at the start
# Log-scales at the start: of mixtures over x; the least of those over differences, and how far they reach above it.
LOG_SCALE, SMALLEST_LOG_SCALE, LOG_SCALES_ABOVE = -2.0, -5.0, 3.5
COUPLINGS = (1.0, 0.3, 0.7)  # a, b, c at the start, before tanh: G is like R, B like both

Terms = Callable[[Tensor, Tensor, Tensor], Tensor]  # as `CoupledLogistics.log_terms`


class CoupledLogistics(Likelihood):
    """The base of likelihoods with such a mixture; they differ in `log_terms`, the score of a channel's value.

    ``residual`` is the prediction that means are relative to: none, the pixel to the left, the gradient predictor, or
    "neighbours", where the components take turns: left, above, 3/4 left + 3/4 above - 1/2 above left, gradient.
    With ``spread``, training starts from components that cover the range of values (`initial_parameters`) instead of
    equal ones around 0, so the first steps need not find the range.
    """

    sites_apart = True

    def __init__(
        self,
        image: ImageShape,
        *,
        num_mixtures: int = 10,
        residual: Literal["none", "left", "gradient", "neighbours"] = "none",
        spread: bool = False,
    ) -> None:
        remedy = "logistic mixtures couple the means of 1 or 3 channels; use likelihood=categorical"
        require(image.channels in (1, 3), "channels", image.channels, remedy)
        require(num_mixtures >= 1, "num_mixtures", num_mixtures, "use at least one mixture component")
        self.residual, self.spread = residual, spread
        self.num_mixtures = num_mixtures
        self.channels, self.levels = image.channels, image.levels
        self.per_channel = 3 if image.channels == 3 else 2
        # Above 256 levels, the same fraction of a bin as for 256.
        self.min_log_scale = MIN_LOG_SCALE - max(0.0, math.log((image.levels - 1) / 255))

    @property
    def num_parameters(self) -> int:
        """P, parameters per pixel: 10 M for three channels, 3 M for one."""
        return self.num_mixtures * (1 + self.channels * self.per_channel)

    @property
    def num_uniforms(self) -> int:
        """Uniform random numbers per pixel drawn: one for each component, one for each channel."""
        return self.num_mixtures + self.channels

    @property
    def sees_neighbours(self) -> bool:
        """Whether the parameters also depend on a pixel's neighbours outside the network: see `given_neighbours`."""
        return self.residual != "none"

    def given_neighbours(self, parameters: Tensor, neighbours: Neighbours) -> Tensor:
        """The parameters (N, P, H, W) of mixtures over x, from the network's, of mixtures over x - p."""
        if not self.sees_neighbours:
            return parameters
        p = predictions(self.residual, neighbours, self.num_mixtures).to(parameters.dtype)  # N C M or 1 H W
        _, components = self._grouped(parameters)
        coefficients = torch.tanh(components[:, :, 2]).transpose(1, 2) if self.per_channel == 3 else None
        shifts = []
        for channel in range(self.channels):
            shift = p[:, channel].expand(-1, self.num_mixtures, -1, -1)
            for earlier, coefficient in enumerate(_couplings(coefficients, channel)):
                shift = shift - coefficient * p[:, earlier]
            shifts.append(F.pad(shift, (0, 0, 0, 0, 0, (self.per_channel - 1) * self.num_mixtures)))
        return parameters + F.pad(torch.cat(shifts, dim=1), (0, 0, 0, 0, self.num_mixtures, 0))

    @property
    def initial_parameters(self) -> Tensor | None:
        """(P,), the network's initial output with ``spread``, else None.

        Grey values from -0.9 to 0.9, one per component, with nearly equal channels; with ``residual``, differences
        around 0, with a different scale per component.
        """
        if not self.spread:
            return None
        m = self.num_mixtures
        of_residuals = self.sees_neighbours
        grey = torch.zeros(m) if of_residuals else torch.linspace(-SPREAD_OF_MEANS, SPREAD_OF_MEANS, m)
        low = max(SMALLEST_LOG_SCALE, -math.log(self.levels - 1))  # half a bin
        log_scales = torch.linspace(low, low + LOG_SCALES_ABOVE, m) if of_residuals else torch.full((m,), LOG_SCALE)
        a, b, c = map(math.tanh, COUPLINGS)
        parts = [torch.zeros(m)]
        for channel, explained in enumerate((0, a, b + c)[: self.channels]):
            parts += [grey * (1 - explained), log_scales]
            if self.per_channel == 3:
                parts.append(torch.full((m,), COUPLINGS[channel]))
        return torch.cat(parts)

    @abstractmethod
    def log_terms(self, centered: Tensor, log_scales: Tensor, images: Tensor) -> Tensor:
        """Log score of each value under each component, (N, M, C, H, W), given the channels before it.

        centered: the values minus the component's means (N, M, C, H, W); log_scales likewise; images (N, C, H, W).
        """

    def log_prob(self, parameters: Tensor, images: Tensor) -> Tensor:
        """log p of each pixel in nats, (N, H, W); parameters (N, P, H, W), images integers (N, C, H, W)."""
        return self._log_prob(parameters, images, self.log_terms)

    def log_mass(self, parameters: Tensor, images: Tensor) -> Tensor:
        """log of the probability that `sample_levels` draws each pixel, nats, (N, H, W): from the bins' masses, even if
        `log_terms` scores something else."""
        return self._log_prob(parameters, images, partial(log_bin_mass, levels=self.levels))

    def log_prob_by_channel(self, parameters: Tensor, images: Tensor) -> Tensor:
        """log p(R), log p(G | R), log p(B | R, G) of each pixel in nats, (N, C, H, W); they sum to `log_prob`.

        Each is a mixture weighted by the components' posterior given the channels before. Differences of joint
        log-probabilities would lose the digits of a likely value after an unlikely one.
        """
        log_weights, log_terms = self._components(parameters, images, self.log_terms)
        log_probs = []
        for of_channel in log_terms.unbind(dim=2):
            joint = log_weights + of_channel
            log_probs.append(torch.logsumexp(joint, dim=1))
            log_weights = F.log_softmax(joint, dim=1)
        return torch.stack(log_probs, dim=1)

    def conditionals(self, parameters: Tensor) -> Conditionals:
        """`Likelihood.conditionals`: the components' distribution functions, mixed by their posterior weights.

        They give the bins' masses, even if `log_terms` scores something else.
        """
        logits, components = self._grouped(parameters[:, :, None, None])
        components = components[..., 0]  # N C K M 1
        weights = F.softmax(logits[:, None, :, 0, 0], dim=2)  # N 1 M
        inverse_scales = torch.exp(-components[:, :, 1].clamp(self.min_log_scale, MAX_LOG_SCALE))
        coefficients = torch.tanh(components[:, :, 2]) if self.per_channel == 3 else None
        edges = _edges(self.levels, parameters.device).to(parameters.dtype)
        earlier: list[Tensor] = []
        for channel in range(self.channels):
            mean, inverse_scale = components[:, channel, 0], inverse_scales[:, channel]  # N M 1
            for x, coefficient in zip(earlier, _couplings(coefficients, channel), strict=True):
                mean = mean + coefficient * x

            def above(bounds: Tensor, mean: Tensor = mean, inverse_scale: Tensor = inverse_scale) -> Tensor:
                """The components' means above the edges at ``bounds``, in units of their scales (N, K, M)."""
                return (mean.mT - edges.take(bounds)[:, :, None]).mul_(inverse_scale.mT)

            levels = yield _mixed(weights, above)
            if channel + 1 < self.channels:
                mass = bin_mass(above(torch.stack([levels, levels + 1], dim=1)).mT)
                posterior = weights * (mass + LEAST_MASS)[:, None]
                weights = posterior / posterior.sum(dim=2, keepdim=True)
                earlier.append(self.scale(levels.to(parameters.dtype))[:, None, None])

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
        bin masses; returned are integers (N, C, H, W). Without, the original's sampler: real values clipped to [-1, 1].
        The temperatures divide the components' logits and multiply their scales.
        """
        logits, components = self._grouped(parameters)
        # At a temperature of 1 not even a division: a sampler does this for every pixel.
        tempered = logits if mixture_temperature == 1 else logits / mixture_temperature
        chosen = (tempered - torch.log(-torch.log(u_mixture))).argmax(dim=1, keepdim=True)
        of_chosen = chosen[:, None, None].expand(-1, *components.shape[1:3], -1, -1, -1)
        own = components.gather(3, of_chosen)[:, :, :, 0]
        means, scales = own[:, :, 0], own[:, :, 1].clamp_min(self.min_log_scale).exp()
        coefficients = torch.tanh(own[:, :, 2]) if self.per_channel == 3 else None
        scales = scales if scale_temperature == 1 else scale_temperature * scales
        noise = scales * (torch.log(u_logistic) - torch.log(1 - u_logistic))
        drawn: list[Tensor] = []
        levels: list[Tensor] = []
        for channel in range(self.channels):
            x = means[:, channel] + noise[:, channel]
            for earlier, coefficient in enumerate(_couplings(coefficients, channel)):
                x = x + coefficient * drawn[earlier]
            levels.append(nearest_level(x, self.levels))
            drawn.append(self.scale(levels[-1]) if quantize else x.clamp(-1, 1))
        return torch.stack(levels, dim=1).to(tensor_type(self.levels)) if quantize else torch.stack(drawn, dim=1)

    def sample_levels(
        self, parameters: Tensor, uniforms: Tensor, mixture_temperature: float = 1.0, scale_temperature: float = 1.0
    ) -> Tensor:
        """`sample` of levels (N, C, H, W) from all its uniforms in one tensor (N, num_uniforms, H, W)."""
        one_site = parameters.dtype == torch.float64 and parameters.shape[2:] == (1, 1)
        if one_site and mixture_temperature == scale_temperature == 1 and has_kernels(parameters):
            from pixelcnn.likelihood.fused import draw_levels  # which imports Triton

            sites = parameters[:, :, 0, 0], uniforms[:, :, 0, 0]
            return draw_levels(*sites, self.channels, self.levels, self.min_log_scale)[:, :, None, None]
        u_mixture, u_logistic = uniforms.split([self.num_mixtures, self.channels], dim=1)
        return self.sample(parameters, u_mixture, u_logistic, True, mixture_temperature, scale_temperature)

    def _grouped(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Mixture logits (N, M, H, W), and the components' parameters (N, C, mean log-scale coefficient, M, H, W)."""
        logits, rest = parameters.split([self.num_mixtures, parameters.shape[1] - self.num_mixtures], dim=1)
        return logits, rest.unflatten(1, (self.channels, self.per_channel, self.num_mixtures))

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """log weights (N, M, H, W); means, log-scales and coefficients (N, M, C, H, W)."""
        logits, components = self._grouped(parameters)
        # Not by indexing, whose gradients each have the size of the whole.
        means, log_scales, *coefficients = components.transpose(1, 3).unbind(2)
        tanh = torch.tanh(coefficients[0]) if coefficients else None
        return F.log_softmax(logits, dim=1), means, log_scales.clamp_min(self.min_log_scale), tanh

    def _log_prob(self, parameters: Tensor, images: Tensor, terms: Terms) -> Tensor:
        log_weights, log_terms = self._components(parameters, images, terms)
        return torch.logsumexp(log_weights + log_terms.sum(dim=2), dim=1)

    def _components(self, parameters: Tensor, images: Tensor, terms: Terms) -> tuple[Tensor, Tensor]:
        """log weights (N, M, H, W) and, for each component, the ``terms`` of the values (N, M, C, H, W)."""
        log_weights, means, log_scales, coefficients = self._split(parameters)
        x = self.scale(images[:, None].to(parameters.dtype))
        shifts = [
            sum((k * x[:, :, earlier] for earlier, k in enumerate(_couplings(coefficients, channel))), mean)
            for channel, mean in enumerate(means.unbind(2))
        ]
        return log_weights, terms(self._centered(images, x, torch.stack(shifts, dim=2)), log_scales, images)

    def _centered(self, images: Tensor, x: Tensor, means: Tensor) -> Tensor:
        """The values minus the means, in units of x."""
        if self.levels <= 256:
            return x - means
        # From exact levels: x is rounded, at 16 bits by a noticeable part of the smallest scale.
        half = (self.levels - 1) / 2
        return (images[:, None].to(means.dtype) - (means * half + half)) / half


def _mixed(weights: Tensor, above: Callable[[Tensor], Tensor]) -> DistributionFunction:
    """The distribution function of a mixture of logistics by weights (N, 1, M).

    Sites are apart: each element's exp and each sum over the last axis are the same whatever is beside them, unlike a
    sigmoid, which torch rounds otherwise at the end of a tensor, or a product of matrices.
    """
    return lambda bounds: (weights / above(bounds).exp_().add_(1)).sum(dim=2)


def _couplings(coefficients: Tensor | None, channel: int) -> list[Tensor]:
    """Coefficients (channel axis second last but one, -3) with which the earlier channels enter ``channel``'s mean."""
    if coefficients is None:
        return []
    a, b, c = coefficients.unbind(dim=-3)
    return [[], [a], [b, c]][channel]


@cache
@torch.inference_mode(False)
def _edges(levels: int, device: torch.device) -> Tensor:
    """The bins' edges in [-1, 1] and beyond, float64 (L + 1,): level k lies between number k and k + 1."""
    edges = (2 * torch.arange(levels + 1, dtype=torch.float64, device=device) - levels) / (levels - 1)
    edges[0], edges[-1] = -math.inf, math.inf
    return edges
