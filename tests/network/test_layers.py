"""Weights as they are drawn, normalised and used in lower precision."""

import copy

import pytest
import torch

from pixelcnn.initialisation import data_dependent_initialisation
from pixelcnn.network.layers import CausalConv2d, CausalConvTranspose2d
from pixelcnn.network.topology import UP
from tests.conftest import random_images, tiny_model
from tests.original.conftest import original_model


@pytest.mark.parametrize(("layer", "out_dim"), [(CausalConv2d, 0), (CausalConvTranspose2d, 1)])
def test_the_norm_of_every_output_channel_is_its_gain(layer, out_dim):
    conv = layer(3, 5, UP)
    conv.g.data = torch.tensor([0.5, 1, 2, 3, 4])
    weight = conv.weight().transpose(0, out_dim)
    torch.testing.assert_close(weight.flatten(1).norm(dim=1), conv.g)
    directions = torch.nn.functional.cosine_similarity(weight.flatten(1), conv.v.transpose(0, out_dim).flatten(1))
    torch.testing.assert_close(directions, torch.ones(5))


@pytest.mark.parametrize("layer", [CausalConv2d, CausalConvTranspose2d])
def test_the_gradient_of_a_normalised_weight(layer):
    conv = layer(3, 5, UP).double()

    def weight(v, g):
        return torch.func.functional_call(Weight(conv), {"conv.v": v, "conv.g": g}, ())

    assert torch.autograd.gradcheck(
        weight, (conv.v.detach().requires_grad_(), torch.randn(5).double().requires_grad_())
    )


class Weight(torch.nn.Module):
    """A layer's weight as a module's value."""

    def __init__(self, conv):
        super().__init__()
        self.conv = conv

    def forward(self):
        return self.conv.weight()


def test_a_direction_of_zero_stays_finite():
    conv = CausalConv2d(3, 5, UP)
    conv.v.data.zero_()
    conv(torch.ones(1, 3, 4, 4)).sum().backward()
    assert conv.v.grad.isfinite().all() and (conv.weight() == 0).all()


def test_weights_are_drawn_as_the_originals():
    model = original_model(classes=50, num_filters=32)
    drawn = {name: p for name, p in model.named_parameters() if name.endswith((".v", ".hw")) and p.numel() > 2000}
    assert any(name.endswith("hw") for name in drawn) and any(name.endswith("v") for name in drawn)
    for name, parameter in drawn.items():
        assert parameter.std().item() == pytest.approx(0.05, rel=0.1), name
        assert parameter.mean().item() == pytest.approx(0, abs=0.005), name


def test_the_likelihood_stays_in_float32_under_autocast():
    model = tiny_model(num_filters=8)
    images = random_images(model, 4)
    with torch.no_grad():
        expected = model.log_prob(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            parameters, log_prob = model.pixel_parameters(images), model.log_prob(images)
            likelihood_alone = model.likelihood.log_prob(parameters, images).sum((1, 2))
    assert parameters.dtype == log_prob.dtype == torch.float32
    assert torch.equal(likelihood_alone, model.likelihood.log_prob(parameters, images).sum((1, 2)))
    assert not torch.equal(log_prob, expected)  # bf16 was at work in the hidden layers
    torch.testing.assert_close(log_prob, expected, rtol=0.02, atol=0)


def test_initialisation_reports_what_it_finds_and_leaves_the_mode():
    model = tiny_model().train()
    images = random_images(model, 8)
    report = data_dependent_initialisation(model, images)
    assert model.training
    # A second time nothing is left to rescale, so the report speaks of the first one's layers.
    again = data_dependent_initialisation(copy.deepcopy(model), images)
    assert max(report.max_abs_std_error, again.max_abs_std_error, report.max_abs_mean) < 1e-5
    # A single pixel sees nothing: no gain can give its constant outputs a spread, and the report says so.
    single = tiny_model(height=1, width=1, num_stages=1)
    assert data_dependent_initialisation(single, random_images(single, 8)).max_abs_std_error == pytest.approx(1)
