"""A softmax over the levels of each channel (van den Oord et al. 2016a, section 2.2).

If the network masks channels, it computes G's logits given R, and B's given R and G; the parameters of an RGB pixel are
[R: L logits | G: L logits | B: L logits]. Otherwise, as in the ablation of the PixelCNN++ paper (section 3.4.1), logits
depend linearly on the channels before, scaled to [-1, 1], with coefficients from the network:

    logits_R = r,    logits_G = g + a x_R,    logits_B = b + c x_R + d x_G,

where a, c and d have one number per level: 6 L parameters [R: r | G: g, a | B: b, c, d]. R can thus favour any level of
G, but the log-odds of two levels are linear in x_R. With one channel there are L logits.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelcnn.errors import UserError
from pixelcnn.image_shape import ImageShape, tensor_type
from pixelcnn.likelihood.cumulative import cumulative_sum, distribution_function_of
from pixelcnn.likelihood.protocol import Conditionals, Likelihood
from pixelcnn.likelihood.softmax import LogSoftmaxAt, by_channel, logits_of

# Operations whose backward pass does not read their result: a convolution, and a copy to another memory format.
MAKERS = ("ConvolutionBackward", "ToCopyBackward", "CloneBackward")


class Categorical(Likelihood):
    """The likelihood of one pixel's channels given its parameters: exact, any distribution over the levels."""

    name: ClassVar[str] = "categorical"
    sites_apart = True

    def __init__(self, image: ImageShape, masked_channels: bool = False) -> None:
        self.channels, self.levels = image.channels, image.levels
        self.num_groups = image.channels if masked_channels else 1

    @property
    def num_parameters(self) -> int:
        """P, per pixel: L for each channel, and L for each pair of channels that share a group."""
        in_group = self.channels // self.num_groups
        return self.num_groups * self.levels * in_group * (in_group + 1) // 2

    @property
    def num_uniforms(self) -> int:
        """Uniform random numbers per pixel drawn: one for each channel."""
        return self.channels

    def log_prob_by_channel(self, parameters: Tensor, images: Tensor) -> Tensor:
        """log p(R), log p(G | R), log p(B | R, G) of each pixel in nats, (N, C, H, W)."""
        return self._log_prob(parameters, images, spend=False)

    def log_prob_spending(self, parameters: Tensor, images: Tensor) -> Tensor:
        """`log_prob` whose gradient overwrites the parameters instead of taking more memory."""
        return self._log_prob(parameters, images, spend=True).sum(dim=1)

    def _log_prob(self, parameters: Tensor, images: Tensor, spend: bool) -> Tensor:
        levels, x = images.long(), self.scale(images.to(parameters.dtype))
        if torch.compiler.is_compiling():  # which fuses the plain formula itself
            return torch.cat(
                [
                    F.log_softmax(logits, dim=1).gather(1, levels[:, channel, None])
                    for channel, _, _, logits in by_channel(parameters, x, self.num_groups)
                ],
                dim=1,
            )
        spend = spend and unread_by_their_maker(parameters)
        return LogSoftmaxAt.apply(parameters, levels, x, self.num_groups, spend)

    def sample_levels(
        self, parameters: Tensor, uniforms: Tensor, mixture_temperature: float = 1.0, scale_temperature: float = 1.0
    ) -> Tensor:
        """Draw one group of channels: (N, C / num_groups, H, W), each the inverse of its distribution function.

        parameters (N, P / num_groups, H, W) and uniforms (N, C / num_groups, H, W) are the group's.
        ``mixture_temperature`` divides the logits; UserError for another ``scale_temperature`` than 1.
        """
        if scale_temperature != 1:
            raise UserError(
                f"scale_temperature={scale_temperature} is not for likelihood=categorical, which has no scales: "
                "use mixture_temperature, which divides its logits."
            )
        drawn: list[Tensor] = []
        for place, u in enumerate(uniforms.split(1, dim=1)):
            before = self.scale(torch.cat(drawn, dim=1).to(parameters.dtype)) if drawn else parameters[:, :0]
            logits = self._logits(parameters, place, before)
            cumulative = cumulative_sum(F.softmax(logits / mixture_temperature, dim=1), dim=1)
            # Relative to the last one, which rounding may leave slightly off 1.
            drawn.append((cumulative[:, :-1] <= u * cumulative[:, -1:]).sum(dim=1, keepdim=True))
        return torch.cat(drawn, dim=1).to(tensor_type(self.levels))

    def conditionals(self, parameters: Tensor) -> Conditionals:
        """`Likelihood.conditionals`, from the softmax."""
        sites = parameters[:, :, None, None]
        x = sites[:, :0]
        for place in range(self.channels // self.num_groups):
            logits = self._logits(sites, place, x)[:, :, 0, 0]
            levels = yield distribution_function_of(F.softmax(logits, dim=1))
            x = torch.cat([x, self.scale(levels.to(x.dtype))[:, None, None, None]], dim=1)

    def _logits(self, parameters: Tensor, place: int, before: Tensor) -> Tensor:
        """`logits_of` a group's channel from its parameters (N, P / num_groups, H, W)."""
        return logits_of(parameters.unflatten(1, (-1, self.levels)), place, before)


def unread_by_their_maker(parameters: Tensor) -> bool:
    """Whether the operation that made ``parameters`` is known not to need them in its backward pass."""
    return parameters.grad_fn is not None and parameters.grad_fn.name().startswith(MAKERS)
