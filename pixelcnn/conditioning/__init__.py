"""Conditioning: how a condition becomes the features h that enter every gated block, one kind per file.

Every kind but `none` also takes the features directly, so that conditions can be interpolated. A model may have several
kinds at once, a `Several`.
"""

from typing import ClassVar, Protocol

from torch import Tensor

from pixelcnn.conditioning.class_label import ClassLabels
from pixelcnn.conditioning.coarse import CoarseCodes
from pixelcnn.conditioning.condition import Condition
from pixelcnn.conditioning.encoder import Encoder
from pixelcnn.conditioning.given import Maps, Vectors
from pixelcnn.conditioning.none import Unconditional
from pixelcnn.conditioning.several import Several

__all__ = [
    "ClassLabels",
    "CoarseCodes",
    "Condition",
    "Conditioning",
    "Encoder",
    "Maps",
    "Several",
    "Unconditional",
    "Vectors",
]


class Conditioning(Protocol):
    """The interface of conditionings, which are modules. Besides its own keys, the constructor may have the arguments

        image (`pixelcnn.image_shape.ImageShape`), scale (levels to the numbers in [-1, 1] that networks see),
        embedding_features (of each level if the network has a `LevelEmbedding`, else 0),

    which the model passes.
    """

    batch_key: ClassVar[str | None]  # which entry of a data set's batch is the condition
    size_key: ClassVar[str | None]  # the argument that receives the data set's number of classes, codes or features
    features: int  # D, the length of h; 0 for none
    sees_the_image: bool  # whether the condition is computed from the scored image

    def examples(self, n: int) -> Tensor | None:
        """Example conditions for a grid of n samples; None if they cannot be made up or are not needed."""

    def encode(self, condition: Tensor | None, n: int, height: int, width: int) -> Tensor | None:
        """h of n images of this size: None, (N, D), or a map (N, D, height, width); UserError for other conditions."""
