"""Features that are given with the data and enter as they are (section 2.3 of van den Oord et al. 2016b)."""

from typing import ClassVar

from torch import Tensor, nn

from pixelcnn.errors import UserError, require


class GivenFeatures(nn.Module):
    """The condition is h itself: floats of ``num_features`` for each image."""

    name: ClassVar[str]
    batch_key: ClassVar[str | None]
    size_key: ClassVar[str | None] = "num_features"
    sees_the_image = False
    called: str  # one of them, in messages

    def __init__(self, *, num_features: int) -> None:
        super().__init__()
        require(num_features >= 1, "num_features", num_features, "use a positive number")
        self.features = num_features

    def examples(self, n: int) -> Tensor | None:
        """None: they cannot be made up."""
        return None

    def of_image(self, height: int, width: int) -> tuple[int, ...]:
        """The shape of one image's condition."""
        raise NotImplementedError

    def encode(self, condition: Tensor | None, n: int, height: int, width: int) -> Tensor | None:
        """The condition; UserError for what has another type or shape."""
        if condition is None:
            raise UserError(
                f"condition is missing: a model with conditioning={self.name} needs {self.called} for each image."
            )
        shape = self.of_image(height, width)
        if not condition.is_floating_point() or condition.shape != (n, *shape):
            raise UserError(
                f"condition of {condition.dtype} and shape {tuple(condition.shape)} is not {self.called} for each of "
                f"{n} images: give floats (N, {', '.join(map(str, shape))})."
            )
        return condition


class Vectors(GivenFeatures):
    """A vector for each image, (N, num_features), such as an embedding made by another network."""

    name = "vector"
    batch_key = "embeddings"
    called = "an embedding"

    def of_image(self, height: int, width: int) -> tuple[int, ...]:
        return (self.features,)


class Maps(GivenFeatures):
    """A map for each image, (N, num_features, H, W) of the images' size.

    A pixel may depend on all of the map, on what lies at later pixels too: it is given, and not drawn.
    """

    name = "spatial"
    batch_key = "maps"
    called = "a map"

    def of_image(self, height: int, width: int) -> tuple[int, ...]:
        return self.features, height, width
