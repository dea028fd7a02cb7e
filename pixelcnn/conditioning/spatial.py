"""Location-dependent conditions: a map of features for each image (section 2.3 of van den Oord et al. 2016b)."""

from typing import Any

from torch import Tensor, nn

from pixelcnn.errors import UserError
from pixelcnn.options import SpatialOptions


class Maps(nn.Module):
    """The condition is a map for each image, float (N, num_features, H, W) of the images' size; h is that map.

    A pixel may depend on all of the map, on what lies at later pixels too: it is given, and not drawn.
    """

    sees_the_image = False
    batch_key: str | None = "maps"

    def __init__(self, options: SpatialOptions, *_: Any) -> None:
        super().__init__()
        assert options.num_features is not None, "known from the data set by now"
        self.features = options.num_features

    def examples(self, n: int) -> Tensor | None:
        """None: maps cannot be made up."""
        return None

    def encode(self, condition: Tensor | None, n: int, height: int, width: int) -> Tensor | None:
        """h (N, num_features, height, width); UserError for what are not n such maps."""
        if condition is None:
            raise UserError("condition is missing: a model with conditioning=spatial needs a map for each image.")
        if not condition.is_floating_point() or condition.shape != (n, self.features, height, width):
            raise UserError(
                f"condition of {condition.dtype} and shape {tuple(condition.shape)} is not one map for each of {n} "
                f"images: give floats (N, {self.features}, {height}, {width})."
            )
        return condition
