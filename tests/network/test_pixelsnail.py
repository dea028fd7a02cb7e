"""PixelSNAIL: its authors' numbers and structure, attention, what its walk keeps, and the ways to compute it."""

import copy
from collections import Counter
from functools import partial

import pytest
import torch
from torch import nn

from pixelcnn import execution
from pixelcnn.conditioning import ClassLabels, Unconditional
from pixelcnn.execution import Execution, execute
from pixelcnn.initialisation import data_dependent_initialisation
from pixelcnn.likelihood import DiscretizedLogisticMixture
from pixelcnn.model import PixelModel
from pixelcnn.network import PixelSNAIL
from pixelcnn.network.attention import CausalAttention, places
from pixelcnn.network.blocks import GatedResidualBlock
from pixelcnn.network.layers import WeightNormalized
from pixelcnn.original.variables import to_original
from pixelcnn.sampling.incremental import IncrementalWalk
from pixelcnn.sampling.walk import pixel_parameters_incrementally
from pixelcnn.training.arithmetic import training_flops
from tests.conftest import random_images, randomised
from tests.network.pixelsnail_reference import SnailReference
from tests.networks import tiny_condition

TINY = {
    "num_filters": 4,
    "num_attention_blocks": 2,
    "num_resnet_blocks": 2,
    "num_key_features": 2,
    "num_value_features": 3,
}


def tiny_network(dtype=torch.float64, condition_features=0, **options) -> PixelSNAIL:
    return randomised(PixelSNAIL(3, 10, condition_features, **{**TINY, **options})).to(dtype).eval()


def tiny_model(conditional=True, **options) -> PixelModel:
    likelihood = partial(DiscretizedLogisticMixture, num_mixtures=2)
    conditioning = partial(ClassLabels, num_classes=3) if conditional else Unconditional
    return PixelModel((3, 8, 8), partial(PixelSNAIL, **{**TINY, **options}), likelihood, conditioning)


def variables(network: nn.Module) -> dict:
    """The network's weights as the authors' code names and lays them out, in the order in which it makes them."""
    counts, named = Counter(), {}
    for module in network.modules():
        if isinstance(module, WeightNormalized):
            kind = "dense" if module.v.shape[2:] == (1, 1) else "conv2d"
            found = {"V": module.v, "g": module.g, "b": module.b}
        elif isinstance(module, GatedResidualBlock) and module.hw is not None:
            kind, found = "conditional_weights", {"hw": module.hw}
        else:
            continue
        for name, value in found.items():
            full = f"model/{kind}_{counts[kind]}/{name}"
            named[full] = to_original(full, value)
        counts[kind] += 1
    return named


def test_the_default_is_the_authors_model():
    with torch.device("meta"):
        network = PixelSNAIL(3, 100)
    assert sum(p.numel() for p in network.parameters()) == 46_180_788
    shapes = Counter(tuple(layer.v.shape) for layer in network.modules() if isinstance(layer, WeightNormalized))
    # Two for the image; 48 blocks; 12 times content, query and joining blocks; the output.
    assert shapes == {
        (256, 4, 1, 3): 1,
        (256, 4, 2, 1): 1,
        (256, 256, 2, 2): 48,
        (512, 256, 2, 2): 48,
        (265, 265, 1, 1): 12,
        (530, 265, 1, 1): 12,
        (144, 265, 1, 1): 12,
        (262, 262, 1, 1): 12,
        (524, 262, 1, 1): 12,
        (16, 262, 1, 1): 12,
        (256, 256, 1, 1): 12,
        (256, 128, 1, 1): 12,
        (512, 256, 1, 1): 12,
        (100, 256, 1, 1): 1,
    }


@pytest.mark.parametrize("condition_features", [0, 2])
def test_the_network_is_the_authors(condition_features):
    network = tiny_network(condition_features=condition_features)
    x = 2 * torch.rand(2, 3, 5, 4, dtype=torch.float64) - 1
    h = torch.randn(2, condition_features, dtype=torch.float64) if condition_features else None
    with torch.no_grad():
        walks = network(x, h), pixel_parameters_incrementally(network, x, h, 1)
    numbers = variables(network)
    for epsilon, tolerance in ((0.0, 1e-12), (1e-6, 1e-5)):
        reference = SnailReference(numbers, 2, 2, 2, epsilon)
        expected = reference(x.permute(0, 2, 3, 1).numpy(), None if h is None else h.numpy())
        for found in walks:
            assert (found.permute(0, 2, 3, 1) - torch.from_numpy(expected)).abs().max() < tolerance
    assert sum(reference.made.values()) == len({name.rpartition("/")[0] for name in numbers})


