"""Mixture of discretized logistics with linear dependence between R, G and B (section 2.1 and 2.2 of the paper).

A value v of {0 .. L-1} stands for x = 2 v / (L-1) - 1 in [-1, 1]; its bin reaches half a level to both sides, the first
and the last bin to infinity. Given the mixture component, the channels are logistic with means

    mu_R,    mu_G + a x_R,    mu_B + b x_R + c x_G

and common component, so that G depends on R, and B on both. Parameters per pixel are in the original's order:
[M mixture logits | for each channel: M means, M log-scales, M coefficients], the coefficients (before tanh) a in R's
place, b in G's, c in B's; with one channel there are none.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelcnn.errors import UserError
from pixelcnn.options import DiscretizedLogisticMixtureOptions, ImageShape

MIN_LOG_SCALE = -7.0


class DiscretizedLogisticMixture:
    """The likelihood of one pixel's channels given its parameters.

    ``tails="exact"`` scores each value with the exact mass of its bin: the masses sum to one and `sample` draws from
    them. ``tails="original"`` scores 256 levels by the original's four branches, which replace a bin's mass by the
    density at its centre where the mass is below 1e-5.
    """

    num_groups = 1  # the components couple the channels
    is_bound = False

    def __init__(
        self, options: DiscretizedLogisticMixtureOptions, image: ImageShape, masked_channels: bool = False
    ) -> None:
        if options.tails == "original" and image.levels != 256:
            raise UserError(
                f"likelihood.tails=original is defined for 256 levels but the data has {image.levels}: "
                "use likelihood.tails=exact."
            )
        self.num_mixtures, self.tails = options.num_mixtures, options.tails
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

    def log_prob(self, parameters: Tensor, images: Tensor) -> Tensor:
        """log p of each pixel in nats, (N, H, W); parameters (N, P, H, W), images uint8 (N, C, H, W)."""
        log_weights, log_masses = self._components(parameters, images)
        return torch.logsumexp(log_weights + log_masses.sum(dim=2), dim=1)

    def log_prob_by_channel(self, parameters: Tensor, images: Tensor) -> Tensor:
        """log p(R), log p(G | R), log p(B | R, G) of each pixel in nats, (N, C, H, W); they sum to `log_prob`."""
        log_weights, log_masses = self._components(parameters, images)
        joint = torch.logsumexp(log_weights[:, :, None] + log_masses.cumsum(dim=2), dim=1)
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
        _, means, log_scales, coefficients = self._split(parameters)
        logits = parameters[:, : self.num_mixtures]
        chosen = (logits / mixture_temperature - torch.log(-torch.log(u_mixture))).argmax(dim=1, keepdim=True)
        of_chosen = chosen[:, :, None].expand(-1, -1, means.shape[2], -1, -1)
        means, scales = means.gather(1, of_chosen)[:, 0], log_scales.gather(1, of_chosen)[:, 0].exp()
        noise = scale_temperature * scales * (torch.log(u_logistic) - torch.log(1 - u_logistic))
        if coefficients is not None:
            coefficients = coefficients.gather(1, of_chosen)[:, 0]
        drawn: list[Tensor] = []
        for channel in range(self.channels):
            x = means[:, channel] + noise[:, channel]
            for earlier, coefficient in enumerate(_couplings(coefficients, channel)):
                x = x + coefficient * drawn[earlier]
            drawn.append(self.scale(self._level(x)) if quantize else x.clamp(-1, 1))
        x = torch.stack(drawn, dim=1)
        return self._level(x).to(torch.uint8) if quantize else x

    def sample_levels(
        self, parameters: Tensor, uniforms: Tensor, mixture_temperature: float = 1.0, scale_temperature: float = 1.0
    ) -> Tensor:
        """`sample` of uint8 levels (N, C, H, W) from all its uniforms in one tensor (N, num_uniforms, H, W)."""
        u_mixture, u_logistic = uniforms.split([self.num_mixtures, self.channels], dim=1)
        return self.sample(parameters, u_mixture, u_logistic, True, mixture_temperature, scale_temperature)

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """log weights (N, M, H, W); means, log-scales and coefficients (N, M, C, H, W)."""
        m = self.num_mixtures
        n, _, height, width = parameters.shape
        log_weights = F.log_softmax(parameters[:, :m], dim=1)
        rest = parameters[:, m:].view(n, self.channels, self.per_channel, m, height, width).transpose(1, 3)
        means, log_scales = rest[:, :, 0], rest[:, :, 1].clamp_min(MIN_LOG_SCALE)
        return log_weights, means, log_scales, torch.tanh(rest[:, :, 2]) if self.per_channel == 3 else None

    def _components(self, parameters: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
        """log weights (N, M, H, W) and, for each component, log masses of the values (N, M, C, H, W)."""
        log_weights, means, log_scales, coefficients = self._split(parameters)
        levels = images[:, None]
        x = self.scale(levels.to(parameters.dtype))
        shifts = [
            sum(
                (k * x[:, :, earlier] for earlier, k in enumerate(_couplings(coefficients, channel))),
                means[:, :, channel],
            )
            for channel in range(self.channels)
        ]
        centered = x - torch.stack(shifts, dim=2)
        return log_weights, self._log_masses(centered, log_scales, levels)

    def _log_masses(self, centered: Tensor, log_scales: Tensor, levels: Tensor) -> Tensor:
        """log of the logistic mass between the bin's edges, stable for any scale and distance.

        With upper edge a and lower edge b in units of the scale, sigmoid(a) - sigmoid(b) =
        sigmoid(a) sigmoid(-b) (1 - exp(b - a)); the outer bins have no lower or no upper edge.
        """
        half_bin = 1 / (self.levels - 1)
        inverse_scale = torch.exp(-log_scales)
        below_upper = F.logsigmoid((centered + half_bin) * inverse_scale)
        above_lower = F.logsigmoid(-(centered - half_bin) * inverse_scale)
        inside = below_upper + above_lower + _log_one_minus_exp(math.log(2 * half_bin) - log_scales)
        if self.tails == "original":
            middle = centered * inverse_scale
            log_density = middle - log_scales - 2 * F.softplus(middle)
            inside = torch.where(inside > math.log(1e-5), inside, log_density + math.log(2 * half_bin))
        return torch.where(levels == 0, below_upper, torch.where(levels == self.levels - 1, above_lower, inside))

    def scale(self, levels: Tensor) -> Tensor:
        """0 .. levels-1, as floats, to [-1, 1], by the original's own formula so that float32 agrees to the bit."""
        half = (self.levels - 1) / 2
        return (levels - half) / half

    def _level(self, x: Tensor) -> Tensor:
        half = (self.levels - 1) / 2
        return (x * half + half).round().clamp(0, self.levels - 1)


def _couplings(coefficients: Tensor | None, channel: int) -> list[Tensor]:
    """Coefficients (channel axis second last but one, -3) with which the earlier channels enter ``channel``'s mean."""
    if coefficients is None:
        return []
    a, b, c = coefficients.unbind(dim=-3)
    return [[], [a], [b, c]][channel]


def _log_one_minus_exp(log_width: Tensor) -> Tensor:
    """log(1 - exp(-w)) from log w, with value and gradient finite where w underflows."""
    width = log_width.exp()
    narrow = width < 1e-3
    series = log_width - width / 2 + width.square() / 24
    return torch.where(narrow, series, torch.log(-torch.expm1(-torch.where(narrow, 1.0, width))))
