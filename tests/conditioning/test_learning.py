"""Conditions are learned: what they tell is used, on real digits and where it can be counted."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.svm import SVC
from torch import Tensor

from pixelcnn.conditioning import ClassLabels, Encoder, Maps
from pixelcnn.data.digits import Digits
from pixelcnn.initialisation import data_dependent_initialisation
from pixelcnn.model import PixelModel, build
from tests.conftest import tiny_description

pytestmark = pytest.mark.slow


def digits(split: str) -> tuple[Tensor, Tensor]:
    arrays = Digits(batch_size=1, val_size=0, num_workers=0, seed=0).arrays(split)
    return torch.from_numpy(np.ascontiguousarray(arrays.images)), torch.from_numpy(arrays.labels)


def learned(model: PixelModel, batch: Callable[[], tuple[Tensor, Tensor]], steps: int, lr: float) -> PixelModel:
    data_dependent_initialisation(model, *batch())
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, betas=(0.95, 0.999))
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        (-model.log_prob(*batch()).sum()).backward()
        optimizer.step()
    return model.eval()


def digits_model(conditioning) -> PixelModel:
    """A tiny model after a hundred steps: digits' outlines, and what the condition says of them."""
    images, labels = digits("train")
    generator = torch.Generator().manual_seed(0)

    def batch() -> tuple[Tensor, Tensor]:
        chosen = torch.randint(len(images), (64,), generator=generator)
        return images[chosen], labels[chosen] if conditioning.func is ClassLabels else images[chosen]

    options = dict(channels=1, levels=17, num_filters=12, num_stages=2, dropout=0.0, num_mixtures=3)
    return learned(build(tiny_description(conditioning=conditioning, **options)), batch, steps=100, lr=0.01)


def test_samples_and_scores_follow_the_label():
    model = digits_model(partial(ClassLabels, num_classes=10))
    (images, labels), (train_images, train_labels) = digits("test"), digits("train")
    classifier = SVC(gamma=0.001).fit(train_images.flatten(1), train_labels)
    given = torch.arange(10).repeat(10)
    found = classifier.predict(model.sample(100, given, batch_size=100).flatten(1))
    assert (found == given.numpy()).mean() > 0.25  # by chance 0.1
    with torch.no_grad():
        bits = torch.stack([model.bits_per_dim(images, torch.full_like(labels, k)) for k in range(10)], dim=1)
    right = torch.arange(10) == labels[:, None]
    assert bits[~right].mean() - bits[right].mean() > 0.08
    assert (bits.argmin(dim=1) == labels).double().mean() > 0.5  # by chance 0.1


def test_samples_given_a_code_resemble_the_image():
    model = digits_model(partial(Encoder, code_size=10, num_filters=16))
    images = digits("test")[0][:100]
    distances = torch.cdist(model.sample(100, images, batch_size=100).flatten(1).double(), images.flatten(1).double())
    closer = (distances.diagonal()[:, None] < distances).double().mean()
    assert closer > 0.75  # by chance 0.5
    assert (distances.argmin(dim=1) == torch.arange(100)).double().mean() > 0.08  # by chance 0.01


def test_a_map_tells_each_pixel_its_value():
    # Fair coins: whoever does not look at the map at the pixel's own place pays one bit for each.
    generator = torch.Generator().manual_seed(0)

    def batch(n: int = 32) -> tuple[Tensor, Tensor]:
        images = torch.randint(2, (n, 1, 4, 4), generator=generator).to(torch.uint8)
        return images, 2 * images.float() - 1

    options = dict(channels=1, levels=2, height=4, width=4, num_filters=8, num_stages=1, dropout=0.0)
    model = build(tiny_description(conditioning=partial(Maps, num_features=1), **options))
    model = learned(model, batch, steps=150, lr=0.02)
    images, maps = batch(200)
    with torch.no_grad():
        assert model.bits_per_dim(images, maps).mean() < 0.05
        assert model.bits_per_dim(images, -maps).mean() > 2
    assert (model.sample(200, maps) == images).double().mean() > 0.98
