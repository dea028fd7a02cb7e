"""A distribution that can be drawn from but has no density: a small network turns noise into pixels.

The output head of the original's ``-ed`` option. From a pixel's features f, which the model's network computes, and
uniform noise e of [-1, 1]:

    f <- f + dense(e),    f <- dense(concat_elu(f)),    x = tanh(dense(concat_elu(f)))

with weight-normalised layers as in the network. The channels share the noise, so they depend on each other.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from pixelcnn.errors import UserError, require
from pixelcnn.image_shape import ImageShape, tensor_type
from pixelcnn.likelihood.levels import nearest_level
from pixelcnn.likelihood.protocol import Likelihood
from pixelcnn.network.layers import CausalConv2d
from pixelcnn.network.nonlinearities import concat_elu
from pixelcnn.network.topology import POINT


class Implicit(nn.Module, Likelihood):
    """The head, with its own weights, which objective=energy_distance trains."""

    name: ClassVar[str] = "implicit"
    has_density: ClassVar[bool] = False

    def __init__(self, image: ImageShape, *, num_features: int = 64, num_noise: int = 4) -> None:
        super().__init__()
        require(num_features >= 1, "num_features", num_features, "use a positive number")
        require(num_noise >= 1, "num_noise", num_noise, "use a positive number of uniform numbers per pixel")
        self.channels, self.levels = image.channels, image.levels
        self.num_noise, self.num_features = num_noise, num_features
        self.noise_dense = CausalConv2d(num_noise, num_features, POINT)
        self.dense = CausalConv2d(2 * num_features, num_features, POINT)
        self.output = CausalConv2d(2 * num_features, image.channels, POINT, init_scale=0.1)

    @property
    def num_parameters(self) -> int:
        """P, per pixel: the features."""
        return self.num_features

    @property
    def num_uniforms(self) -> int:
        """Uniform random numbers per pixel drawn."""
        return self.num_noise

    def log_prob(self, parameters: Tensor, images: Tensor) -> Tensor:
        """UserError: there is none."""
        raise UserError(
            "likelihood=implicit has no density: such a model can be sampled, but neither log_prob nor bits/dim exist."
        )

    def log_prob_by_channel(self, parameters: Tensor, images: Tensor) -> Tensor:
        """UserError: there is none."""
        return self.log_prob(parameters, images)

    def samples(self, parameters: Tensor, uniforms: Tensor) -> Tensor:
        """S draws of each pixel, real numbers of [-1, 1], (S, N, C, H, W), differentiable.

        parameters (N, P, H, W); uniforms in (0, 1) (S, N, num_noise, H, W), scaled to the noise.
        """
        # In the weights' own precision, like the network's output layer.
        with torch.autocast(parameters.device.type, enabled=False):
            noise = (2 * uniforms - 1).to(self.output.v.dtype)
            f = parameters.to(noise.dtype) + self.noise_dense(noise.flatten(0, 1)).unflatten(0, noise.shape[:2])
            f = self.dense(concat_elu(f.flatten(0, 1)))
            return torch.tanh(self.output(concat_elu(f))).unflatten(0, noise.shape[:2])

    def sample_levels(
        self, parameters: Tensor, uniforms: Tensor, mixture_temperature: float = 1.0, scale_temperature: float = 1.0
    ) -> Tensor:
        """The levels nearest to a draw, integers (N, C, H, W); uniforms in (0, 1) (N, num_noise, H, W).

        UserError for temperatures other than 1.
        """
        if mixture_temperature != 1 or scale_temperature != 1:
            raise UserError(
                f"mixture_temperature={mixture_temperature} and scale_temperature={scale_temperature} are not for "
                "likelihood=implicit, which has neither components nor scales: leave both at 1."
            )
        x = self.samples(parameters, uniforms[None])[0]
        return nearest_level(x, self.levels).to(tensor_type(self.levels))
