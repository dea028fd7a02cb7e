"""The distribution functions that entropy coding uses: exact masses, given by every likelihood with a density."""

import math
from collections.abc import Iterator

import pytest
import torch

from pixelcnn.errors import UserError
from pixelcnn.image_shape import ImageShape
from pixelcnn.likelihood import Categorical, DiscretizedLogisticMixture, Likelihood, LogisticMixture
from pixelcnn.likelihood.protocol import Conditionals, DistributionFunction

SITES = 40
KINDS = {
    "mixture": lambda image: DiscretizedLogisticMixture(image, num_mixtures=3),
    "density": lambda image: LogisticMixture(image, num_mixtures=3),
    "softmax": lambda image: Categorical(image),
    "masked softmax": lambda image: Categorical(image, masked_channels=True),
}


def drawn(kind: str, channels: int, levels: int) -> tuple[Likelihood, torch.Tensor, torch.Tensor]:
    """A likelihood, parameters of a group float64 (B, P / groups), and levels drawn by them, uint8 (B, C / groups)."""
    likelihood = KINDS[kind](ImageShape(channels, 1, 1, levels))
    generator = torch.Generator().manual_seed(levels)
    parameters, uniforms = (
        torch.empty(SITES, count // likelihood.num_groups, dtype=torch.float64)
        for count in (likelihood.num_parameters, likelihood.num_uniforms)
    )
    parameters.normal_(0, 2, generator=generator)
    uniforms.uniform_(generator=generator)
    pixels = likelihood.sample_levels(parameters[:, :, None, None], uniforms[:, :, None, None])
    return likelihood, parameters, pixels[:, :, 0, 0]


def each(conditionals: Conditionals, pixels: torch.Tensor) -> Iterator[DistributionFunction]:
    """The distribution function of each channel given the levels of those before it."""
    yield next(conditionals)
    for levels in pixels.long().T[:-1]:
        yield conditionals.send(levels)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels, levels", [(1, 2), (3, 2), (1, 256), (3, 17), (3, 256)])
def test_masses_sum_to_one_and_multiply_to_the_mass_of_the_pixel(kind, channels, levels):
    likelihood, parameters, pixels = drawn(kind, channels, levels)
    conditionals, all_bounds = likelihood.conditionals(parameters), torch.arange(levels + 1)[None]
    log_mass = torch.zeros(SITES, dtype=torch.float64)
    for channel, below in enumerate(each(conditionals, pixels)):
        values, own = below(all_bounds), pixels[:, channel : channel + 1].long()
        assert values.shape == (SITES, levels + 1) and values.dtype == torch.float64
        torch.testing.assert_close(values[:, 0], torch.zeros(SITES, dtype=torch.float64))
        torch.testing.assert_close(values[:, -1], torch.ones(SITES, dtype=torch.float64), rtol=0, atol=1e-14)
        assert (values.diff() > -1e-15).all()
        of_own = below(torch.cat([own, own + 1], dim=1))
        torch.testing.assert_close(of_own, values.gather(1, torch.cat([own, own + 1], dim=1)), rtol=0, atol=1e-15)
        log_mass += of_own.diff()[:, 0].log()
    if likelihood.num_groups == 1:
        expected = likelihood.log_mass(parameters[:, :, None, None], pixels[:, :, None, None])[:, 0, 0]
    else:  # the groups are alike: score this one in each place
        repeated = parameters.repeat(1, channels)[:, :, None, None]
        expected = likelihood.log_prob_by_channel(repeated, pixels.repeat(1, channels)[:, :, None, None])[:, 0, 0, 0]
    # Differences of numbers up to 1 are exact to 1e-16; so small masses are drawn by nobody.
    likely = expected > math.log(1e-9)
    assert likely.sum() > 0.9 * SITES
    torch.testing.assert_close(log_mass[likely], expected[likely], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["mixture", "softmax", "masked softmax"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_likelihood_has_them_by_its_scores_alone(kind, channels):
    likelihood, parameters, pixels = drawn(kind, channels, 17)
    own, by_default = likelihood.conditionals(parameters), Likelihood.conditionals(likelihood, parameters)
    bounds = torch.arange(18)[None]
    for a, b in zip(each(own, pixels), each(by_default, pixels), strict=True):
        torch.testing.assert_close(a(bounds), b(bounds), rtol=0, atol=1e-13)


def test_a_bound_gives_no_masses():
    likelihood, parameters, _ = drawn("density", 1, 17)
    with pytest.raises(UserError, match=r"LogisticMixture has only a bound .* implement conditionals"):
        next(Likelihood.conditionals(likelihood, parameters))


def test_masses_are_those_of_bins_with_the_originals_tails_too():
    image = ImageShape(3, 1, 1)
    parameters, pixels = torch.randn(8, 60, dtype=torch.float64), torch.full((8, 3), 255)
    exact, original = (
        each(DiscretizedLogisticMixture(image, num_mixtures=6, tails=tails).conditionals(parameters), pixels)
        for tails in ("exact", "original")
    )
    bounds = torch.arange(257)[None]
    assert all(torch.equal(a(bounds), b(bounds)) for a, b in zip(exact, original, strict=True))


def test_what_is_all_but_impossible_has_a_mass():
    """Far from the means of all components the posterior weights of the next channel are still numbers."""
    likelihood = DiscretizedLogisticMixture(ImageShape(3, 1, 1), num_mixtures=2)
    parameters = torch.tensor([[0.0, 0.0, *[-1.0, -1.0, -9.0, -9.0, 0.0, 0.0] * 3]], dtype=torch.float64)
    for below in each(likelihood.conditionals(parameters), torch.full((1, 3), 255)):
        values = below(torch.arange(257)[None])
        assert values.isfinite().all() and values[0, -1] == 1


def test_a_scale_beyond_all_numbers_gives_numbers():
    likelihood = DiscretizedLogisticMixture(ImageShape(1, 1, 1), num_mixtures=2)
    parameters = torch.tensor([[0.0, 0.0, 0.0, 0.0, -3.0, 800.0]], dtype=torch.float64)
    (below,) = each(likelihood.conditionals(parameters), torch.full((1, 1), 128))
    values = below(torch.arange(257)[None])
    expected = likelihood.log_mass(parameters[:, :, None, None], torch.full((1, 1, 1, 1), 128)).exp()
    assert values.isfinite().all()
    torch.testing.assert_close((values[0, 129] - values[0, 128]).view(1, 1, 1), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels, levels", [(1, 2), (3, 256)])
def test_a_site_has_the_same_floats_whatever_is_beside_it(kind, channels, levels):
    likelihood, parameters, pixels = drawn(kind, channels, levels)
    assert likelihood.sites_apart
    bounds = torch.randint(levels + 1, (SITES, 9))

    def values(sites: slice, columns: slice) -> torch.Tensor:
        functions = each(likelihood.conditionals(parameters[sites].clone()), pixels[sites])
        return torch.stack([below(bounds[sites, columns].clone()) for below in functions])

    together = values(slice(None), slice(None))
    for first in range(SITES):
        for columns in (slice(1), slice(3, 5), slice(None)):
            sites = slice(first, first + 1 + first % 7)
            assert torch.equal(values(sites, columns), together[:, sites, columns])
