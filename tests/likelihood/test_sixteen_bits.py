"""The mixture at 65,536 levels: its masses sum to one in float64, and all but that in float32, whatever the scale."""

import math
from functools import partial

import pytest
import torch

from pixelcnn.image_shape import ImageShape
from pixelcnn.likelihood import DiscretizedLogisticMixture
from pixelcnn.likelihood.coupled_logistics import MIN_LOG_SCALE
from pixelcnn.model import PixelModel
from pixelcnn.network import PixelCNNPP

LEVELS = 2**16
EVERY = torch.arange(LEVELS, dtype=torch.int32).view(-1, 1, 1, 1)


def of_pixel(mixture=2, channels=1, log_scale=None):
    """A likelihood and the parameters of one pixel, with scales of every size or of one."""
    torch.manual_seed(0)
    likelihood = DiscretizedLogisticMixture(ImageShape(channels, 1, 1, LEVELS), num_mixtures=mixture)
    parameters = 0.3 * torch.randn(1, likelihood.num_parameters, 1, 1, dtype=torch.float64)
    rows = parameters[:, mixture:].view(channels, likelihood.per_channel, mixture)
    rows[:, 1] = torch.linspace(-13, -1, mixture) if log_scale is None else log_scale
    return likelihood, parameters


@pytest.mark.parametrize("dtype, within", [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize("log_scale", [-20.0, -11.0, -8.0, -3.0, 1.0, None])
def test_masses_of_all_levels_sum_to_one(log_scale, dtype, within):
    likelihood, parameters = of_pixel(log_scale=log_scale)
    log_prob = likelihood.log_prob(parameters.to(dtype).expand(LEVELS, -1, -1, -1), EVERY)
    assert abs(float(log_prob.double().exp().sum()) - 1) < within


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_each_channel_given_those_before_it_sums_to_one(channel):
    likelihood, parameters = of_pixel(channels=3)
    images = torch.tensor([12_345, 40_000, 65_535], dtype=torch.int32).view(1, 3, 1, 1).repeat(LEVELS, 1, 1, 1)
    images[:, channel : channel + 1] = EVERY
    log_prob = likelihood.log_prob_by_channel(parameters.expand(LEVELS, -1, -1, -1), images)[:, channel]
    assert abs(float(log_prob.exp().sum()) - 1) < 1e-12


def test_coding_has_the_same_masses():
    likelihood, parameters = of_pixel()
    below = next(likelihood.conditionals(parameters[:, :, 0, 0]))
    masses = below(torch.arange(LEVELS + 1)[None]).diff()[0]
    log_prob = likelihood.log_prob(parameters.expand(LEVELS, -1, -1, -1), EVERY).flatten()
    torch.testing.assert_close(masses, log_prob.exp(), rtol=1e-6, atol=1e-15)


def test_the_smallest_scale_is_as_small_a_part_of_a_bin_as_at_8_bits():
    of_8, of_16 = (DiscretizedLogisticMixture(ImageShape(1, 1, 1, levels)) for levels in (256, LEVELS))
    assert of_8.min_log_scale == MIN_LOG_SCALE
    assert math.isclose(of_16.min_log_scale, MIN_LOG_SCALE - math.log(257))


def test_a_model_of_16_bits_draws_scores_and_learns():
    image = ImageShape(3, 4, 4, LEVELS)
    model = PixelModel(image, partial(PixelCNNPP, num_filters=4, num_resnet_blocks=1, num_stages=1)).eval()
    images = model.sample(2)
    assert images.dtype == torch.int32 and int(images.max()) > 255
    assert torch.equal(model.sample(2, numbers=[1, 0]), images.flip(0))
    score = model.bits_per_dim(images)
    assert (score > 0).all() and (score < 20).all()
    score.sum().backward()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in model.parameters())
