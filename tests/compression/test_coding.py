"""What an encoder computes at the bounds of one symbol is what a decoder has in its table, and sites are apart."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pixelcnn
from pixelcnn.compression import coding
from pixelcnn.compression.coding import UNITS, Decoder, Encoder, shares
from pixelcnn.likelihood import Categorical, DiscretizedLogisticMixture, LogisticMixture
from pixelcnn.network import PixelCNN
from tests.conftest import random_images, tiny_description
from tests.drawn import cases, model_of, seeds

TABLES = 50


def distribution_functions(random: np.random.Generator, count: int) -> np.ndarray:
    """(TABLES, count + 1) from 0 to 1 with masses of every size and none, and rounding that makes some fall."""
    masses = random.random((TABLES, count)) ** random.choice([1, 5, 60], (TABLES, 1)) + 1e-300
    masses *= random.random((TABLES, count)) < random.choice([0.3, 0.9, 1.0], (TABLES, 1))
    masses[:, 0] += 1e-200
    below = np.pad(masses.cumsum(1), ((0, 0), (1, 0)))
    below /= below[:, -1:]
    return (below + 1e-15 * (random.random(below.shape) - 0.5)).clip(0, 1)


@cases(40)
@given(st.integers(2, 70), st.booleans(), seeds)
def test_a_symbol_alone_has_the_units_it_has_in_its_table(count, whole, seed):
    random = np.random.default_rng(seed)
    below = distribution_functions(random, count) * (1 if whole else 10.0 ** random.integers(-17, 1, (TABLES, 1)))
    first, width = (0.0, 1.0) if whole else (below[:, 0], below[:, -1] - below[:, 0])
    place = random.integers(count, size=TABLES)
    own = np.take_along_axis(below, place[:, None] + [0, 1], axis=1)
    encoder = Encoder()
    encoder.symbols(*coding._symbol(own.T, place, first, width, count))
    columns = (first, width) if whole else (first[:, None], width[:, None])
    table = shares(below, np.arange(count + 1), *columns, count)
    assert (table >= 0).all() and (np.diff(table) >= 0).all() and (table <= UNITS - count - 2).all()
    assert (Decoder(encoder.to_bytes()).symbols(table) == place).all()
    bits = math.log2(UNITS) - np.log2(np.diff(np.take_along_axis(table, place[:, None] + [0, 1], axis=1)) + 1)
    assert abs(8 * len(encoder.to_bytes()) - bits.sum()) < 64


@pytest.mark.parametrize("high", [0.4, np.nan])
def test_a_distribution_function_that_falls_is_not_encoded(high):
    with pytest.raises(ValueError, match="falls"):
        coding._symbol(np.array([[0.5], [high]]), np.array([1]), 0.0, 1.0, 3)


@pytest.mark.parametrize("stream, level", [(bytes(8), 0), (b"\xf0" * 8, 2)])
def test_a_foreign_stream_may_have_the_unused_symbols_too(stream, level):
    """A table whose units are all of its last symbol: what is decoded is a level all the same."""
    assert Decoder(stream).symbols(np.zeros((1, 4))) == level


MIXTURE = partial(DiscretizedLogisticMixture, num_mixtures=3)
SOFTMAX = dict(network=partial(PixelCNN, num_filters=3, num_blocks=1, num_output_features=3), likelihood=Categorical)


@pytest.mark.parametrize(
    "parts",
    [
        dict(likelihood=MIXTURE),
        dict(likelihood=partial(MIXTURE, residual="left")),
        dict(likelihood=partial(LogisticMixture, num_mixtures=2, residual="gradient")),
        dict(likelihood=partial(MIXTURE, num_mixtures=5, residual="neighbours")),
        dict(likelihood=Categorical),
        SOFTMAX,
    ],
)
def test_sites_are_encoded_at_once_as_one_by_one(parts, monkeypatch):
    model = model_of(replace(tiny_description(height=4, width=8, num_stages=1), **parts), 0)
    images = random_images(model, 3)
    together = pixelcnn.compress(model, images, batch_size=3, verify=False)
    monkeypatch.setattr(coding, "AT_ONCE", 0)
    assert pixelcnn.compress(model, images, batch_size=3, verify=False) == together
