"""Samples depend on seed and number alone; temperatures sharpen; completions keep what is known."""

import dataclasses
from functools import partial

import pytest
import torch

from pixelcnn import UserError
from pixelcnn.likelihood import LogisticMixture
from pixelcnn.model import build
from pixelcnn.sampling.sampler import Temperature
from tests.conftest import random_images, randomised, tiny_model


@pytest.fixture(scope="module")
def model():
    return tiny_model(torch.float64, height=8, width=4, num_filters=3)


def test_an_image_does_not_depend_on_the_batch_it_is_drawn_in(model):
    whole = model.sample(5, seed=9)
    assert len(whole.unique(dim=0)) == 5
    for batch_size in (1, 2, 4):
        assert torch.equal(model.sample(5, seed=9, batch_size=batch_size), whole)
    assert torch.equal(model.sample(3, seed=9), whole[:3])
    assert not torch.equal(model.sample(5, seed=10), whole)
    chosen = [3, 0, 3]
    assert torch.equal(model.sample(3, seed=9, batch_size=2, numbers=chosen), whole[chosen])


def test_at_temperature_near_zero_only_the_likeliest_component_speaks(model):
    cold = Temperature(mixture=1e-9, scale=1e-9)
    a, b = model.sample(1, seed=1, temperature=cold), model.sample(1, seed=2, temperature=cold)
    assert torch.equal(a, b)
    assert not torch.equal(model.sample(1, seed=1, temperature=Temperature(scale=1e-9)), a)
    with pytest.raises(UserError, match="temperature"):
        Temperature(mixture=0)


def test_completions_keep_what_is_known_and_score_what_is_drawn(model):
    images = random_images(model, 3)
    known = torch.zeros(8, 4, dtype=torch.bool)
    known[:3] = True
    completed, log_prob = model.complete(images, known, seed=4)
    assert torch.equal(completed[:, :, known], images[:, :, known])
    assert not torch.equal(completed, images) and torch.equal(images, random_images(model, 3))
    # The known rows come first: log p of the rest is that of the whole less that of the rows alone.
    with torch.no_grad():
        parameters = model.pixel_parameters(completed)
        per_pixel = model.likelihood.log_prob(parameters, completed)
    assert torch.allclose(log_prob, model.log_prob(completed) - per_pixel[:, :3].sum((1, 2)), atol=1e-9)


def test_completions_have_the_mass_that_they_are_drawn_by_where_a_score_is_a_bound(model):
    description = dataclasses.replace(model.description, likelihood=partial(LogisticMixture, num_mixtures=2))
    bounded = randomised(build(description)).double().eval()
    images, known = random_images(model, 3), torch.arange(32).view(8, 4) < 12
    completed, log_prob = bounded.complete(images, known, seed=4)
    with torch.no_grad():
        parameters = bounded.pixel_parameters(completed)
        mass = model.likelihood.log_prob(parameters, completed)[:, ~known].sum(1)
        assert not torch.allclose(bounded.likelihood.log_prob(parameters, completed)[:, ~known].sum(1), mass)
    torch.testing.assert_close(log_prob, mass)


def test_nothing_known_is_sampling_and_everything_known_is_certain(model):
    images, none = random_images(model, 2), torch.zeros(8, 4, dtype=torch.bool)
    completed, log_prob = model.complete(images, none, seed=6)
    assert torch.equal(completed, model.sample(2, seed=6))
    assert torch.allclose(log_prob, model.log_prob(completed).double())
    completed, log_prob = model.complete(images, ~none, seed=6)
    assert torch.equal(completed, images) and (log_prob == 0).all()


def test_every_pixel_is_counted(model):
    calls = []
    model.sample(3, batch_size=2, on_pixel=lambda: calls.append(None))
    assert len(calls) == 2 * 8 * 4


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda model, images, known: model.sample(-1), "n=-1"),
        (lambda model, images, known: model.sample(2, batch_size=0), "batch_size=0"),
        (lambda model, images, known: model.sample(2, numbers=[1]), r"numbers=\[1\] are not one for each of 2"),
        (lambda model, images, known: model.sample(1, numbers=[-1]), r"numbers=\[-1\]"),
        (lambda model, images, known: model.complete(images, known, batch_size=-1), "batch_size=-1"),
        (lambda model, images, known: model.complete(images, known[:3]), r"known of torch.bool and shape \(3, 4\)"),
        (lambda model, images, known: model.complete(images, known.expand(2, 8, 4)), "known of .* for images of 8x4"),
        (lambda model, images, known: model.complete(images, known.to(torch.uint8)), "known of torch.uint8"),
        (lambda model, images, known: Temperature(float("nan")), "temperature"),
        (lambda model, images, known: Temperature(scale=float("inf")), "temperature"),
    ],
)
def test_what_cannot_be_drawn_is_refused(model, call, told):
    with pytest.raises(UserError, match=told):
        call(model, random_images(model, 2), torch.zeros(8, 4, dtype=torch.bool))


def test_no_image_is_an_answer(model):
    images, known = random_images(model, 0), torch.zeros(8, 4, dtype=torch.bool)
    assert model.sample(0).shape == images.shape
    completed, log_prob = model.complete(images, known)
    assert completed.shape == images.shape and log_prob.shape == (0,)


def test_completions_are_scored_as_they_are_drawn_in_training_mode_too():
    model = tiny_model(torch.float64)
    images, known = random_images(model, 2), torch.arange(64).view(8, 8) < 32
    evaluated = model.complete(images, known)
    trained = model.train().complete(images, known)
    assert all(map(torch.equal, evaluated, trained)) and model.training
