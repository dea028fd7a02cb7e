"""The auto-encoder of section 2.4 of van den Oord et al. 2016b: a code of the image itself, its decoder a PixelCNN."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from pixelcnn.errors import UserError, require
from pixelcnn.image_shape import ImageShape
from pixelcnn.network.embedding import LevelEmbedding, seen, seen_channels

SMALLEST = 4  # height and width of the map that the code is computed from
AT_ONCE = 256  # images encoded at once, to bound memory


class AveragedToSmallest(nn.Module):
    """nn.AdaptiveAvgPool2d(SMALLEST), whose backward pass on GPUs is not deterministic."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, SMALLEST, SMALLEST)."""
        if x.shape[2:] == (SMALLEST, SMALLEST):
            return x
        rows, columns = (_averages(size, x) for size in x.shape[2:])
        return rows @ x @ columns.t()


def _averages(size: int, like: Tensor) -> Tensor:
    """(SMALLEST, size): row k averages over the k-th of SMALLEST stretches, which may overlap by a place."""
    starts = torch.arange(SMALLEST, device=like.device)[:, None] * size
    place = torch.arange(size, device=like.device) * SMALLEST
    within = ((place > starts - SMALLEST) & (place < starts + size)).to(like.dtype)
    return within / within.sum(1, keepdim=True)


class Encoder(nn.Module):
    """The condition is images, integers (N, C, H, W), or codes, float (N, code_size). h is the code.

    3x3 convolutions, each but the first halving the resolution and doubling the filters, down to a map of 4x4, then
    a dense layer. Images of another size than the model's are averaged to that map, so they have codes too. If the
    network embeds levels, so does the encoder, with its own embedding.
    """

    name: ClassVar[str] = "encoder"
    batch_key: ClassVar[str | None] = "images"
    size_key: ClassVar[str | None] = None
    sees_the_image = True

    def __init__(
        self,
        image: ImageShape,
        scale: Callable[[Tensor], Tensor],
        embedding_features: int = 0,
        *,
        code_size: int = 10,
        num_filters: int = 32,
    ) -> None:
        super().__init__()
        require(code_size >= 1, "code_size", code_size, "use a positive number")
        require(num_filters >= 1, "num_filters", num_filters, "use a positive number")
        self.features, self.scale = code_size, scale
        self.image = image
        self.embedding: LevelEmbedding | None = None
        if embedding_features:
            self.embedding = LevelEmbedding(image.channels, image.levels, embedding_features)
        filters = num_filters
        seen = seen_channels(self.embedding, image.channels)
        layers: list[nn.Module] = [nn.Conv2d(seen, filters, 3, padding=1), nn.ELU()]
        side = min(image.height, image.width)
        while side > SMALLEST:
            layers += [nn.Conv2d(filters, 2 * filters, 3, stride=2, padding=1), nn.ELU()]
            filters, side = 2 * filters, -(-side // 2)
        layers += [AveragedToSmallest(), nn.Flatten(), nn.Linear(filters * SMALLEST**2, self.features)]
        self.layers = nn.Sequential(*layers)

    def examples(self, n: int) -> Tensor | None:
        """None: the meaning of a code is not known beforehand."""
        return None

    def encode(self, condition: Tensor | None, n: int, height: int, width: int) -> Tensor | None:
        """The codes (N, code_size); UserError unless the condition is n images or n codes."""
        if condition is None:
            raise UserError(
                "condition is missing: a model with conditioning=encoder needs an image or a code for each image."
            )
        if condition.is_floating_point() and condition.shape == (n, self.features):
            return condition
        if not self.image.has_form_of(condition) or len(condition) != n:
            raise UserError(
                f"condition of {condition.dtype} and shape {tuple(condition.shape)} is neither an image nor a code for "
                f"each of {n} images: give integers (N, {self.image.channels}, H, W) or floats (N, {self.features})."
            )
        looked_at = (condition.is_cpu or not self.training) and not torch.compiler.is_compiling()  # as in `PixelModel`
        outside = self.image.out_of_range(condition) if looked_at else None
        if outside is not None:
            raise UserError(
                f"condition images contain {outside}, but this model's levels are 0..{self.image.levels - 1}: rescale "
                "them."
            )
        parts, dtype = condition.to(self.image.dtype).split(AT_ONCE), next(self.parameters()).dtype
        return torch.cat([self.layers(seen(part, self.embedding, self.scale, dtype)) for part in parts])
