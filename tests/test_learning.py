"""A model learns what there is to learn: a set by heart, and a distribution to its entropy."""

import math
from collections.abc import Iterable

import pytest
import torch

from pixelcnn.initialisation import data_dependent_initialisation
from pixelcnn.model import PixelModel, build
from tests.conftest import random_images, tiny_description

pytestmark = pytest.mark.slow


def train(model: PixelModel, batches: Iterable[torch.Tensor], lr: float) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, betas=(0.95, 0.99))
    model.train()
    for images in batches:
        optimizer.zero_grad()
        (-model.log_prob(images).sum()).backward()
        optimizer.step()
    model.eval()


def test_incompressible_noise_is_learned_by_heart():
    model = build(
        tiny_description(levels=4, height=4, width=4, num_stages=1, num_filters=32, dropout=0.0, num_mixtures=3)
    )
    images = random_images(model, 16)
    data_dependent_initialisation(model, images)
    train(model, (images for _ in range(300)), lr=3e-3)
    with torch.no_grad():
        assert model.bits_per_dim(images).mean() < 0.5 * math.log2(4)


R_NOISE, G_NOISE = 0.11, 0.02


def neighbourly_images(n: int, size: int, generator: torch.Generator) -> torch.Tensor:
    """Bits: R is the parity of R at the left and above, flipped at times; G is R, flipped rarely; B is a fair coin.

    Whoever ignores the left neighbour, or the one above, finds R a fair coin (0.5 bit more a pixel); whoever ignores R
    predicts G from R's neighbours at best (0.4 bit more).
    """
    flips = torch.rand(n, 3, size, size, generator=generator) < torch.tensor([R_NOISE, G_NOISE, 0.5]).view(3, 1, 1)
    images = flips.to(torch.uint8)
    red = torch.zeros(n, size + 1, size + 1, dtype=torch.uint8)
    for i in range(size):
        for j in range(size):
            red[:, i + 1, j + 1] = red[:, i + 1, j] ^ red[:, i, j + 1] ^ images[:, 0, i, j]
    images[:, 0] = red[:, 1:, 1:]
    images[:, 1] ^= images[:, 0]
    return images


def entropy(p: float) -> float:
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p)


def test_dependences_on_left_above_and_between_channels_are_learned():
    assert 1 - entropy(R_NOISE) > 0.3
    flipped_once = R_NOISE * (1 - G_NOISE) + (1 - R_NOISE) * G_NOISE
    assert entropy(flipped_once) - entropy(G_NOISE) > 0.3

    size, generator = 8, torch.Generator().manual_seed(0)
    model = build(
        tiny_description(height=size, width=size, levels=2, num_stages=1, num_filters=16, dropout=0.0, num_mixtures=2)
    )
    data_dependent_initialisation(model, neighbourly_images(64, size, generator))
    train(model, (neighbourly_images(64, size, generator) for _ in range(400)), lr=5e-3)
    with torch.no_grad():
        bits = model.bits_per_dim(neighbourly_images(1000, size, generator)).mean().item() * 3
    true_bits = entropy(R_NOISE) + entropy(G_NOISE) + 1
    assert bits == pytest.approx(true_bits, abs=0.05)
