"""What both walks through a network share of its masked blocks."""

import math

import pytest
import torch

from pixelcnn.network.masked_blocks import gated


@pytest.mark.parametrize(("a", "b"), [(0.5, -1.0), (3.0, 2.0), (-3.0, 0.0)])
def test_a_gate_is_tanh_of_one_half_times_sigmoid_of_the_other(a, b):
    x = torch.tensor([0.0, a, 5.0, b], dtype=torch.float64).view(1, 4, 1, 1)
    assert gated(x).flatten().tolist() == pytest.approx([0.0, math.tanh(a) / (1 + math.exp(-b))], rel=1e-12)
