"""The auto-encoder: an image's code is all that its decoder knows of the image beside the pixels before each."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch.profiler import profile

from pixelcnn import UserError
from pixelcnn.conditioning import Encoder, encoder
from pixelcnn.image_shape import ImageShape
from pixelcnn.initialisation import data_dependent_initialisation
from tests.conftest import random_images, tiny_model
from tests.naive import naive_samples

CODE = partial(Encoder, code_size=3, num_filters=4)
SMALL = dict(height=8, width=4, num_filters=3, num_stages=2, conditioning=CODE)


@pytest.fixture
def model():
    return tiny_model(torch.float64, **SMALL)


@torch.no_grad()
def codes_of(model, images):
    return model.conditioning.encode(images, len(images), *images.shape[2:])


def test_an_image_stands_for_its_code(model):
    images = random_images(model, 3)
    codes = codes_of(model, images)
    assert codes.shape == (3, 3) and len(codes.unique(dim=0)) == 3
    with torch.no_grad():
        assert torch.equal(model.log_prob(images, images), model.log_prob(images, codes))
    assert torch.equal(model.sample(3, images, seed=1), model.sample(3, codes, seed=1))


def test_given_the_code_a_pixel_depends_on_those_before_it_alone(model):
    images = random_images(model, 1)
    later = images.clone()
    later[0, :, 4:] = 255 - later[0, :, 4:]
    with torch.no_grad():
        first = model.pixel_parameters(images, images)[0, :, :4]
        assert torch.equal(model.pixel_parameters(later, images)[0, :, :4], first)
        # The image's own code does see what comes later, which is why its score is named otherwise.
        assert not torch.equal(model.pixel_parameters(later, later)[0, :, :4], first)


def test_what_is_scored_has_a_name_of_its_own(model):
    images = random_images(model, 2)
    assert model.score_name == "bits_given_code"
    with pytest.raises(UserError, match="bits_given_code"):
        model.bits_per_dim(images, images)


def test_drawing_given_codes_is_drawing_naively(model):
    codes = torch.randn(2, 3)
    drawn = model.sample(2, codes, seed=5)
    assert torch.equal(drawn, naive_samples(model, 2, codes, seed=5))
    known = torch.zeros(8, 4, dtype=torch.bool)
    known[:3] = True
    # Random numbers and known pixels are those of the drawn image: so is the rest.
    completed, _ = model.complete(drawn, known, codes, seed=5)
    assert torch.equal(completed, drawn)


def test_the_encoder_is_trained_with_the_decoder(model):
    images = random_images(model, 4)
    model.log_prob(images, images).sum().backward()
    for name, parameter in model.conditioning.named_parameters():
        assert (parameter.grad != 0).any(), name


def test_data_dependent_initialisation_sees_the_codes(model):
    images = random_images(model, 16)
    before = codes_of(model, images)
    report = data_dependent_initialisation(model, images, images)
    assert report.max_abs_mean < 1e-9 and report.max_abs_std_error < 1e-6
    assert torch.equal(codes_of(model, images), before)


def test_it_sees_what_networks_see():
    # A half of grey and white: with scaled levels the first layer's input is known.
    image = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    image[..., 4:] = 16
    encoder = CODE(ImageShape(1, 8, 8, 17), lambda levels: (levels - 8) / 8)
    seen = []
    encoder.layers[0].register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    encoder.encode(image, 1, 8, 8)
    assert seen[0].unique().tolist() == [-1, 1]


@pytest.mark.parametrize(("height", "width"), [(2, 2), (4, 6), (8, 8), (10, 14), (32, 24)])
@pytest.mark.parametrize("size", [2, 8, 32])
def test_images_of_any_size_have_codes(size, height, width):
    encoder = CODE(ImageShape(3, size, size), lambda levels: levels / 127.5 - 1)
    images = torch.randint(0, 256, (2, 3, height, width)).to(torch.uint8)
    codes = encoder.encode(images, 2, height, width)
    assert codes.shape == (2, 3) and codes.isfinite().all() and not torch.equal(codes[0], codes[1])


def test_each_further_layer_has_twice_the_filters_at_half_the_resolution():
    encoder = Encoder(ImageShape(3, 32, 32), lambda levels: levels / 127.5 - 1, code_size=3, num_filters=8)
    shapes = []
    for layer in encoder.layers:
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(lambda layer, inputs, output: shapes.append(tuple(output.shape[1:])))
    encoder.encode(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), 1, 32, 32)
    assert shapes == [(8, 32, 32), (16, 16, 16), (32, 8, 8), (64, 4, 4)]


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (None, "needs an image or a code"),
        (torch.zeros(2, 4), r"shape \(2, 4\) .* floats \(N, 3\)"),
        (torch.zeros(2, 3, 8, 4), "torch.float32"),
        (torch.zeros(1, 3, 8, 4, dtype=torch.uint8), r"shape \(1, 3, 8, 4\)"),
        (torch.zeros(2, 1, 8, 4, dtype=torch.uint8), r"integers \(N, 3, H, W\)"),
    ],
)
def test_other_conditions_are_refused(model, condition, words):
    with pytest.raises(UserError, match=words):
        model.log_prob(random_images(model, 2), condition)


def test_levels_beyond_the_models_are_refused():
    model = tiny_model(levels=17, **SMALL)
    images = random_images(model, 1)
    with pytest.raises(UserError, match=r"17.* 0\.\.16"):
        model.log_prob(images, torch.full_like(images, 17))


def test_many_images_are_encoded_in_parts(model, monkeypatch):
    images = random_images(model, 7)
    at_once = codes_of(model, images)
    seen = []
    model.conditioning.layers.register_forward_hook(lambda layers, inputs, output: seen.append(len(output)))
    monkeypatch.setattr(encoder, "AT_ONCE", 3)
    torch.testing.assert_close(codes_of(model, images), at_once)
    assert seen == [3, 3, 1]


@pytest.mark.parametrize("height", [1, 3, 4, 5, 7, 8, 13])
@pytest.mark.parametrize("width", [2, 4, 6, 9])
def test_averages_are_torchs_without_its_kernels(height, width):
    x = torch.randn(2, 3, height, width, dtype=torch.float64, requires_grad=True)
    with profile() as seen:
        averages = encoder.AveragedToSmallest()(x)
        [gradient] = torch.autograd.grad(averages.square().sum(), x)
    expected = F.adaptive_avg_pool2d(x, 4)
    torch.testing.assert_close(averages, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.square().sum(), x)[0], rtol=1e-12, atol=1e-12)
    # Its backward pass on a GPU is rejected by trainer.deterministic=true.
    assert not any("adaptive" in event.key for event in seen.key_averages())


def test_the_encoder_averages_by_them(model):
    layers = model.conditioning.layers
    x = torch.randn(2, model.image.channels, 10, 14, dtype=next(layers.parameters()).dtype)
    with profile() as seen:
        layers(x).sum().backward()
    assert not any("adaptive" in event.key for event in seen.key_averages())
