"""Whatever a network puts out, losses and gradients are finite numbers and samples are levels."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelcnn.description import GIVEN
from pixelcnn.image_shape import ImageShape
from pixelcnn.likelihood import Categorical, DiscretizedLogisticMixture, Implicit, LogisticMixture
from pixelcnn.part import Part

PIXELS = 64
DENSITIES = {
    "exact": partial(DiscretizedLogisticMixture, num_mixtures=3, tails="exact"),
    "original": partial(DiscretizedLogisticMixture, num_mixtures=3, tails="original"),
    "logistic_mixture": partial(LogisticMixture, num_mixtures=3),
    "categorical": partial(Categorical),
}


def of(options, channels, masked=False):
    part = Part.of(options, GIVEN["likelihood"])
    return part.build("likelihood.", image=ImageShape(channels, 1, 1, 256), masked_channels=masked)


def extreme(likelihood, magnitude, seed):
    """Parameters of up to ``magnitude``, most of them exactly that, in float32."""
    generator = torch.Generator().manual_seed(seed)
    uniforms = 2 * torch.rand(PIXELS, likelihood.num_parameters, 1, 1, generator=generator) - 1
    return magnitude * torch.where(uniforms.abs() > 0.3, uniforms.sign(), uniforms)


@pytest.mark.parametrize("name", DENSITIES)
@settings(max_examples=40)
@given(
    channels=st.sampled_from([1, 3]),
    masked=st.booleans(),
    magnitude=st.sampled_from([1e2, 1e4, 1e7, 1e12, 1e20, 1e30]),
    levels=st.sampled_from([(0, 0), (255, 255), (0, 255)]),
    seed=st.integers(0, 10_000),
)
def test_loss_and_gradient_are_finite(name, channels, masked, magnitude, levels, seed):
    likelihood = of(DENSITIES[name], channels, masked and name == "categorical")
    parameters = extreme(likelihood, magnitude, seed).requires_grad_()
    lowest, highest = levels
    values = torch.randint(lowest, highest + 1, (PIXELS, channels, 1, 1)).to(torch.uint8)
    log_prob = likelihood.log_prob(parameters, values)
    log_prob.sum().backward()
    assert log_prob.isfinite().all() and parameters.grad.isfinite().all()


@pytest.mark.parametrize("name", DENSITIES)
@settings(max_examples=20)
@given(magnitude=st.sampled_from([1e2, 1e4, 1e12, 1e30]), seed=st.integers(0, 10_000))
def test_the_likeliest_level_is_drawn(name, magnitude, seed):
    """Scales far below a level, means far outside the range: a sample is the first or the last level."""
    likelihood = of(DENSITIES[name], 1)
    parameters = extreme(likelihood, magnitude, seed)
    if name == "categorical":
        parameters[:, 7] = 2 * magnitude
        expected = torch.full((PIXELS,), 7)
    else:
        parameters[:, 3:6] = parameters[:, 3:6].sign() * magnitude
        parameters[:, 4:6] = parameters[:, 3:4]
        parameters[:, 6:9] = -magnitude
        expected = torch.where(parameters[:, 3, 0, 0] > 0, 255, 0)
    uniforms = torch.rand(PIXELS, likelihood.num_uniforms, 1, 1, dtype=torch.float64).clamp(1e-9, 1 - 1e-9)
    drawn = likelihood.sample_levels(parameters.double(), uniforms)
    assert torch.equal(drawn[:, 0, 0, 0].long(), expected)


@pytest.mark.parametrize("magnitude", [1e2, 1e4, 1e30])
def test_what_has_no_density_draws_numbers(magnitude):
    torch.manual_seed(0)
    likelihood = of(partial(Implicit, num_features=4, num_noise=2), 3)
    parameters = extreme(likelihood, magnitude, 0).requires_grad_()
    drawn = likelihood.samples(parameters, torch.rand(2, PIXELS, 2, 1, 1))
    drawn.sum().backward()
    assert drawn.abs().max() <= 1 and parameters.grad.isfinite().all()
