"""Noise that makes levels continuous: uniform numbers determined by the image itself.

They do not depend on a generator or on the image's place in a batch, so an image's score is the same in every batch,
order and device.
"""

import torch
from torch import Tensor

WORD = 0xFFFFFFFF  # 32 bits, kept in int64, where the products below cannot overflow
MULTIPLIER = 0x45D9F3B
PLACES_OF_VALUES, PLACES_OF_NOISE = 0x9E3779B9, 0x7F4A7C15  # different first words: independent uses


def dequantisation_noise(images: Tensor) -> Tensor:
    """Numbers in [0, 1), float64 in the shape of ``images`` integers (N, C, H, W): uniform, and as if independent.

    Each is a hash of all values of its image and of its channel, row and column.
    """
    values = images.flatten(1).long()
    place = torch.arange(values.shape[1], device=images.device)
    of_image = _mixed(_mixed(_mixed(place ^ PLACES_OF_VALUES) + values).sum(dim=1, keepdim=True) & WORD)
    return (_mixed(of_image ^ _mixed(place ^ PLACES_OF_NOISE)).double() / (WORD + 1)).view(images.shape)


def _mixed(word: Tensor) -> Tensor:
    """A one-to-one map of 32-bit numbers; each bit of the result depends on every bit of ``word``."""
    for _ in range(2):
        word = ((word >> 16) ^ word) * MULTIPLIER & WORD
    return (word >> 16) ^ word
