"""Data-dependent initialisation reaches every layer, those of the likelihood included."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from pixelcnn.initialisation import data_dependent_initialisation
from pixelcnn.likelihood import Categorical, Implicit, LogisticMixture
from pixelcnn.model import build
from pixelcnn.network.layers import WeightNormalized
from tests.conftest import random_images, tiny_description, tiny_model


@pytest.mark.parametrize(
    "likelihood",
    [partial(Categorical), partial(LogisticMixture, num_mixtures=2), partial(Implicit, num_features=8, num_noise=4)],
)
def test_every_layer_reaches_its_scale(likelihood):
    model = build(replace(tiny_description(levels=17), likelihood=likelihood))
    report = data_dependent_initialisation(model, random_images(model, 12))
    assert report.max_abs_mean < 1e-4 and report.max_abs_std_error < 1e-3
    layers = [layer for layer in model.modules() if isinstance(layer, WeightNormalized)]
    assert all((layer.g != 1).all() and (layer.b != 0).all() for layer in layers)


def test_the_heads_moments_hold_for_noise_that_it_has_not_seen():
    model = build(replace(tiny_description(), likelihood=partial(Implicit, num_features=8, num_noise=4)))
    images = random_images(model, 40)
    data_dependent_initialisation(model, images)
    with torch.no_grad():
        x = torch.atanh(model.likelihood.samples(model.pixel_parameters(images), torch.rand(10, 40, 4, 8, 8)))
    assert x.mean().abs() < 0.01 and x.std().item() == pytest.approx(0.1, rel=0.05)


def test_outputs_that_do_not_vary_stay_small():
    model = tiny_model(height=4, width=4, num_filters=6)  # the lowest resolution is 1x1: its u stream sees nothing
    images = random_images(model, 40)
    data_dependent_initialisation(model, images)
    with torch.no_grad():
        assert model.bits_per_dim(images).max() < 20


def test_the_scales_of_blocks_and_output_are_the_options():
    description = tiny_description(num_stages=1)
    scales = {"block_init_scale": 0.7, "output_init_scale": 0.3}
    network = replace(description.network, arguments={**description.network.arguments, **scales})
    model = build(replace(description, network=network))
    images = random_images(model, 40)
    found = []
    data_dependent_initialisation(model, images)
    for node in ("up0_u0", "down0_ul0"):
        model.network.layers[node].conv2.register_forward_hook(lambda layer, inputs, output: found.append(output))
    with torch.no_grad():
        found.append(model.eval().pixel_parameters(images))
    for output, scale in zip(found, (0.7, 0.7, 0.3), strict=True):
        assert torch.allclose(output.std(dim=(0, 2, 3), correction=0), torch.tensor(scale), atol=1e-3)
