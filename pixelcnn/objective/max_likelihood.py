"""The log-probability of the training images (equation 1 of the PixelCNN++ paper)."""

import math
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from pixelcnn.model import PixelModel
from pixelcnn.scores import by_channel


class MaximumLikelihood:
    """-log p(images | condition) in nats; its score is in bits."""

    name: ClassVar[str] = "max_likelihood"
    needs_density: ClassVar[bool] = True
    unit = math.log(2)

    def score_name(self, model: PixelModel) -> str:
        """bits_per_dim, or another name if the score is only a bound or conditional on the image's code."""
        return model.score_name

    def channel_scores(self, model: PixelModel) -> list[str]:
        """SCORE_red, SCORE_green and SCORE_blue for colour images, given the channels before."""
        return by_channel(model.score_name, model.image.channels)

    def losses(self, model: PixelModel, batch: Mapping[str, Tensor], noise_seed: int | None) -> Tensor:
        """-log p of each image, (N,)."""
        return -model(batch["images"], model.condition_in(batch))  # compiled, where the model is

    def losses_by_channel(self, model: PixelModel, batch: Mapping[str, Tensor], noise_seed: int | None) -> Tensor:
        """-log p of R, of G given R and of B given both, of each image, (N, C)."""
        return -model.log_prob_by_channel(batch["images"], model.condition_in(batch))
