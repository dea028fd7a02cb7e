"""Each channel's level as the number of successes in a row of coin tosses."""

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelcnn import ImageShape
from pixelcnn.likelihood import Likelihood


class Binomial(Likelihood):
    """level ~ Binomial(levels - 1, sigmoid(sharpness * parameter)), channels independent given the pixels before."""

    def __init__(self, image: ImageShape, *, sharpness: float = 1.0) -> None:
        if sharpness <= 0:
            raise ValueError(f"sharpness={sharpness} is out of range: use a positive number")
        self.channels, self.levels, self.sharpness = image.channels, image.levels, sharpness

    @property
    def num_parameters(self) -> int:
        return self.channels

    @property
    def num_uniforms(self) -> int:
        return self.channels

    def log_prob_by_channel(self, parameters: Tensor, images: Tensor) -> Tensor:
        return self._log_mass(self.sharpness * parameters, images.to(parameters.dtype))

    def sample_levels(
        self, parameters: Tensor, uniforms: Tensor, mixture_temperature: float = 1.0, scale_temperature: float = 1.0
    ) -> Tensor:
        logits = self.sharpness * parameters / scale_temperature
        every = torch.arange(self.levels, device=logits.device, dtype=logits.dtype).view(-1, 1, 1, 1, 1)
        cumulative = self._log_mass(logits, every).exp().cumsum(0)
        return (cumulative[:-1] < uniforms).sum(0).to(torch.uint8)

    def _log_mass(self, logits: Tensor, k: Tensor) -> Tensor:
        n = torch.tensor(self.levels - 1, dtype=logits.dtype, device=logits.device)
        chosen = torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
        return chosen + k * F.logsigmoid(logits) + (n - k) * F.logsigmoid(-logits)
