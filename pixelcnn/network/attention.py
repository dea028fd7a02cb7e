"""The modules of PixelSNAIL (Chen et al. 2018) beside gated blocks: attention, and the features that it starts from."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def places(copies: int, height: int, width: int, like: Tensor) -> Tensor:
    """Every pixel's row, then its column, from -1/2 up to 1/2, each ``copies`` times: (2 * copies, H, W)."""
    rows, columns = (torch.arange(size, dtype=like.dtype, device=like.device) / size - 0.5 for size in (height, width))
    row, column = rows[:, None].expand(height, width), columns.expand(height, width)
    return torch.stack([row] * copies + [column] * copies)


class PlacedFeatures(nn.Module):
    """The first ``features`` of each input side by side, then the pixel's place.

    The place is repeated for each of the image's channels, as in the authors' code: weight normalisation and
    initialisation depend on it.
    """

    def __init__(self, features: Sequence[int], image_channels: int) -> None:
        super().__init__()
        self.features, self.copies = tuple(features), image_channels

    def forward(self, *inputs: Tensor) -> Tensor:
        """(N, at least the features of each, H, W) to (N, sum of the features + 2 * image_channels, H, W), of the type
        of the last input."""
        like = inputs[-1]
        height, width = like.shape[2:]
        place = places(self.copies, height, width, like).expand(len(like), -1, -1, -1)
        parts = [x[:, :count].to(like.dtype) for x, count in zip(inputs, self.features, strict=True)]
        return torch.cat([*parts, place], dim=1)


class CausalAttention(nn.Module):
    """Each pixel's mean of the values before it, weighted by softmax(query . key / sqrt(K)); zeros at the first pixel.

    The authors' code divides by 1e-6 more than the sum of the weights.
    """

    def forward(self, queries: Tensor, keys_values: Tensor) -> Tensor:
        """(N, K, H, W) and (N, K + V, H, W), keys first, to (N, V, H, W)."""
        height, width = queries.shape[2:]
        q, kv = queries.flatten(2).mT, keys_values.flatten(2).mT
        k, v = kv.split([q.shape[2], kv.shape[2] - q.shape[2]], dim=2)
        # Pixel p + 1 sees the pixels up to p: torch's causal mask includes the diagonal. Fused kernels need a pixel's
        # features side by side in memory (and on CPUs values as wide as keys).
        q, k, v = (x[:, None].contiguous() for x in (q[:, 1:], k[:, :-1], v[:, :-1]))
        mean = F.scaled_dot_product_attention(q, k, v, is_causal=True)[:, 0]
        return F.pad(mean, (0, 0, 1, 0)).mT.unflatten(2, (height, width))
