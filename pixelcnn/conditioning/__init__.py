"""Conditioning: how a condition becomes the features h that enter every gated block, one kind per file.

Every kind has ``features`` (length D of h, 0 for none), ``batch_key`` (which entry of a data set's batch is the
condition) and `encode`.
"""

from typing import Any

from pixelcnn.conditioning.class_label import ClassLabels
from pixelcnn.conditioning.none import Unconditional

Conditioning = Unconditional | ClassLabels

CONDITIONINGS: dict[str, type[Conditioning]] = {"none": Unconditional, "class": ClassLabels}


def build_conditioning(options: Any) -> Conditioning:
    """The conditioning that ``options`` (a dataclass of `pixelcnn.options`) describe."""
    return CONDITIONINGS[options.name](options)
