"""A mixture over the difference to a causal prediction is a mixture over the pixel, shifted by what came before."""

from functools import partial

import numpy as np
import pytest
import torch

from pixelcnn import DiscretizedLogisticMixture, ImageShape, PixelModel, Unconditional, UserError
from pixelcnn.description import ModelDescription
from pixelcnn.initialisation import data_dependent_initialisation
from pixelcnn.likelihood import LogisticMixture
from pixelcnn.likelihood.prediction import PREDICTIONS, Neighbours, neighbours_of, predictions
from pixelcnn.network import GatedPixelCNN, PixelCNN, PixelCNNPP
from tests.conftest import random_images
from tests.drawn import model_of
from tests.naive import naive_samples


def predicted(name, m, x):
    """By the definition, a pixel at a time, for each of m components: (m, C, H, W); x (C, H, W)."""
    p = np.zeros((m, *x.shape))
    for k, c, i, j in np.ndindex(*p.shape):
        left = x[c, i, j - 1] if j else 0.0
        above = x[c, i - 1, j] if i else 0.0
        corner = x[c, i - 1, j - 1] if i and j else 0.0
        gradient = sorted([left, above, left + above - corner])[1]
        in_turn = [left, above, 0.75 * left + 0.75 * above - 0.5 * corner, gradient]
        p[k, c, i, j] = {"left": left, "gradient": gradient, "neighbours": in_turn[k % 4]}[name]
    return p


@pytest.mark.parametrize("name", PREDICTIONS)
def test_predictions_are_their_definition(name):
    m = 6
    x = torch.rand(2, 3, 5, 4, dtype=torch.float64) * 2 - 1
    found = predictions(name, neighbours_of(x), m).expand(2, 3, m, 5, 4).transpose(1, 2)
    assert np.allclose(found.numpy(), np.stack([predicted(name, m, image) for image in x.numpy()]))


