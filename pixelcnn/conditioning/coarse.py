"""Codes of a coarser level of a hierarchy, as in VQ-VAE-2: the prior of the bottom level is conditioned on the top
level (Razavi et al. 2019, section 3.2)."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelcnn.conditioning.upsampling import divides, upsampled
from pixelcnn.errors import UserError, require


class CoarseCodes(nn.Module):
    """The condition is codes, integers (N, h, w) of 0 .. num_codes-1; h and w divide the images' height and width.

    h is their embedding, learned with the model and upsampled. Float (N, num_features, h, w) is taken as embeddings.
    """

    name: ClassVar[str] = "coarse"
    batch_key: ClassVar[str | None] = "coarse"
    size_key: ClassVar[str | None] = "num_codes"
    sees_the_image = False

    def __init__(self, *, num_codes: int, num_features: int = 32) -> None:
        super().__init__()
        require(num_codes >= 1, "num_codes", num_codes, "use a positive number")
        require(num_features >= 1, "num_features", num_features, "use a positive number")
        self.features, self.num_codes = num_features, num_codes
        # Of unit length initially, like a class's one-hot vector.
        self.embedding = nn.Parameter(torch.empty(num_codes, num_features).normal_(0, num_features**-0.5))

    def examples(self, n: int) -> Tensor | None:
        """None: they cannot be made up."""
        return None

    def encode(self, condition: Tensor | None, n: int, height: int, width: int) -> Tensor | None:
        """h (N, num_features, height, width); UserError unless the condition is n maps of codes or of embeddings."""
        if condition is None:
            raise UserError("condition is missing: a model with conditioning=coarse needs codes for each image.")
        if condition.is_floating_point() and condition.shape[:2] == (n, self.features):
            embedded = condition
        else:
            embedded = self._embedded(condition, n)
        if not divides(embedded.shape, height, width):
            raise UserError(
                f"condition of shape {tuple(condition.shape)} is not maps for images of {height}x{width}: give codes "
                "of a height and width that divide these."
            )
        return upsampled(embedded, height, width)

    def _embedded(self, codes: Tensor, n: int) -> Tensor:
        if codes.is_floating_point() or codes.dtype == torch.bool or codes.ndim != 3 or len(codes) != n:
            raise UserError(
                f"condition of {codes.dtype} and shape {tuple(codes.shape)} is not codes for each of {n} images: give "
                f"integers (N, h, w), or their embeddings (N, {self.features}, h, w)."
            )
        codes = codes.long()
        # Not in training on a GPU, as in `ClassLabels`.
        looked_at = (codes.is_cpu or not self.training) and not torch.compiler.is_compiling()
        if codes.numel() and looked_at and not 0 <= int(codes.min()) <= int(codes.max()) < self.num_codes:
            raise UserError(
                f"condition holds codes {int(codes.min())}..{int(codes.max())}, but the model knows "
                f"0..{self.num_codes - 1}: use one of those."
            )
        return F.embedding(codes, self.embedding).permute(0, 3, 1, 2)
