"""Conditioning: how a condition becomes the features h that enter every gated block, one kind per file.

Every kind but `none` also takes features themselves in place of what they are made of, so that conditions can be
interpolated.
"""

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

from pixelcnn.conditioning.class_label import ClassLabels
from pixelcnn.conditioning.encoder import Encoder
from pixelcnn.conditioning.given import Maps, Vectors
from pixelcnn.conditioning.none import Unconditional
from pixelcnn.options import ImageShape


class Conditioning(Protocol):
    """What every kind, an nn.Module, has."""

    features: int  # D, the length of h; 0 for none
    batch_key: str | None  # which entry of a data set's batch is the condition
    sees_the_image: bool  # whether the condition is made of the image that is scored

    def examples(self, n: int) -> Tensor | None:
        """Conditions for a grid of n samples, where they can be made up; None where they cannot or are not needed."""

    def encode(self, condition: Tensor | None, n: int, height: int, width: int) -> Tensor | None:
        """h of n images of this size: None, (N, D), or a map (N, D, height, width); UserError for what is no such
        condition."""


CONDITIONINGS: dict[str, Callable[[Any, ImageShape, Callable[[Tensor], Tensor]], Any]] = {
    "none": Unconditional,
    "class": ClassLabels,
    "vector": Vectors,
    "spatial": Maps,
    "encoder": Encoder,
}


def build_conditioning(options: Any, image: ImageShape, scale: Callable[[Tensor], Tensor]) -> Conditioning:
    """The conditioning that ``options`` (a dataclass of `pixelcnn.options`) describe, for images of this shape.

    ``scale`` takes levels to the numbers in [-1, 1] that networks see; an encoder is one.
    """
    return CONDITIONINGS[options.name](options, image, scale)
