"""Embeddings made by another network: the vectors of section 2.3 and 3.3 of van den Oord et al. 2016b."""

from typing import Any

from torch import Tensor, nn

from pixelcnn.errors import UserError
from pixelcnn.options import VectorOptions


class Vectors(nn.Module):
    """The condition is a vector for each image, float (N, num_features), and h is that vector."""

    sees_the_image = False
    batch_key: str | None = "embeddings"

    def __init__(self, options: VectorOptions, *_: Any) -> None:
        super().__init__()
        assert options.num_features is not None, "known from the data set by now"
        self.features = options.num_features

    def examples(self, n: int) -> Tensor | None:
        """None: embeddings cannot be made up."""
        return None

    def encode(self, condition: Tensor | None, n: int, height: int, width: int) -> Tensor | None:
        """h (N, num_features); UserError for what are not n such vectors."""
        if condition is None:
            raise UserError("condition is missing: a model with conditioning=vector needs an embedding for each image.")
        if not condition.is_floating_point() or condition.shape != (n, self.features):
            raise UserError(
                f"condition of {condition.dtype} and shape {tuple(condition.shape)} is not one embedding for each of "
                f"{n} images: give floats (N, {self.features})."
            )
        return condition
