"""The FLOPs of a step, against a count by hand and the paper's model, and the machine's own speed."""

import pytest
import torch

from bench.sampling import papers_model
from pixelcnn.execution import Execution, execute
from pixelcnn.network.layers import CausalConv2d
from pixelcnn.training.arithmetic import matmul_peak, training_flops
from tests.conftest import tiny_model


def test_a_step_counts_three_products_a_convolution_and_two_where_no_gradient_enters():
    model = tiny_model(num_stages=1, num_filters=6)
    forward = of_image = 0
    for layer in (module for module in model.network.modules() if isinstance(module, CausalConv2d)):
        products = 2 * 8 * 8 * layer.v.numel()
        forward += products
        of_image += products if layer.v.shape[1] == 4 else 0  # the image's three channels and one of ones
    assert training_flops(model) == 3 * forward - of_image


def test_checkpointing_counts_no_step_twice():
    model = tiny_model()
    expected = training_flops(model)
    execute(model, Execution(compile=False, channels_last=True, activation_checkpointing=True))
    assert training_flops(model) == expected


def test_the_papers_model():
    assert training_flops(papers_model(160, 5)) / 1e9 == pytest.approx(146.2, abs=0.05)


def test_the_peak_is_a_speed():
    assert 1e8 < matmul_peak(torch.device("cpu"), torch.float32) < 1e15
