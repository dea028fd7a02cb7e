"""Features that come with the data and are used directly (section 2.3 of van den Oord et al. 2016b)."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from pixelcnn.conditioning.upsampling import divides, upsampled
from pixelcnn.errors import UserError, require


class GivenFeatures(nn.Module):
    """The condition is h itself: floats of ``num_features`` for each image."""

    name: ClassVar[str]
    batch_key: ClassVar[str | None]
    size_key: ClassVar[str | None] = "num_features"
    sees_the_image = False
    called: str  # what one is called in messages
    beyond: str  # the rest of their shape in messages, for a height and width

    def fits(self, shape: Sequence[int], height: int, width: int) -> bool:
        """Whether conditions of this shape, apart from their number and features, are for images of this size."""
        raise NotImplementedError

    def __init__(self, *, num_features: int) -> None:
        super().__init__()
        require(num_features >= 1, "num_features", num_features, "use a positive number")
        self.features = num_features

    def examples(self, n: int) -> Tensor | None:
        """None: they cannot be made up."""
        return None

    def encode(self, condition: Tensor | None, n: int, height: int, width: int) -> Tensor | None:
        """The condition; UserError for another type or shape."""
        if condition is None:
            raise UserError(
                f"condition is missing: a model with conditioning={self.name} needs {self.called} for each image."
            )
        shape = condition.shape
        if not condition.is_floating_point() or shape[:2] != (n, self.features) or not self.fits(shape, height, width):
            raise UserError(
                f"condition of {condition.dtype} and shape {tuple(shape)} is not {self.called} for each of {n} images: "
                f"give floats (N, {self.features}{self.beyond.format(height, width)}."
            )
        return condition


class Vectors(GivenFeatures):
    """A vector for each image, (N, num_features), such as an embedding made by another network."""

    name = "vector"
    batch_key = "embeddings"
    called = "an embedding"
    beyond = ")"

    def fits(self, shape: Sequence[int], height: int, width: int) -> bool:
        return len(shape) == 2


class Maps(GivenFeatures):
    """A map for each image, (N, num_features, H, W) of the images' size, or one whose size divides it: see `upsampled`.

    A pixel may depend on the whole map, at later pixels too: the map is given, not drawn.
    """

    name = "spatial"
    batch_key = "maps"
    called = "a map"
    beyond = ", {}, {}), or of a size that divides it"

    def fits(self, shape: Sequence[int], height: int, width: int) -> bool:
        return divides(shape, height, width)

    def encode(self, condition: Tensor | None, n: int, height: int, width: int) -> Tensor | None:
        """The condition at the images' size; UserError for another type or shape."""
        given = super().encode(condition, n, height, width)
        return None if given is None else upsampled(given, height, width)
