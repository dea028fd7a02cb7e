"""The likelihood is a distribution: masses sum to one, samples follow them, gradients stay finite."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pixelcnn.errors import UserError
from pixelcnn.image_shape import ImageShape
from pixelcnn.likelihood.discretized_logistic_mixture import DiscretizedLogisticMixture


def likelihood(channels: int, levels: int, num_mixtures: int, tails: str = "exact") -> DiscretizedLogisticMixture:
    return DiscretizedLogisticMixture(ImageShape(channels, 1, 1, levels), num_mixtures=num_mixtures, tails=tails)


def masses(of: DiscretizedLogisticMixture, parameters: torch.Tensor, before: list[int], channel: int) -> torch.Tensor:
    """p(value of ``channel`` | the channels ``before``) for all levels, by the chain rule."""
    values = torch.zeros(of.levels, of.channels, 1, 1, dtype=torch.uint8)
    values[:, :channel, 0, 0] = torch.tensor(before, dtype=torch.uint8)
    values[:, channel, 0, 0] = torch.arange(of.levels)
    return of.log_prob_by_channel(parameters.expand(of.levels, -1, -1, -1), values)[:, channel, 0, 0].exp()


@settings(max_examples=60)
@given(
    channels=st.sampled_from([1, 3]),
    levels=st.sampled_from([2, 17, 256]),
    num_mixtures=st.integers(1, 4),
    spread=st.sampled_from([0.3, 3.0, 30.0, 300.0]),
    seed=st.integers(0, 10_000),
)
def test_masses_sum_to_one_whatever_came_before(channels, levels, num_mixtures, spread, seed):
    of = likelihood(channels, levels, num_mixtures)
    rng = np.random.default_rng(seed)
    parameters = torch.from_numpy(rng.normal(0, spread, (1, of.num_parameters, 1, 1)))
    before = rng.integers(0, levels, channels).tolist()
    # A conditional mass is a quotient; where the condition itself has no float64 mass left there is none to speak of.
    for channel in range(channels):
        if (
            channel
            and of.log_prob_by_channel(parameters, torch.tensor(before, dtype=torch.uint8).view(1, -1, 1, 1))[
                :, :channel
            ].sum()
            < -1e4
        ):
            break
        total = masses(of, parameters, before[:channel], channel).sum().item()
        assert total == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("tails, levels", [("exact", 2), ("exact", 17), ("exact", 256), ("original", 256)])
@pytest.mark.parametrize("size", [0.1, 1, 10, 100, 1e4])
def test_values_and_gradients_are_finite_in_float32(channels, tails, levels, size):
    of = likelihood(channels, levels, 3, tails)
    parameters = (size * torch.randn(500, of.num_parameters, 1, 1)).requires_grad_()
    values = torch.randint(0, levels, (500, channels, 1, 1)).to(torch.uint8)
    values[:100], values[100:200] = 0, levels - 1
    log_prob = of.log_prob(parameters, values)
    log_prob.sum().backward()
    assert log_prob.isfinite().all() and parameters.grad.isfinite().all()


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_float32_agrees_with_a_slow_float64_reference(levels):
    of = likelihood(3, levels, 2)
    parameters = 2 * torch.randn(200, of.num_parameters, 1, 1)
    values = torch.randint(0, levels, (200, 3, 1, 1)).to(torch.uint8)
    values[:40], values[40:80] = 0, levels - 1
    got = of.log_prob(parameters, values)[:, 0, 0]
    pairs = zip(parameters.double().flatten(1), values.flatten(1), strict=True)
    expected = [_reference(p.numpy(), v.tolist(), levels) for p, v in pairs]
    np.testing.assert_allclose(got.numpy(), expected, rtol=2e-5, atol=2e-5)


def _reference(p: np.ndarray, rgb: list[int], levels: int) -> float:
    """log p(R, G, B) for two components, written out: no arrays, no tricks, scipy's logistic distribution."""
    x = [2 * value / (levels - 1) - 1 for value in rgb]
    weights = np.exp(p[:2] - p[:2].max()) / np.exp(p[:2] - p[:2].max()).sum()
    total = 0.0
    for k in range(2):
        r, g, b = p[2:8], p[8:14], p[14:20]  # means (2), log-scales (2), coefficients (2)
        means = [
            r[k],
            g[k] + math.tanh(r[4 + k]) * x[0],
            b[k] + math.tanh(g[4 + k]) * x[0] + math.tanh(b[4 + k]) * x[1],
        ]
        log_p = 0.0
        for channel, slot in enumerate((r, g, b)):
            scale = math.exp(max(slot[2 + k], -7))
            low = -math.inf if rgb[channel] == 0 else x[channel] - 1 / (levels - 1)
            high = math.inf if rgb[channel] == levels - 1 else x[channel] + 1 / (levels - 1)
            centred = stats.logistic(means[channel], scale)
            # On the far side of the mean the survival function keeps the digits that 1 - cdf loses.
            mass = centred.cdf(high) - centred.cdf(low) if low < means[channel] else centred.sf(low) - centred.sf(high)
            log_p += math.log(max(mass, 1e-300))
        total += weights[k] * math.exp(log_p)
    return math.log(total) if total > 0 else -math.inf


