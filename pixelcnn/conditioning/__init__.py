"""Conditioning: how a condition becomes the features h that enter every gated block, one kind per file."""

from typing import Any, Protocol

from torch import Tensor

from pixelcnn.conditioning.class_label import ClassLabels
from pixelcnn.conditioning.none import Unconditional


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


CONDITIONINGS: dict[str, type] = {"none": Unconditional, "class": ClassLabels}


def build_conditioning(options: Any) -> Conditioning:
    """The conditioning that ``options`` (a dataclass of `pixelcnn.options`) describe."""
    return CONDITIONINGS[options.name](options)
