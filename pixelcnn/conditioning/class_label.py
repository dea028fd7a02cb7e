"""Class labels: one-hot vectors, as in the original (section 2 of van den Oord et al. 2016b: h in every block)."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelcnn.errors import UserError, require


class ClassLabels(nn.Module):
    """The condition is a class, int64 (N,) of 0 .. num_classes-1; h is its one-hot vector.

    Float (N, num_classes) is used as h directly, such as mixtures of the vectors of two classes.
    """

    name: ClassVar[str] = "class"
    batch_key: ClassVar[str | None] = "labels"
    size_key: ClassVar[str | None] = "num_classes"
    sees_the_image = False

    def __init__(self, *, num_classes: int) -> None:
        super().__init__()
        require(num_classes >= 1, "num_classes", num_classes, "use a positive number")
        self.features = num_classes

    def examples(self, n: int) -> Tensor | None:
        """Conditions for a grid of n samples: the classes in turn, int64 (n,)."""
        return torch.arange(n) % self.features

    def encode(self, condition: Tensor | None, n: int, height: int, width: int) -> Tensor | None:
        """h (N, num_classes), one-hot for labels; UserError unless the condition is n labels or n vectors."""
        if condition is None:
            raise UserError("condition is missing: a model with conditioning=class needs a label for each image.")
        if condition.is_floating_point() and condition.shape == (n, self.features):
            return condition
        if condition.dtype != torch.int64 or condition.shape != (n,):
            raise UserError(
                f"condition of {condition.dtype} and shape {tuple(condition.shape)} is not one label for each of {n} "
                "images: give int64 (N,)."
            )
        # Not in training on a GPU: reading a value synchronises, and an index out of range is an error anyway.
        looked_at = (condition.is_cpu or not self.training) and not torch.compiler.is_compiling()
        if n and looked_at and not 0 <= int(condition.min()) <= int(condition.max()) < self.features:
            raise UserError(
                f"condition holds labels {int(condition.min())}..{int(condition.max())}, but the model knows "
                f"0..{self.features - 1}: use one of those."
            )
        return F.one_hot(condition, self.features)
