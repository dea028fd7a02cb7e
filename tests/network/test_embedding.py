"""Networks that see a learned vector for each level: causal, normalised, sampled as scored, like those that scale."""

import itertools
from functools import partial

import pytest
import torch

import pixelcnn
from bench.gpu.recording import recorded
from pixelcnn.causality import check_causal
from pixelcnn.compression import compress, decompress
from pixelcnn.description import ModelDescription
from pixelcnn.errors import UserError
from pixelcnn.image_shape import ImageShape
from pixelcnn.initialisation import data_dependent_initialisation
from pixelcnn.likelihood import Categorical
from pixelcnn.model import PixelModel, build
from pixelcnn.network.embedding import LevelEmbedding, seen
from pixelcnn.optim.matrices import hidden_matrices
from pixelcnn.sampling.sampler import Sampler, Temperature, uniforms_of
from tests.conftest import random_images, randomised
from tests.drawn import CONDITIONINGS, MODELS
from tests.naive import naive_samples
from tests.test_family import OPTIONS, condition_for

LIKELIHOODS = ("categorical", "discretized_logistic_mixture")
# Three channels for the softmax, where networks that mask see them in groups, and one for the mixture.
COMBINATIONS = [
    (network, likelihood, conditioning, 3 if likelihood == "categorical" else 1)
    for network, likelihood, conditioning in itertools.product(MODELS, LIKELIHOODS, CONDITIONINGS)
]


def embedding_model(network, likelihood, conditioning, channels, levels=300, side=4) -> PixelModel:
    """A model in float64 whose network sees three numbers for each level, every weight random."""
    torch.manual_seed(0)
    embedding = partial(OPTIONS[network], input="embedding", embedding_features=3)
    image = ImageShape(channels, side, side, levels)
    model = build(ModelDescription(image, embedding, OPTIONS[likelihood], OPTIONS[conditioning]))
    return randomised(model).double().eval()


def test_each_channel_has_a_table_of_its_own_and_its_features_in_a_row():
    embedding = LevelEmbedding(3, 5, 2)
    levels = torch.randint(0, 5, (4, 3, 2, 6))
    x = embedding(levels)
    assert x.shape == (4, 6, 2, 6)
    for n, channel, i, j in itertools.product(range(4), range(3), range(2), range(6)):
        row = embedding.weight[channel * 5 + levels[n, channel, i, j]]
        assert torch.equal(x[n, 2 * channel : 2 * channel + 2, i, j], row)
    assert torch.equal(embedding(levels[:, 1:], first=1), x[:, 2:])
    assert torch.equal(seen(levels[:, 1:].to(torch.uint8), embedding, torch.neg, torch.float32, 1), x[:, 2:])


@pytest.mark.parametrize("combination", COMBINATIONS, ids=str)
def test_cached_and_naive_sampling_draw_the_same_images(combination):
    model = embedding_model(*combination)
    condition = condition_for(model, 2)
    cached = model.sample(2, condition, seed=1)
    assert cached.dtype == torch.int32 and int(cached.max()) > 255
    assert torch.equal(cached, naive_samples(model, 2, condition, seed=1))


@pytest.mark.parametrize("combination", COMBINATIONS, ids=str)
def test_probabilities_of_all_images_sum_to_one(combination):
    levels = 3 if combination[-1] == 1 else 2
    model = embedding_model(*combination, levels=levels, side=2)
    dimensions = model.image.dimensions
    images = torch.cartesian_prod(*[torch.arange(levels)] * dimensions).view(-1, *(model.image.channels, 2, 2))
    condition = condition_for(model, 1)
    given = None if condition is None else condition.expand(len(images), *condition.shape[1:])
    with torch.no_grad():
        assert abs(float(model.log_prob(images, given).exp().sum()) - 1) < 1e-9


@pytest.mark.parametrize("network", MODELS)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_it_is_causal(network, likelihood):
    check_causal(embedding_model(network, likelihood, "none", 3), sites=6)


@pytest.mark.parametrize("network", MODELS)
def test_captured_rows_see_the_embedding(network):
    model = embedding_model(network, "categorical", "none", 3)
    uniforms = uniforms_of(0, range(2), (3, 4, 4))
    drawn = []
    for capture in (None, recorded):
        sampler = Sampler(model.network, model.likelihood, 2, 3, 4, 4, Temperature(), capture)
        drawn.append(random_images(model, 2))
        sampler.draw(drawn[-1], torch.zeros(4, 4, dtype=torch.bool), None, uniforms, lambda: None)
    assert torch.equal(*drawn)


