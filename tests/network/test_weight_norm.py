"""The weights of many layers at once: the numbers of each layer's own, in a few operations."""

from collections import Counter
from functools import partial

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pixelcnn.likelihood import Categorical
from pixelcnn.model import PixelModel
from pixelcnn.network import GatedPixelCNN, parallel
from pixelcnn.network.layers import CausalConv2d, CausalConvTranspose2d, WeightNormalized, given, weights_of
from pixelcnn.network.topology import POINT, UP, UP_LEFT
from pixelcnn.network.weight_norm import normalized
from tests.conftest import random_images, tiny_model


class Counted(TorchDispatchMode):
    """Counts operations by name."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.counts[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def layers():
    """Of rows of different lengths, some of one length, one of them transposed."""
    made = [
        CausalConv2d(3, 5, UP),
        CausalConv2d(3, 4, UP),
        CausalConvTranspose2d(3, 6, UP),
        CausalConv2d(6, 5, POINT),
        CausalConv2d(6, 2, UP_LEFT),
    ]
    for layer in made:
        torch.nn.init.uniform_(layer.g, 0.5, 2)
    return made


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_each_weight_and_gradient_is_the_layers_own(order):
    made = [layer.to(memory_format=order) for layer in layers()]
    parameters = [parameter for layer in made for parameter in (layer.v, layer.g)]
    together, alone = list(weights_of(made).values()), [layer.weight() for layer in made]
    factors = [torch.randn_like(weight) for weight in alone]
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)
    sums = [sum((w * f).sum() for w, f in zip(weights, factors, strict=True)) for weights in (together, alone)]
    for a, b in zip(*(torch.autograd.grad(value, parameters) for value in sums), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_the_gradient_of_weights_together():
    made = [layer.double() for layer in layers()]
    out_dims = [layer.out_dim for layer in made]

    def weights(*values):
        return tuple(normalized(values[: len(made)], values[len(made) :], out_dims, torch.float64))

    assert torch.autograd.gradcheck(weights, [layer.v for layer in made] + [layer.g for layer in made])


def masked_model():
    network = partial(
        GatedPixelCNN, num_filters=6, num_layers=1, num_output_features=6, first_kernel_size=3, kernel_size=3
    )
    return PixelModel((3, 4, 4), network, Categorical)


@pytest.mark.parametrize("made", [tiny_model, masked_model])
def test_the_loss_and_gradients_of_a_model_are_those_of_layers_on_their_own(monkeypatch, made):
    model = made().train()
    images, results = random_images(model, 2), []
    for together in (weights_of, lambda layers: {}):
        monkeypatch.setattr(parallel, "weights_of", together)
        torch.manual_seed(0)
        model.zero_grad()
        loss = -model.log_prob(images).sum()
        loss.backward()
        results.append([loss.detach(), *(parameter.grad for parameter in model.parameters())])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_a_network_normalises_in_an_operation_for_each_length_of_rows():
    model = tiny_model(num_filters=8)
    made = [layer for layer in model.network.modules() if isinstance(layer, WeightNormalized)]
    lengths = {layer.v.numel() // len(layer.g) for layer in made}
    images = random_images(model, 1)
    with Counted() as counted:
        model.pixel_parameters(images)
    assert counted.counts["linalg_vector_norm"] == len(lengths) < len(made) / 3


def test_under_autocast_weights_are_those_of_its_convolutions_and_the_output_stays_exact():
    model = tiny_model(num_filters=8).train()
    output = model.network.layers["output"].dense
    seen = []
    output.register_forward_hook(lambda layer, inputs, value: seen.append((layer.computed.dtype, value.dtype)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = [layer for layer in model.network.modules() if isinstance(layer, WeightNormalized)]
        for layer, weight in weights_of(made).items():
            assert torch.equal(weight, layer.weight().to(torch.bfloat16))
        (-model.log_prob(random_images(model, 2))).sum().backward()
    assert seen == [(torch.bfloat16, torch.float32)]
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert all(layer.computed is None for layer in made)


def test_a_layer_without_gradient_leaves_the_others_theirs():
    a, b = CausalConv2d(3, 5, UP), CausalConv2d(3, 4, UP)
    weights = weights_of([a, b])
    weights[b].sum().backward()
    assert a.v.grad is None and a.g.grad is None
    torch.testing.assert_close(b.v.grad, torch.autograd.grad(b.weight().sum(), b.v)[0])


def test_weights_are_given_for_a_while_only():
    layer = CausalConv2d(2, 2, UP)
    x, weight = torch.randn(1, 2, 3, 3), torch.zeros_like(layer.v)
    with given({layer: weight}):
        assert torch.equal(layer(x), torch.zeros(1, 2, 3, 3))
    assert not torch.equal(layer(x), torch.zeros(1, 2, 3, 3))
