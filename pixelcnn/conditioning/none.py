"""No condition: the model of all images."""

from typing import ClassVar

from torch import Tensor, nn

from pixelcnn.errors import UserError


class Unconditional(nn.Module):
    """Takes no condition."""

    name: ClassVar[str] = "none"
    size_key: ClassVar[str | None] = None
    features = 0
    sees_the_image = False
    batch_key: str | None = None

    def __init__(self) -> None:
        super().__init__()

    def examples(self, n: int) -> Tensor | None:
        """Conditions for a grid of n samples: none."""
        return None

    def encode(self, condition: Tensor | None, n: int, height: int, width: int) -> Tensor | None:
        """Always None; UserError if a condition is given."""
        if condition is not None:
            raise UserError("condition was given to a model with conditioning=none: leave it out.")
        return None