@pytest.mark.parametrize("name", PREDICTIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_means_are_of_the_differences(name, channels):
    """log_prob against the masses of bins around the means m, m + a r_R, m + b r_R + c r_G of r = x - p."""
    m, levels = 5, 16
    likelihood = DiscretizedLogisticMixture(ImageShape(channels, 3, 4, levels), num_mixtures=m, residual=name)
    torch.manual_seed(0)
    parameters = torch.randn(1, likelihood.num_parameters, 3, 4, dtype=torch.float64)
    images = torch.randint(levels, (1, channels, 3, 4), dtype=torch.uint8)
    x = likelihood.scale(images.double())
    found = likelihood.log_prob(likelihood.given_neighbours(parameters, neighbours_of(x)), images)[0]

    r = (x[0].numpy() - predicted(name, m, x[0].numpy())).transpose(1, 0, 2, 3)  # C m H W
    for i, j in np.ndindex(3, 4):
        q = parameters[0, :, i, j].numpy()
        weights = np.exp(q[:m]) / np.exp(q[:m]).sum()
        kinds = q[m:].reshape(channels, 3 if channels == 3 else 2, m)
        k = np.tanh(kinds[:, 2]) if channels == 3 else None
        at = r[:, :, i, j]
        shifts = [0, 0, 0] if k is None else [0, k[0] * at[0], k[1] * at[0] + k[2] * at[1]]
        mass = weights
        for c in range(channels):
            centre, level = at[c] - kinds[c, 0] - shifts[c], int(images[0, c, i, j])
            edges = [(centre + side / (levels - 1)) / np.exp(kinds[c, 1]) for side in (-1, 1)]
            low, high = (1 / (1 + np.exp(-edge)) for edge in edges)
            mass = mass * ((1.0 if level == levels - 1 else high) - (0.0 if level == 0 else low))
        assert found[i, j].item() == pytest.approx(np.log(mass.sum()), rel=1e-9)


@pytest.mark.parametrize("name", PREDICTIONS)
def test_it_is_a_distribution_that_the_sampler_draws(name):
    """The probabilities of all 2x2 images sum to one; cached sampling is naive sampling. A component for each turn."""
    likelihood = partial(DiscretizedLogisticMixture, num_mixtures=5, residual=name)
    network = partial(PixelCNNPP, num_filters=3, num_resnet_blocks=1, num_stages=1)
    small = model_of(ModelDescription(ImageShape(3, 2, 2, 2), network, likelihood, Unconditional), 0)
    bits = torch.arange(2**12)[:, None] >> torch.arange(12)
    with torch.no_grad():
        log_prob = small.log_prob((bits & 1).byte().view(-1, 3, 2, 2))
    assert float(log_prob.exp().sum()) == pytest.approx(1, abs=1e-10)
    model = model_of(ModelDescription(ImageShape(3, 4, 5), network, likelihood, Unconditional), 0)
    assert torch.equal(model.sample(2, seed=1), naive_samples(model, 2, seed=1))


@pytest.mark.parametrize("name", PREDICTIONS)
def test_a_site_has_the_same_floats_whatever_is_beside_it(name):
    likelihood = DiscretizedLogisticMixture(ImageShape(3, 8, 8), num_mixtures=5, residual=name)
    parameters = torch.randn(40, likelihood.num_parameters, 1, 1, dtype=torch.float64)
    sites = Neighbours(*torch.rand(3, 40, 3, 1, 1, dtype=torch.float64))
    together = likelihood.given_neighbours(parameters, sites)
    for first in range(40):
        some = slice(first, first + 1 + first % 7)
        alone = likelihood.given_neighbours(parameters[some].clone(), Neighbours(*(one[some].clone() for one in sites)))
        assert torch.equal(alone, together[some])


@pytest.mark.parametrize("network", [PixelCNNPP, GatedPixelCNN, PixelCNN])
@pytest.mark.parametrize("residual", ["none", "gradient"])
def test_a_spread_start_survives_initialisation(network, residual):
    likelihood = partial(LogisticMixture, num_mixtures=3, residual=residual, spread=True)
    model = PixelModel((3, 8, 8), partial(network, num_filters=6), likelihood)
    images = random_images(model, 4)
    data_dependent_initialisation(model, images)
    start = model.likelihood.initial_parameters
    with torch.no_grad():
        off = model.network(torch.zeros(1, 3, 8, 8)) - start[:, None, None]
    assert off.abs().max() < 1  # of values from -5 to 1
    _, means, _, coefficients = model.likelihood._split(start[None, :, None, None])
    grey = means[0, :, 0, 0, 0]
    assert (grey == 0).all() if residual != "none" else grey.diff().min() > 0.5
    # The means of G and B where the channels before are as the component has them.
    a, b, c = coefficients[0, 0, :, 0, 0]
    assert torch.allclose(means[0, :, 1, 0, 0] + a * grey, grey)
    assert torch.allclose(means[0, :, 2, 0, 0] + (b + c) * grey, grey)


def test_a_network_that_has_no_start_is_refused_by_key():
    class Own(torch.nn.Conv2d):
        def __init__(self, image_channels, num_parameters):
            super().__init__(image_channels, num_parameters, 1)

    with pytest.raises(UserError, match=r"^likelihood\.spread=true .*start_at"):
        PixelModel((3, 8, 8), Own, partial(DiscretizedLogisticMixture, spread=True))


@pytest.mark.parametrize(("levels", "smallest"), [(256, -5.0), (17, np.log(1 / 16)), (2, 0.0)])
def test_a_spread_over_differences_is_no_narrower_than_half_a_bin(levels, smallest):
    likelihood = DiscretizedLogisticMixture(ImageShape(1, 8, 8, levels), num_mixtures=4, residual="left", spread=True)
    assert likelihood.initial_parameters[8:12].tolist() == pytest.approx([smallest + k * 3.5 / 3 for k in range(4)])