@pytest.mark.parametrize(("keys", "values"), [(2, 5), (4, 4), (3, 1)])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 2), (1, 5)])
def test_attention_is_a_mean_of_earlier_values(keys, values, height, width):
    q = torch.randn(2, keys, height, width, dtype=torch.float64)
    k, v = torch.randn_like(q), torch.randn(2, values, height, width, dtype=torch.float64)
    found = CausalAttention()(q, torch.cat([k, v], dim=1))
    assert found.shape == v.shape
    q, k, v, found = (a.flatten(2) for a in (q, k, v, found))
    assert (found[:, :, 0] == 0).all()
    for p in range(1, height * width):
        weights = torch.einsum("nd,ndp->np", q[:, :, p], k[:, :, :p]).div(keys**0.5).softmax(1)
        expected = torch.einsum("np,ndp->nd", weights, v[:, :, :p])
        torch.testing.assert_close(found[:, :, p], expected, rtol=1e-12, atol=1e-12)


def test_places_are_of_the_image_whatever_its_size():
    row, column = places(1, 4, 2, torch.zeros(1))
    assert row[:, 0].tolist() == [-0.5, -0.25, 0.0, 0.25] and (row[:, 0] == row[:, 1]).all()
    assert column[0].tolist() == [-0.5, 0.0]


@pytest.mark.parametrize("nonlinearity", ["concat_elu", "elu", "relu"])
@pytest.mark.parametrize("kind", ["none", "vector", "map"])
def test_its_walk_is_exact_in_every_size(nonlinearity, kind):
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        network = tiny_network(dtype, 0 if kind == "none" else 2, nonlinearity=nonlinearity)
        for height, width in [(1, 1), (1, 4), (5, 1), (6, 7)]:
            x, h = torch.randn(2, 3, height, width, dtype=dtype), tiny_condition(kind, 2, height, width)
            h = None if h is None else h.to(dtype)
            with torch.no_grad():
                parallel = network(x, h)
            off = (pixel_parameters_incrementally(network, x, h, 1) - parallel).abs().max()
            assert off <= tolerance * max(1, parallel.abs().max())


def test_its_walk_keeps_keys_and_values_of_whole_images():
    network = tiny_network()
    low, high = (IncrementalWalk(network, 3, 2, height, 4) for height in (3, 5))
    # Two attention blocks, two images: 8 pixels more, each with a key of 2, a value of 3 and a number of the mask.
    assert high.num_bytes - low.num_bytes == 2 * 2 * 8 * (2 + 3) * 8
    assert low.period == high.period == 2


def test_flops_include_attention():
    # Keys as wide as values, for which CPUs have a fused kernel.
    model, pixels = tiny_model(conditional=False, num_filters=6, num_key_features=5, num_value_features=5), 8 * 8
    forward = of_image = 0
    for layer in (module for module in model.network.modules() if isinstance(module, WeightNormalized)):
        products = 2 * pixels * layer.v.numel()
        forward += products
        of_image += products if layer.v.shape[1] == 4 else 0  # the image's three channels and one of ones
    of_attention = 2 * 2 * (pixels - 1) ** 2 * (5 + 5)
    assert training_flops(model) == 3 * (forward + of_attention) - of_image


def loss_and_gradients(model, images):
    torch.manual_seed(3)
    loss = -model(images, torch.arange(len(images)) % 3).sum()
    loss.backward()
    return loss.detach(), torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize(
    ("way", "bound"),
    [
        ("activation_checkpointing", 0.0),
        ("channels_last", 1e-5),
        pytest.param("compile", 1e-5, marks=pytest.mark.slow),
        ("bf16", 0.02),
    ],
)
def test_ways_to_compute_it(way, bound, monkeypatch):
    monkeypatch.setattr(execution, "BACKEND", "eager")
    model = tiny_model(num_filters=8, dropout=0.5 if way == "activation_checkpointing" else 0.0).train()
    other, images = copy.deepcopy(model), random_images(model, 3)
    if way == "compile":  # whole, without breaks
        other = torch.compile(other, backend="eager", fullgraph=True)
    elif way != "bf16":
        execute(other, Execution(**{way: True}))
    loss, gradient = loss_and_gradients(model, images)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=way == "bf16"):
        moved, other_gradient = loss_and_gradients(other, images)
    assert abs(moved / loss - 1) <= bound
    assert (gradient - other_gradient).norm() <= 10 * bound * gradient.norm()
    assert way != "bf16" or moved != loss


def test_initialisation_reaches_every_layer():
    model = tiny_model(num_filters=6)
    report = data_dependent_initialisation(model, random_images(model, 12), torch.arange(12) % 3)
    assert report.max_abs_mean < 1e-4 and report.max_abs_std_error < 1e-3
    layers = [layer for layer in model.modules() if isinstance(layer, WeightNormalized)]
    assert all((layer.g != 1).all() and (layer.b != 0).all() for layer in layers)
