"""Every network with every likelihood and every conditioning: causal, normalised, and sampled as it is scored."""

import itertools
from functools import partial

import pytest
import torch
from torch import Tensor

from pixelcnn.checkpoint import export, load
from pixelcnn.conditioning import ClassLabels, CoarseCodes, Condition, Encoder, Maps, Unconditional, Vectors
from pixelcnn.conditioning.condition import expanded, in_each
from pixelcnn.conditioning.several import by_key, gathered, kinds_of
from pixelcnn.description import ModelDescription
from pixelcnn.errors import UserError
from pixelcnn.image_shape import ImageShape
from pixelcnn.likelihood import Categorical, DiscretizedLogisticMixture, Implicit, LogisticMixture
from pixelcnn.model import PixelModel, build
from pixelcnn.network import GatedPixelCNN, PixelCNN, PixelCNNPP, PixelSNAIL
from tests.conftest import random_images, randomised
from tests.drawn import CONDITIONINGS, LIKELIHOODS, MODELS
from tests.naive import naive_samples

OPTIONS = {
    "pixelcnn_pp": partial(
        PixelCNNPP, num_filters=4, num_resnet_blocks=1, num_stages=2, nonlinearity="concat_elu", dropout=0.5
    ),
    "gated_pixelcnn": partial(
        GatedPixelCNN,
        num_filters=6,
        num_layers=2,
        first_kernel_size=3,
        kernel_size=3,
        num_output_features=6,
        dropout=0.5,
    ),
    "pixelcnn": partial(
        PixelCNN, num_filters=6, num_blocks=2, first_kernel_size=3, kernel_size=3, num_output_features=6, dropout=0.5
    ),
    "pixelsnail": partial(
        PixelSNAIL,
        num_filters=4,
        num_attention_blocks=2,
        num_resnet_blocks=1,
        num_key_features=2,
        num_value_features=3,
        dropout=0.5,
    ),
    "discretized_logistic_mixture": partial(DiscretizedLogisticMixture, num_mixtures=2, tails="exact"),
    "categorical": partial(Categorical),
    "logistic_mixture": partial(LogisticMixture, num_mixtures=2),
    "implicit": partial(Implicit, num_features=4, num_noise=2),
    "none": partial(Unconditional),
    "class": partial(ClassLabels, num_classes=3),
    "vector": partial(Vectors, num_features=2),
    "spatial": partial(Maps, num_features=2),
    "encoder": partial(Encoder, code_size=2, num_filters=3),
    "coarse": partial(CoarseCodes, num_codes=3, num_features=2),
}
SEVERAL = {
    "[class,vector]": {kind: OPTIONS[kind] for kind in ("class", "vector")},
    "[class,spatial,coarse]": {kind: OPTIONS[kind] for kind in ("class", "spatial", "coarse")},
}
OPTIONS |= SEVERAL
CHANNELS = (1, 3)
EVERYTHING = [
    *itertools.product(MODELS, LIKELIHOODS, [kind for kind in CONDITIONINGS if kind != "coarse"], CHANNELS),
    *itertools.product(MODELS, LIKELIHOODS, ("coarse", *SEVERAL), CHANNELS[:1]),
]
SCORED = [combination for combination in EVERYTHING if combination[1] != "implicit"]
EXACT = [combination for combination in SCORED if combination[1] != "logistic_mixture"]


def tiny(
    network: str, likelihood: str, conditioning: str, channels: int, levels: int = 256, side: int = 4
) -> PixelModel:
    """A model in float64, every weight random."""
    torch.manual_seed(0)
    image = ImageShape(channels, side, side, levels)
    return (
        randomised(build(ModelDescription(image, OPTIONS[network], OPTIONS[likelihood], OPTIONS[conditioning])))
        .double()
        .eval()
    )


def condition_for(model: PixelModel, n: int) -> Condition:
    """n conditions of the model's kind that differ; codes for an encoder."""
    made = {key: one_condition_for(model, key, n) for key in kinds_of(model.conditioning)}
    return gathered(model.conditioning, made)


