"""The original's own numbers (TensorFlow, float32, CPU), within what an independent float32 implementation reaches."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pixelcnn.image_shape import ImageShape
from pixelcnn.initialisation import data_dependent_initialisation
from pixelcnn.likelihood.discretized_logistic_mixture import DiscretizedLogisticMixture
from pixelcnn.model import build
from pixelcnn.original.checkpoint import interpret
from pixelcnn.original.variables import parameters_by_original_name, to_original
from tests.conftest import tiny_description

GOLDEN = Path(__file__).parent / "golden"


def to_levels(x: np.ndarray) -> torch.Tensor:
    """NHWC in [-1, 1] to uint8 NCHW."""
    return torch.from_numpy(np.rint(x * 127.5 + 127.5).astype(np.uint8)).permute(0, 3, 1, 2).contiguous()


def golden_model(variables: dict[str, np.ndarray]):
    model = build(tiny_description(height=16, width=16, num_filters=8, num_mixtures=5, tails="original")).eval()
    model.load_state_dict(interpret(variables, model, "variables").raw)
    return model


@torch.no_grad()
def test_network_and_loss():
    golden = np.load(GOLDEN / "uncond_small.npz")
    model = golden_model({name: golden[name] for name in golden if name.startswith("model/")})
    images = to_levels(golden["x"])
    parameters = model.pixel_parameters(images).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(parameters, golden["out"], rtol=0, atol=3e-6)
    losses = -model.log_prob(images)
    np.testing.assert_allclose(losses.numpy(), golden["loss_per_image"], rtol=2e-6)
    np.testing.assert_allclose(losses.sum().item(), golden["loss"], rtol=1e-6)
    np.testing.assert_allclose(model.bits_per_dim(images).mean().item(), golden["bpd"], rtol=1e-6)


@torch.no_grad()
def test_data_dependent_initialisation():
    golden = np.load(GOLDEN / "uncond_small_init.npz")
    before = {name.removeprefix("before/"): golden[name] for name in golden if name.startswith("before/")}
    model = golden_model(before)
    images = to_levels(golden["x_init"])
    report = data_dependent_initialisation(model, images)
    assert report.max_abs_mean < 1e-5 and report.max_abs_std_error < 1e-5
    for name, parameter in parameters_by_original_name(model).items():
        expected = golden.get(f"after/{name}", before[name])
        np.testing.assert_allclose(to_original(name, parameter), expected, rtol=0, atol=1e-6, err_msg=name)
    parameters = model.pixel_parameters(images)
    np.testing.assert_allclose(parameters.mean((0, 2, 3)).numpy(), golden["init_out_mean"], atol=1e-6)
    np.testing.assert_allclose(parameters.std((0, 2, 3), correction=0).numpy(), golden["init_out_std"], atol=1e-5)
    np.testing.assert_allclose(-model.log_prob(images).sum().item(), golden["init_loss"], rtol=1e-6)


@pytest.mark.parametrize("case", ["mix10_random", "mix10_edge", "mix1_random", "mix1_edge"])
def test_likelihood_at_its_edges(case):
    golden = np.load(GOLDEN / "loss_edge.npz")
    num_mixtures = int(case[3 : case.index("_")])
    likelihood = DiscretizedLogisticMixture(ImageShape(3, 8, 8), num_mixtures=num_mixtures, tails="original")
    parameters = torch.from_numpy(golden[f"{case}_l"]).permute(0, 3, 1, 2).contiguous().requires_grad_()
    losses = -likelihood.log_prob(parameters, to_levels(golden[f"{case}_x"])).sum((1, 2))
    losses.sum().backward()
    np.testing.assert_allclose(losses.detach().numpy(), golden[f"{case}_loss_per_image"], rtol=6e-6)
    np.testing.assert_allclose(losses.detach().numpy(), golden[f"{case}_loss_per_image_float64"], rtol=1e-6)

    gradient, expected = parameters.grad.permute(0, 2, 3, 1).numpy(), golden[f"{case}_grad_l"]
    decided = parameters.detach().permute(0, 2, 3, 1).numpy() != -7  # at the clamp itself the gradient is a choice
    error = (np.abs(gradient - expected) / (1 + np.abs(expected)))[decided]
    assert (error < 1e-3).mean() >= 0.99
