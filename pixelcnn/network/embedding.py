"""What a network sees of levels: numbers of [-1, 1], or a learned vector for each.

The parallel walk, the incremental walk, data-dependent initialisation and encoders of images all see it by `seen`.
"""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelcnn.errors import require

Input = Literal["scaled", "embedding"]


class LevelEmbedding(nn.Module):
    """A vector of ``features`` numbers for each of L ``levels`` of each channel, initialised from N(0, 1).

    For levels without an order, such as codes: scaling would impose one. Each channel has its own table. Its features
    follow those of the channel before it, so they belong to the channel's group.
    """

    def __init__(self, channels: int, levels: int, features: int) -> None:
        super().__init__()
        self.levels, self.features = levels, features
        self.weight = nn.Parameter(torch.empty(channels * levels, features).normal_())

    def forward(self, levels: Tensor, first: int = 0) -> Tensor:
        """Integers 0 .. L-1 (N, c, ...) of the channels from ``first`` on, to (N, c * features, ...)."""
        channels = torch.arange(first, first + levels.shape[1], device=levels.device)
        rows = levels.long() + (channels * self.levels).view(-1, *[1] * (levels.ndim - 2))
        return F.embedding(rows, self.weight).movedim(-1, 2).flatten(1, 2)


def embedding_for(input: Input, channels: int, levels: int, features: int) -> LevelEmbedding | None:
    """The embedding of a network with these keys; None if it sees levels ``scaled``."""
    require(features >= 1, "embedding_features", features, "use a positive number")
    return LevelEmbedding(channels, levels, features) if input == "embedding" else None


def embedding_of(module: nn.Module) -> LevelEmbedding | None:
    """The embedding by which ``module``, a network or an encoder, sees levels: its attribute of that name."""
    found = getattr(module, "embedding", None)
    return found if isinstance(found, LevelEmbedding) else None


def seen_channels(embedding: LevelEmbedding | None, channels: int) -> int:
    """The number of channels in which a network sees an image of ``channels`` channels."""
    return channels if embedding is None else channels * embedding.features


def seen(
    levels: Tensor,
    embedding: LevelEmbedding | None,
    scale: Callable[[Tensor], Tensor],
    dtype: torch.dtype,
    first: int = 0,
) -> Tensor:
    """What a network sees of integers (N, c, ...), the channels from ``first`` on: (N, `seen_channels`, ...).

    ``dtype``: of scaled levels; embedded ones have their table's.
    """
    return scale(levels.to(dtype)) if embedding is None else embedding(levels, first)