def one_condition_for(model: PixelModel, key: str, n: int) -> Tensor:
    shape = model.image
    match key:
        case "labels":
            return torch.arange(n) % 3
        case "maps":
            return torch.randn(n, 2, shape.height, shape.width)
        case "coarse":
            return torch.arange(n * shape.height * shape.width // 4).view(n, shape.height // 2, shape.width // 2) % 3
    return torch.randn(n, 2)


@pytest.mark.parametrize("combination", SCORED, ids=str)
def test_a_site_depends_on_what_comes_before_it_alone(combination):
    model = tiny(*combination)
    images, condition = random_images(model, 1), condition_for(model, 1)
    groups = model.likelihood.num_groups
    with torch.no_grad():
        before = model.pixel_parameters(images, condition).unflatten(1, (groups, -1))
        for i, j, channel in [(0, 0, 0), (1, 2, model.image.channels - 1), (3, 3, 0)]:
            changed = images.clone()
            changed[0, channel, i, j] = 255 - changed[0, channel, i, j]
            after = model.pixel_parameters(changed, condition).unflatten(1, (groups, -1))
            differs = (after != before).any(2)[0]  # groups, H, W
            place = i * 4 + j
            group = channel * groups // model.image.channels
            assert not differs.flatten(1)[:, :place].any() and not differs[: group + 1, i, j].any()
            assert place == 15 or differs.any()


@pytest.mark.parametrize("combination", EXACT, ids=str)
def test_probabilities_of_all_images_sum_to_one(combination):
    channels = combination[3]
    model = tiny(*combination, levels=2, side=2)
    n = 2 ** (channels * 4)
    images = ((torch.arange(n)[:, None] >> torch.arange(channels * 4)) & 1).to(torch.uint8).view(n, channels, 2, 2)
    condition = condition_for(model, 1)
    with torch.no_grad():
        total = sum(model.log_prob(part, expanded(condition, len(part))).exp().sum() for part in images.split(1024))
    assert abs(float(total) - 1) < 1e-9


@pytest.mark.parametrize("combination", EVERYTHING, ids=str)
def test_cached_and_naive_sampling_draw_the_same_images(combination):
    model = tiny(*combination)
    condition = condition_for(model, 2)
    cached = model.sample(2, condition, seed=1)
    assert model.image.channels == 1 or len(cached.unique()) > 1
    assert torch.equal(cached, naive_samples(model, 2, condition, seed=1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("likelihood", sorted({combination[1] for combination in SCORED}))
def test_scores_are_of_float32_or_better_whatever_the_weights(likelihood, dtype):
    model = tiny("pixelcnn_pp", likelihood, "none", channels=3).to(dtype)
    images = random_images(model, 4)
    with torch.no_grad():
        scores, parameters = model.log_prob(images), model.pixel_parameters(images)
        expected = model.likelihood.log_prob(parameters.double(), images).sum(dim=(1, 2))
    assert scores.dtype == parameters.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(scores.double(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("combination", SCORED, ids=str)
def test_channels_add_up_and_conditions_matter(combination):
    model = tiny(*combination)
    images, condition = random_images(model, 3), condition_for(model, 3)
    with torch.no_grad():
        log_prob = model.log_prob(images, condition)
        assert torch.allclose(model.log_prob_by_channel(images, condition).sum(1), log_prob)
        assert torch.allclose(
            torch.cat(
                [
                    model.log_prob(images[:1], in_each(condition, lambda one: one[:1])),
                    model.log_prob(images[1:], in_each(condition, lambda one: one[1:])),
                ]
            ),
            log_prob,
        )
        for key, one in by_key(model.conditioning, condition).items():
            other = one.flip(0) if one.is_floating_point() else (one + 1) % 3
            changed = gathered(model.conditioning, {**by_key(model.conditioning, condition), key: other})
            assert (model.log_prob(images, changed)[0] - log_prob[0]).abs() > 1e-9
    assert (model.score_name == "bits_per_dim") == (
        combination[1] != "logistic_mixture" and combination[2] != "encoder"
    )


@pytest.mark.parametrize("network, conditioning", list(itertools.product(MODELS, CONDITIONINGS)))
def test_what_has_no_density_says_so(network, conditioning):
    model = tiny(network, "implicit", conditioning, 3)
    with pytest.raises(UserError, match="likelihood=implicit"):
        model.log_prob(random_images(model, 2), condition_for(model, 2))
    with pytest.raises(UserError, match="likelihood=implicit "):
        model.complete(random_images(model, 2), torch.ones(4, 4, dtype=torch.bool), condition_for(model, 2))


@pytest.mark.parametrize("combination", [c for c in EVERYTHING if c[3] == 3], ids=str)
def test_an_exported_model_comes_back(combination, tmp_path):
    model = tiny(*combination).float()
    export(model, {}, tmp_path)
    back = load(tmp_path)
    condition = condition_for(model, 1)
    condition = in_each(condition, lambda one: one.float() if one.is_floating_point() else one)
    assert back.description == model.description
    with torch.no_grad():
        images = random_images(model, 1)
        assert torch.equal(back.pixel_parameters(images, condition), model.pixel_parameters(images, condition))
