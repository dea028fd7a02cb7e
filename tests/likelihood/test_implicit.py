"""The head that draws without a density: the original's formula, in float64, and what it refuses."""

import numpy as np
import pytest
import torch

from pixelcnn.errors import UserError
from pixelcnn.image_shape import ImageShape
from pixelcnn.likelihood.implicit import Implicit


def head(channels: int = 3, levels: int = 256, features: int = 6, noise: int = 4) -> Implicit:
    made = Implicit(ImageShape(channels, 2, 3, levels), num_features=features, num_noise=noise)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith((".g", ".b")):
                parameter.add_(0.5 * torch.randn_like(parameter))
    return made


def dense(x: np.ndarray, layer: torch.nn.Module) -> np.ndarray:
    """`nin` of the original, NHWC, with V as it stands there."""
    v, g, b = (getattr(layer, name).detach().double().numpy() for name in "vgb")
    v = v[:, :, 0, 0].T
    return x @ v * (g / np.sqrt((v**2).sum(0))) + b


def concat_elu(x: np.ndarray) -> np.ndarray:
    x = np.concatenate([x, -x], axis=-1)
    return np.where(x > 0, x, np.expm1(x))


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_the_originals_head(channels):
    of = head(channels).double()
    assert (of.num_parameters, of.num_uniforms, of.num_groups, of.is_bound) == (6, 4, 1, False)
    parameters = torch.randn(2, 6, 2, 3, dtype=torch.float64)
    uniforms = torch.rand(5, 2, 4, 2, 3, dtype=torch.float64)
    f = parameters.permute(0, 2, 3, 1).numpy() + dense(2 * uniforms.permute(0, 1, 3, 4, 2).numpy() - 1, of.noise_dense)
    expected = np.tanh(dense(concat_elu(dense(concat_elu(f), of.dense)), of.output))
    drawn = of.samples(parameters, uniforms)
    assert drawn.shape == (5, 2, channels, 2, 3)
    np.testing.assert_allclose(drawn.detach().permute(0, 1, 3, 4, 2).numpy(), expected, atol=1e-12)


def test_the_weights_start_as_the_originals():
    of = Implicit(ImageShape(3, 32, 32), num_features=64, num_noise=4)
    assert [tuple(layer.v.shape) for layer in (of.noise_dense, of.dense, of.output)] == [
        (64, 4, 1, 1), (64, 128, 1, 1), (3, 128, 1, 1),
    ]  # fmt: skip
    assert [layer.init_scale for layer in (of.noise_dense, of.dense, of.output)] == [1, 1, 0.1]
    assert of.dense.v.std().item() == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("levels", [2, 17, 256])
def test_levels_are_the_nearest_to_what_is_drawn(channels, levels):
    of = head(channels, levels)
    parameters, uniforms = 3 * torch.randn(4, 6, 2, 3).double(), torch.rand(4, 4, 2, 3, dtype=torch.float64)
    with torch.no_grad():
        drawn = of.sample_levels(parameters, uniforms)
        x = of.samples(parameters, uniforms[None])[0]
    assert drawn.dtype == torch.uint8 and drawn.shape == (4, channels, 2, 3) and int(drawn.max()) < levels
    assert ((of.scale(drawn.float()) - x).abs() <= 1 / (levels - 1) + 1e-6).all()


def test_every_weight_and_the_features_have_a_gradient():
    of, parameters = head(), torch.randn(2, 6, 2, 3, requires_grad=True)
    of.samples(parameters, torch.rand(3, 2, 4, 2, 3)).square().sum().backward()
    assert all((p.grad != 0).any() and p.grad.isfinite().all() for p in [parameters, *of.parameters()])


@pytest.mark.parametrize("size", [1e4, 1e8])
def test_extreme_features_are_harmless(size):
    of, parameters = head(), (size * torch.randn(2, 6, 2, 3)).requires_grad_()
    x = of.samples(parameters, torch.rand(3, 2, 4, 2, 3))
    x.sum().backward()
    assert x.abs().max() <= 1 and parameters.grad.isfinite().all()


def test_what_does_not_exist_is_refused():
    of, parameters = head(), torch.randn(2, 6, 2, 3)
    images = torch.zeros(2, 3, 2, 3, dtype=torch.uint8)
    for call in (of.log_prob, of.log_prob_by_channel):
        with pytest.raises(UserError, match="likelihood=implicit "):
            call(parameters, images)
    for temperatures in ((0.5, 1.0), (1.0, 0.5)):
        with pytest.raises(UserError, match=r"temperature=0\.5 .* likelihood=implicit"):
            of.sample_levels(parameters, torch.rand(2, 4, 2, 3), *temperatures)
