"""Mixture of logistic densities on dequantised data, the paper's ablation of its discretized likelihood (section 3.4).

A value x, a level scaled to [-1, 1], is scored with noise u that is uniform on its bin, from half a level below to half
a level above: log p = log density(x + u) + log(width of the bin). The network and the couplings between channels see
the clean x of what came before.
"""

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelcnn.likelihood.coupled_logistics import CoupledLogistics
from pixelcnn.likelihood.dequantisation import dequantisation_noise


class LogisticMixture(CoupledLogistics):
    """The density of one pixel's channels given its parameters: `log_prob` is a bound.

    `sample_levels` draws a real number and takes the nearest level. The log-probability of that is the log of the
    integral of the density over the pixel's bins (the first and the last extend to infinity). Since only the density's
    own argument has noise, Jensen's inequality gives, pixel by pixel,

        E_u[log_prob] <= log P(levels),

    with the expectation over noise uniform on the bins. The noise of `log_prob` is determined by the image (see
    `pixelcnn.likelihood.dequantisation`): its mean over many images is that expectation, but a single image may be
    above its bound. `log_prob_by_channel` splits the bound; only the sum of the parts is a bound.
    """

    name: ClassVar[str] = "logistic_mixture"
    is_bound = True

    def log_terms(self, centered: Tensor, log_scales: Tensor, images: Tensor) -> Tensor:
        """log of the density at a point of the value's bin, times the bin's width."""
        width = 2 / (self.levels - 1)
        noise = (width * (dequantisation_noise(images) - 0.5)).to(centered.dtype)
        z = (centered + noise[:, None]) * torch.exp(-log_scales)
        return F.logsigmoid(z) + F.logsigmoid(-z) - log_scales + math.log(width)