@pytest.mark.parametrize("channels, levels", [(1, 2), (1, 17), (3, 5), (1, 256)])
@pytest.mark.parametrize("offset", [-1.5, 0.0, 1.5])
def test_samples_follow_the_masses(channels, levels, offset):
    of = likelihood(channels, levels, 2)
    parameters = torch.randn(
        1, of.num_parameters, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(3)
    )
    parameters[:, 2:4] += offset  # the means of the first channel: towards one edge, the middle, the other edge
    n = 40_000
    uniforms = torch.rand(n, of.num_uniforms, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    drawn = of.sample_levels(parameters.expand(n, -1, -1, -1), uniforms)
    values = torch.cartesian_prod(*[torch.arange(levels, dtype=torch.uint8)] * channels).view(-1, channels, 1, 1)
    expected = of.log_prob(parameters.expand(len(values), -1, -1, -1), values)[:, 0, 0].exp().numpy() * n
    code = sum(drawn[:, c, 0, 0].long() * levels ** (channels - 1 - c) for c in range(channels))
    observed = np.bincount(code.numpy(), minlength=len(values))
    # Cells too rare for the test join the likeliest one.
    rare, likeliest = expected < 5, expected.argmax()
    for counts in (observed, expected):
        counts[likeliest] += counts[rare].sum()
    assert stats.chisquare(observed[~rare], expected[~rare]).pvalue > 1e-3


def test_the_channels_share_the_component_and_sum_to_the_whole():
    of = likelihood(3, 256, 3)
    parameters = torch.randn(50, of.num_parameters, 2, 2, dtype=torch.float64)
    values = torch.randint(0, 256, (50, 3, 2, 2)).to(torch.uint8)
    by_channel = of.log_prob_by_channel(parameters, values)
    assert torch.allclose(by_channel.sum(1), of.log_prob(parameters, values), atol=1e-9)
    # R alone is a one-channel mixture with the same weights.
    alone = likelihood(1, 256, 3)
    assert torch.allclose(by_channel[:, :1], alone.log_prob_by_channel(parameters[:, :9], values[:, :1]), atol=1e-9)


def test_conditionals_are_of_the_posterior_mixture():
    """Written out with scipy: the weights of G are the components' posterior given R, those of B given R and G."""
    of, m = likelihood(3, 256, 4), 4
    rng = np.random.default_rng(7)
    p = rng.normal(0, 1, 40)
    values = rng.integers(0, 256, 3)
    logits, (of_r, of_g, of_b) = p[:m], p[m:].reshape(3, 3, m)
    a, b, c = np.tanh([of_r[2], of_g[2], of_b[2]])
    x = 2 * values / 255 - 1
    means = [of_r[0], of_g[0] + a * x[0], of_b[0] + b * x[0] + c * x[1]]
    weights, expected = np.exp(logits) / np.exp(logits).sum(), []
    for value, mean, (_, log_scale, _) in zip(values, means, (of_r, of_g, of_b), strict=True):
        low = -np.inf if value == 0 else 2 * (value - 0.5) / 255 - 1
        high = np.inf if value == 255 else 2 * (value + 0.5) / 255 - 1
        edges = [stats.logistic.cdf(edge, mean, np.exp(np.maximum(log_scale, -7))) for edge in (low, high)]
        joint = weights * (edges[1] - edges[0])
        expected.append(np.log(joint.sum()))
        weights = joint / joint.sum()
    parameters, pixel = torch.from_numpy(p).view(1, -1, 1, 1), torch.tensor(values, dtype=torch.uint8).view(1, 3, 1, 1)
    np.testing.assert_allclose(of.log_prob_by_channel(parameters, pixel).flatten(), expected, rtol=1e-8)


def test_a_likely_value_after_an_unlikely_one_keeps_its_digits():
    of = likelihood(3, 256, 2)
    parameters = torch.zeros(1, of.num_parameters, 1, 1, dtype=torch.float64)
    parameters[0, 4:6] = -6.5  # R's log-scales: white is some 650 nats away from its mean of 0
    values = torch.tensor([255, 128, 120], dtype=torch.uint8).view(1, 3, 1, 1)
    exact, rounded = (of.log_prob_by_channel(p, values) for p in (parameters, parameters.float()))
    assert exact[0, 0] < -600
    torch.testing.assert_close(rounded.double(), exact, rtol=2e-6, atol=0)


def test_the_originals_sampler_clips_but_does_not_round():
    of = likelihood(3, 256, 1, "original")
    parameters = torch.zeros(1, 10, 1, 1)
    parameters[0, 1], parameters[0, 3], parameters[0, 4] = (
        5.0,
        10.0,
        0.25,
    )  # R's mean, G's coefficient (tanh 1), G's mean
    middle = torch.full((1, 3, 1, 1), 0.5)
    x = of.sample(parameters, middle[:, :1], middle)[0, :, 0, 0]
    assert x.tolist() == pytest.approx([1.0, 1.0, 0.0])  # R is clipped before it moves G's mean to 1.25, clipped too
    parameters[0, 1] = -0.3
    assert of.sample(parameters, middle[:, :1], middle)[0, :, 0, 0].tolist() == pytest.approx([-0.3, -0.05, 0.0])


def test_scales_are_clamped_in_drawing_too():
    of = likelihood(1, 256, 1)
    parameters = torch.tensor([0.0, 0.1, -20.0], dtype=torch.float64).view(1, 3, 1, 1)  # logit, mean, log-scale
    u = torch.full((1, 1, 1, 1), 0.9, dtype=torch.float64)
    assert of.sample(parameters, u, u).item() == pytest.approx(0.1 + math.exp(-7) * math.log(9), rel=1e-12)


def test_a_level_is_drawn_given_the_level_before_and_not_what_was_rounded_to_it():
    of = likelihood(3, 3, 1)  # the numbers -1, 0 and 1
    parameters = torch.zeros(1, 10, 1, 1)
    parameters[0, 1], parameters[0, 3], parameters[0, 4] = 0.4, 10.0, 0.3  # R's mean, G's coefficient (1), G's mean
    drawn = of.sample_levels(parameters, torch.full((1, 4, 1, 1), 0.5))
    assert drawn.flatten().tolist() == [1, 1, 1]  # R is 0, and G's mean not 0.7


def test_original_tails_are_for_256_levels():
    with pytest.raises(UserError, match=r"likelihood.tails=original .* 256 levels but the data has 17"):
        likelihood(1, 17, 1, "original")


def test_original_tails_differ_only_where_the_mass_is_small():
    exact, original = likelihood(1, 256, 1), likelihood(1, 256, 1, "original")
    parameters = torch.tensor([0.0, -0.9, -3.0], dtype=torch.float64).view(1, 3, 1, 1).expand(256, -1, -1, -1)
    values = torch.arange(256, dtype=torch.uint8).view(256, 1, 1, 1)
    a, b = (of.log_prob(parameters, values)[:, 0, 0] for of in (exact, original))
    likely = a > math.log(1e-5)
    assert torch.equal(a[likely], b[likely])
    assert not torch.equal(a[~likely], b[~likely])


@pytest.mark.parametrize("tails", ["exact", "original"])
def test_what_is_drawn_has_the_exact_mass_with_any_tails(tails):
    parameters = 3 * torch.randn(200, 100, 1, 1, dtype=torch.float64)
    values = torch.randint(0, 256, (200, 3, 1, 1)).to(torch.uint8)
    exact, of = likelihood(3, 256, 10), likelihood(3, 256, 10, tails)
    assert torch.equal(of.log_mass(parameters, values), exact.log_prob(parameters, values))
    assert torch.equal(of.log_prob(parameters, values), exact.log_prob(parameters, values)) is (tails == "exact")


def test_the_sampler_is_the_originals_in_float32():
    """`sample_from_discretized_mix_logistic` of the original's nn.py, written out for three channels."""
    of, n, m = likelihood(3, 256, 5, "original"), 2000, 5
    generator = np.random.default_rng(2)
    p = generator.normal(0, 1, (n, 50)).astype(np.float32)
    u, v = (generator.uniform(1e-5, 1 - 1e-5, (n, k)).astype(np.float32) for k in (m, 3))
    chosen = np.argmax(p[:, :m] - np.log(-np.log(u)), axis=1)
    slots = p[:, m:].reshape(n, 3, 3, m)[np.arange(n), :, :, chosen]  # (n, channel, [mean, log-scale, coefficient])
    x = slots[:, :, 0] + np.exp(np.maximum(slots[:, :, 1], -7)) * (np.log(v) - np.log(1 - v))
    a, b, c = np.tanh(slots[:, :, 2]).T
    red = np.clip(x[:, 0], -1, 1)
    green = np.clip(x[:, 1] + a * red, -1, 1)
    blue = np.clip(x[:, 2] + b * red + c * green, -1, 1)
    drawn = of.sample(*(torch.from_numpy(values)[:, :, None, None] for values in (p, u, v)))[:, :, 0, 0]
    np.testing.assert_allclose(drawn.numpy(), np.stack([red, green, blue], 1), rtol=0, atol=2e-6)
