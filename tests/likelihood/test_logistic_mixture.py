"""The density of dequantised data bounds the probability of what it draws from below."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from pixelcnn.image_shape import ImageShape
from pixelcnn.likelihood import logistic_mixture
from pixelcnn.likelihood.discretized_logistic_mixture import DiscretizedLogisticMixture
from pixelcnn.likelihood.logistic_mixture import LogisticMixture
from tests.likelihood.draws import all_values, drawn_pixels, p_value


def likelihood(channels: int, levels: int, num_mixtures: int) -> LogisticMixture:
    return LogisticMixture(ImageShape(channels, 1, 1, levels), num_mixtures=num_mixtures)


def exact(channels: int, levels: int, num_mixtures: int) -> DiscretizedLogisticMixture:
    return DiscretizedLogisticMixture(ImageShape(channels, 1, 1, levels), num_mixtures=num_mixtures)


@pytest.fixture
def noise(monkeypatch):
    """Puts given noise in the place of the image's own."""

    def install(values: torch.Tensor) -> None:
        monkeypatch.setattr(logistic_mixture, "dequantisation_noise", lambda images: values)

    return install


def parameters_for(of: LogisticMixture, n: int, spread: float = 1.0) -> torch.Tensor:
    return spread * torch.randn(n, of.num_parameters, 1, 1, dtype=torch.float64)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_one_component_is_the_logistic_density_at_the_noisy_value(levels, noise):
    of = likelihood(1, levels, 1)
    p = parameters_for(of, 50)
    values = torch.randint(0, levels, (50, 1, 1, 1)).to(torch.uint8)
    u = torch.rand(50, 1, 1, 1, dtype=torch.float64)
    noise(u)
    y = 2 * (values.numpy() + u.numpy() - 0.5) / (levels - 1) - 1
    expected = stats.logistic(p[:, 1:2].numpy(), p[:, 2:3].exp().numpy()).logpdf(y) + math.log(2 / (levels - 1))
    np.testing.assert_allclose(of.log_prob(p, values).numpy(), expected[:, 0], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("scale", [0.001, 0.02, 0.2, 1.0])
def test_its_mean_over_the_noise_is_below_the_bins_mass(scale, noise):
    levels, of = 17, likelihood(1, 17, 1)
    for value in range(levels):
        for mean in (-1.2, -0.3, 0.01):
            p = torch.tensor([0.0, mean, math.log(scale)], dtype=torch.float64).view(1, 3, 1, 1)
            values = torch.tensor([[[[value]]]], dtype=torch.uint8)

            def at(u, p=p, values=values):
                noise(torch.tensor([[[[u]]]], dtype=torch.float64))
                return of.log_prob(p, values).item()

            peak = (mean + 1) / 2 * (levels - 1) - value + 0.5  # where the density bends
            bound, _ = integrate.quad(at, 0, 1, points=[peak] if 0 < peak < 1 else None)
            log_mass = exact(1, levels, 1).log_prob(p, values).item()
            assert bound <= log_mass + 1e-9
            if 0 < value < levels - 1 and scale == 1.0:  # a density that is flat inside the bin: the bound is tight
                assert bound == pytest.approx(log_mass, abs=1e-3)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_mixtures_mean_over_the_noise_is_below_the_bins_mass(channels, noise):
    levels, n, draws = 9, 40, 2000
    of, p = likelihood(channels, 9, 3), parameters_for(likelihood(channels, 9, 3), 40)
    p[:, 3:] -= 1  # scales and means such that the density is not flat
    values = torch.randint(0, levels, (n, channels, 1, 1)).to(torch.uint8)
    u = torch.rand(n * draws, channels, 1, 1, dtype=torch.float64)
    noise(u)
    scores = of.log_prob(p.repeat_interleave(draws, 0), values.repeat_interleave(draws, 0)).view(n, draws)
    mean, error = scores.mean(1), scores.std(1) / math.sqrt(draws)
    log_mass = exact(channels, levels, 3).log_prob(p, values).flatten()
    assert (mean <= log_mass + 4 * error).all()
    assert (mean < log_mass - 4 * error).any()  # else this shows nothing


@pytest.mark.parametrize("channels", [1, 3])
def test_its_mean_over_many_images_is_the_mean_over_the_noise(channels, noise, monkeypatch):
    """The noise that images determine stands for fresh noise: in a mean over images nothing tells them apart."""
    levels, n = 17, 20_000
    of = likelihood(channels, levels, 2)
    p = parameters_for(of, 1).expand(n, -1, 2, 2)
    images = torch.randint(0, levels, (n, channels, 2, 2)).to(torch.uint8)
    own = of.log_prob(p, images).sum((1, 2))
    noise(torch.rand(images.shape, dtype=torch.float64))
    fresh = of.log_prob(p, images).sum((1, 2))
    assert (own - fresh).mean().abs() < 4 * (own - fresh).std() / math.sqrt(n)
    assert not torch.equal(own, fresh)


@pytest.mark.parametrize("channels, levels", [(1, 2), (1, 17), (3, 5)])
def test_samples_follow_the_masses_that_it_bounds(channels, levels):
    of = likelihood(channels, levels, 2)
    p, values = parameters_for(of, 1), all_values(levels, channels)
    log_mass = exact(channels, levels, 2).log_prob(p.expand(len(values), -1, -1, -1), values)
    assert p_value(drawn_pixels(of, p, 40_000, channels), values, log_mass) > 1e-3


@pytest.mark.parametrize("channels, levels", [(1, 2), (1, 17), (3, 256)])
def test_the_mass_of_what_it_draws_is_no_bound(channels, levels):
    of = likelihood(channels, levels, 2)
    p, values = parameters_for(of, 50), torch.randint(0, levels, (50, channels, 1, 1)).to(torch.uint8)
    torch.testing.assert_close(of.log_mass(p, values), exact(channels, levels, 2).log_prob(p, values))


def test_the_couplings_see_clean_values(noise):
    of = likelihood(3, 256, 1)
    p, values = parameters_for(of, 1), torch.tensor([10, 200, 77], dtype=torch.uint8).view(1, 3, 1, 1)
    u = torch.full((1, 3, 1, 1), 0.5, dtype=torch.float64)
    noise(u)
    before = of.log_prob_by_channel(p, values)
    u[0, 0] = 0.9
    after = of.log_prob_by_channel(p, values)
    assert before[0, 0] != after[0, 0]
    torch.testing.assert_close(after[0, 1:], before[0, 1:])


def test_the_batch_does_not_matter():
    of = likelihood(3, 256, 2)
    p = torch.randn(6, of.num_parameters, 4, 4)
    images = torch.randint(0, 256, (6, 3, 4, 4)).to(torch.uint8)
    whole = of.log_prob(p, images)
    parts = [of.log_prob(a, b) for a, b in zip(p.split(1), images.split(1), strict=True)]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(of.log_prob_by_channel(p, images).sum(1), whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("size", [0.1, 1, 10, 100, 1e4])
def test_values_and_gradients_are_finite_in_float32_and_near_float64(channels, levels, size):
    of = likelihood(channels, levels, 3)
    parameters = (size * torch.randn(500, of.num_parameters, 1, 1)).requires_grad_()
    values = torch.randint(0, levels, (500, channels, 1, 1)).to(torch.uint8)
    values[:100], values[100:200] = 0, levels - 1
    log_prob = of.log_prob(parameters, values)
    log_prob.sum().backward()
    assert log_prob.isfinite().all() and parameters.grad.isfinite().all()
    if size <= 1:
        torch.testing.assert_close(log_prob.double(), of.log_prob(parameters.double(), values), rtol=2e-5, atol=2e-5)