def test_completions_and_archives_are_of_any_number_of_codes():
    model = embedding_model("gated_pixelcnn", "categorical", "none", 3)
    images = random_images(model, 3)
    known = torch.zeros(4, 4, dtype=torch.bool)
    known[:2] = True
    completed, log_prob = model.complete(images, known)
    assert torch.equal(completed[:, :, :2], images[:, :, :2]) and not torch.equal(completed, images)
    with torch.no_grad():
        parameters = model.pixel_parameters(completed)
        assert torch.allclose(log_prob, model.likelihood.log_prob(parameters, completed)[:, 2:].sum((1, 2)))
    assert torch.equal(decompress(model, compress(model, images)), images)


@pytest.mark.parametrize("network", MODELS)
def test_data_dependent_initialisation_is_of_what_the_network_sees(network):
    model = embedding_model(network, "categorical", "none", 1).float()
    before = model.network.embedding.weight.clone()
    report = data_dependent_initialisation(model, random_images(model, 64))
    assert report.max_abs_mean < 1e-4 and report.max_abs_std_error < 1e-2
    assert torch.equal(model.network.embedding.weight, before)


def test_an_encoder_embeds_too_by_a_table_of_its_own():
    model = embedding_model("pixelcnn_pp", "categorical", "encoder", 1)
    assert model.conditioning.embedding.weight.shape == (300, 3)
    assert model.conditioning.embedding is not model.network.embedding
    image = random_images(model, 1)
    with torch.no_grad():
        before = model.conditioning.encode(image, 1, 4, 4)
        model.conditioning.embedding.weight[int(image[0, 0, 0, 0])] += 1
        assert not torch.equal(model.conditioning.encode(image, 1, 4, 4), before)


def test_muon_leaves_the_embedding_to_adam():
    model = embedding_model("gated_pixelcnn", "categorical", "none", 1)
    names = dict(model.named_parameters())
    assert "network.embedding.weight" in names and "network.embedding.weight" not in hidden_matrices(model)


def test_a_network_without_topology_may_embed_as_well():
    class Own(torch.nn.Module):
        def __init__(self, image_channels: int, image_levels: int, num_parameters: int, num_groups: int = 1) -> None:
            super().__init__()
            self.embedding = LevelEmbedding(image_channels, image_levels, 4)
            self.conv = torch.nn.Conv2d(4, num_parameters, (1, 3))

        def forward(self, x, h):
            return self.conv(torch.nn.functional.pad(x, (3, -1)))

    model = PixelModel(ImageShape(1, 3, 3, 400), Own, Categorical).double().eval()
    check_causal(model)
    assert torch.equal(model.sample(2), naive_samples(model, 2))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.uint16, torch.int32, torch.int64])
def test_images_of_any_integer_type_score_alike(dtype):
    for levels in (200, 300):
        model = embedding_model("gated_pixelcnn", "categorical", "encoder", 1, levels)
        images = random_images(model, 2) % 200
        with torch.no_grad():
            assert torch.equal(model.log_prob(images.to(dtype), images.to(dtype)), model.log_prob(images, images))
            known = torch.ones(4, 4, dtype=torch.bool)
            assert torch.equal(model.complete(images.to(dtype), known, images)[0], images)


@pytest.mark.parametrize("value", [-1, 300, 70_000])
def test_values_that_are_not_levels_are_refused(value):
    model = embedding_model("gated_pixelcnn", "categorical", "encoder", 1)
    images = torch.zeros(2, 1, 4, 4, dtype=torch.int64)
    wrong = images.clone()
    wrong[1, 0, 2, 2] = value
    with pytest.raises(UserError, match=rf"^images .*{value}.*0\.\.299"):
        model.log_prob(wrong, images)
    with pytest.raises(UserError, match=rf"^condition .*{value}.*0\.\.299"):
        model.log_prob(images, wrong)
    with pytest.raises(UserError, match=r"float32.*\(N, 1, H, W\)"):
        model.log_prob(images.float(), images)


@pytest.mark.parametrize("network", MODELS)
def test_the_size_of_a_vector_is_checked(network):
    with pytest.raises(UserError, match=r"model\.embedding_features=0"):
        pixelcnn.PixelModel((1, 4, 4), partial(OPTIONS[network], input="embedding", embedding_features=0), Categorical)
