"""The softmax is a distribution with the dependence between channels that its network allows."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelcnn.errors import UserError
from pixelcnn.image_shape import ImageShape
from pixelcnn.likelihood.categorical import Categorical
from tests.likelihood.draws import all_values, drawn_pixels, p_value

KINDS = [(1, False), (1, True), (3, False), (3, True)]


def likelihood(channels: int, levels: int, masked_channels: bool) -> Categorical:
    return Categorical(ImageShape(channels, 1, 1, levels), masked_channels)


@pytest.mark.parametrize(
    ("channels", "masked", "groups", "parameters"),
    [(1, False, 1, 256), (1, True, 1, 256), (3, False, 1, 1536), (3, True, 3, 768)],
)
def test_numbers_of_parameters(channels, masked, groups, parameters):
    of = likelihood(channels, 256, masked)
    assert (of.num_groups, of.num_parameters, of.num_uniforms) == (groups, parameters, channels)


@settings(max_examples=60)
@given(
    kind=st.sampled_from(KINDS),
    levels=st.integers(2, 6),
    spread=st.sampled_from([0.3, 3.0, 30.0, 3000.0]),
    seed=st.integers(0, 10_000),
)
def test_probabilities_of_all_pixels_sum_to_one(kind, levels, spread, seed):
    of = likelihood(kind[0], levels, kind[1])
    parameters = torch.from_numpy(np.random.default_rng(seed).normal(0, spread, (1, of.num_parameters, 1, 1)))
    values = all_values(levels, kind[0])
    log_prob = of.log_prob(parameters.expand(len(values), -1, -1, -1), values)
    assert log_prob.exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("channels", "masked"), KINDS)
@pytest.mark.parametrize("levels", [2, 17, 256])
def test_each_channel_sums_to_one_whatever_came_before(channels, masked, levels):
    of = likelihood(channels, levels, masked)
    parameters = 2 * torch.randn(1, of.num_parameters, 1, 1, dtype=torch.float64)
    for channel in range(channels):
        values = torch.randint(0, levels, (1, channels, 1, 1)).to(torch.uint8).repeat(levels, 1, 1, 1)
        values[:, channel, 0, 0] = torch.arange(levels)
        by_channel = of.log_prob_by_channel(parameters.expand(levels, -1, -1, -1), values)
        assert by_channel[:, channel].exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("channels", "masked"), KINDS)
@pytest.mark.parametrize("levels", [2, 5])
def test_samples_follow_the_probabilities(channels, masked, levels):
    of = likelihood(channels, levels, masked)
    parameters = torch.randn(1, of.num_parameters, 1, 1, dtype=torch.float64)
    values = all_values(levels, channels)
    drawn = drawn_pixels(of, parameters, 40_000, channels)
    log_prob = of.log_prob(parameters.expand(len(values), -1, -1, -1), values)
    assert p_value(drawn, values, log_prob) > 1e-3


def test_channels_of_one_group_depend_on_those_before_as_documented():
    of = likelihood(3, 4, False)
    p = torch.randn(6, 4, dtype=torch.float64)
    r, g, a, b, c, d = p
    x = [-1, -1 / 3, 1 / 3, 1]
    by_channel = of.log_prob_by_channel(
        p.view(1, 24, 1, 1), torch.tensor([3, 1, 2], dtype=torch.uint8).view(1, 3, 1, 1)
    )
    expected = [
        torch.log_softmax(r, 0)[3],
        torch.log_softmax(g + a * x[3], 0)[1],
        torch.log_softmax(b + c * x[3] + d * x[1], 0)[2],
    ]
    torch.testing.assert_close(by_channel.flatten(), torch.stack(expected))


def test_masked_channels_have_their_own_logits():
    of = likelihood(3, 4, True)
    p = torch.randn(3, 4, dtype=torch.float64)
    by_channel = of.log_prob_by_channel(
        p.view(1, 12, 1, 1), torch.tensor([3, 1, 2], dtype=torch.uint8).view(1, 3, 1, 1)
    )
    torch.testing.assert_close(by_channel.flatten(), torch.log_softmax(p, 1)[[0, 1, 2], [3, 1, 2]])


def test_temperature_divides_the_logits():
    of, n = likelihood(1, 5, False), 40_000
    logits = torch.randn(1, 5, 1, 1, dtype=torch.float64)
    uniforms = torch.rand(n, 1, 1, 1, dtype=torch.float64)
    drawn = of.sample_levels(logits.expand(n, -1, -1, -1), uniforms, mixture_temperature=0.25)
    values = all_values(5, 1)
    assert p_value(drawn, values, of.log_prob((logits / 0.25).expand(5, -1, -1, -1), values)) > 1e-3
    with pytest.raises(UserError, match=r"scale_temperature=0\.5 .* likelihood=categorical"):
        of.sample_levels(logits, uniforms[:1], scale_temperature=0.5)


def test_levels_without_probability_are_never_drawn():
    of = likelihood(1, 4, False)
    logits = torch.tensor([-2000.0, 0.0, -2000.0, -2000.0], dtype=torch.float64).view(1, 4, 1, 1)
    edges = torch.tensor([0.0, 2**-53, 0.5, 1 - 2**-53], dtype=torch.float64).view(4, 1, 1, 1)
    assert of.sample_levels(logits.expand(4, -1, -1, -1), edges).flatten().tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(("channels", "masked"), KINDS)
@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("size", [0.1, 10, 1e4])
def test_values_and_gradients_are_finite_in_float32_and_near_float64(channels, masked, levels, size):
    of = likelihood(channels, levels, masked)
    parameters = (size * torch.randn(100, of.num_parameters, 1, 1)).requires_grad_()
    values = torch.randint(0, levels, (100, channels, 1, 1)).to(torch.uint8)
    log_prob = of.log_prob(parameters, values)
    log_prob.sum().backward()
    assert log_prob.isfinite().all() and parameters.grad.isfinite().all()
    torch.testing.assert_close(log_prob.double(), of.log_prob(parameters.double(), values), rtol=1e-5, atol=1e-5 * size)


def test_equal_logits_cost_the_entropy_of_the_levels():
    of = likelihood(3, 256, True)
    values = torch.randint(0, 256, (2, 3, 2, 2)).to(torch.uint8)
    by_channel = of.log_prob_by_channel(torch.zeros(2, 768, 2, 2), values)
    assert by_channel.shape == (2, 3, 2, 2) and torch.allclose(by_channel, torch.tensor(-math.log(256)))
