"""Each score is what its paper says, of a tiny model."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelcnn import UserError, ood
from pixelcnn.checkpoint import save
from pixelcnn.conditioning import ClassLabels
from tests.conftest import random_images, tiny_model


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def background():
    return tiny_model(seed=1)


@pytest.fixture(scope="module", autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


def total(maps) -> torch.Tensor:
    return maps.double().flatten(1).sum(dim=1)


def log2_p(model, images, condition=None) -> torch.Tensor:
    return model.log_prob(images, condition).double() / np.log(2)


def test_the_likelihood_is_that_of_the_model_in_bits_per_dim(model):
    images = random_images(model, 5)
    maps = ood.likelihood(model, images)
    assert maps.shape == images.shape
    torch.testing.assert_close(ood.of_images(maps), model.bits_per_dim(images).double(), rtol=1e-5, atol=0)


def test_the_complexity_of_codecs_is_taken_from_the_bits(model):
    images = random_images(model, 4)
    images[:2] = 7  # which codecs, other than this model, find simple
    expected = -log2_p(model, images) - ood.codec_bits(images, ["png"])
    torch.testing.assert_close(
        total(ood.input_complexity(model, images, codecs=["png"])), expected, rtol=1e-4, atol=1e-2
    )


def test_the_ratio_is_positive_for_what_the_background_finds_likelier(model, background):
    """Ren et al.: LLR(x) = log p(x) - log p_background(x), high inside; the score is its negative."""
    images = random_images(model, 6)
    llr = log2_p(model, images) - log2_p(background, images)
    torch.testing.assert_close(
        total(ood.likelihood_ratio(model, images, background=background)), -llr, rtol=1e-4, atol=1e-2
    )


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6))
def test_two_models_have_opposite_ratios(model, background, seed):
    images = random_images(model, 3, seed)
    one, other = (ood.likelihood_ratio(a, images, background=b) for a, b in ((model, background), (background, model)))
    assert torch.equal(one, -other)


def test_a_background_may_be_a_file(model, background, tmp_path):
    save(background, tmp_path / "background.ckpt")
    images = random_images(model, 2)
    opened = ood.likelihood_ratio(model, images, background=str(tmp_path / "background.ckpt"))
    torch.testing.assert_close(opened, ood.likelihood_ratio(model, images, background=background))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"channels": 1}, "1 channels and 256 levels, not 3 and 256"),
        ({"levels": 17}, "3 channels and 17 levels, not 3 and 256"),
        ({"conditioning": partial(ClassLabels, num_classes=3)}, "conditional model: use one with conditioning=none"),
    ],
)
def test_a_background_of_another_kind_is_refused(model, options, told):
    with pytest.raises(UserError, match=rf"^background=PixelModel is a .*{told}"):
        ood.likelihood_ratio(model, random_images(model, 1), background=tiny_model(**options))


def test_typicality_is_the_distance_from_the_mean_of_training_images(model):
    """Nalisnick et al.: |1/M sum of -log p(x_m) - H|, H the mean of -log p over training images."""
    train, test = random_images(model, 12, seed=1), random_images(model, 7, seed=2)
    entropy = -log2_p(model, train).mean()
    reference = ood.reference_of(model, train.split(5))  # batches of unequal size
    maps = ood.typicality(model, test, reference=reference)
    deviation = -log2_p(model, test) - entropy
    torch.testing.assert_close(total(maps), deviation, rtol=1e-3, atol=1e-2)

    scores = ood.of_images(maps).numpy()
    single, _ = ood.of_batches(scores, two_sided=True)
    np.testing.assert_allclose(single, deviation.abs() / test[0].numel(), atol=1e-5)
    of_three, batch = ood.of_batches(scores, batch=3, two_sided=True)
    assert sorted(np.bincount(batch + 1)) == [1, 3, 3]  # of seven images one is left over
    for k in range(2):
        assert of_three[k] == pytest.approx(abs(float(deviation[batch == k].mean())) / test[0].numel(), abs=1e-5)


def test_a_condition_is_given_to_the_model():
    model = tiny_model(conditioning=partial(ClassLabels, num_classes=3))
    images, labels = random_images(model, 2), torch.tensor([2, 2])
    torch.testing.assert_close(
        total(ood.likelihood(model, images, labels)), -log2_p(model, images, labels), rtol=1e-4, atol=1e-2
    )
    reference = ood.reference_of(model, [images], labels[:1])
    torch.testing.assert_close(reference, model.bits(images, labels).mean(dim=0))
