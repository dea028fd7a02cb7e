"""The port that training is compared with runs as it is checked out, one line of it being of Python 2."""

import sys
from pathlib import Path

import pytest
import torch

from bench.training import step_of_port

FILES = {
    "utils.py": """
import torch
def discretized_mix_logistic_loss(x, l):
    try:
        return ((x.cuda() - l) ** 2).sum()
    except ValueError as e:
        print e
""",
    "layers.py": """
from utils import *
import torch.nn as nn
class Layer(nn.Conv2d):
    pass
""",
    "model.py": """
from layers import *
class PixelCNN(nn.Module):
    def __init__(self, nr_resnet, nr_filters):
        super(PixelCNN, self).__init__()
        self.layer = Layer(3, 3, nr_resnet)
    def forward(self, x):
        return self.layer(x)
if __name__ == '__main__':
    raise AssertionError
""",
}


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
        monkeypatch.setitem(sys.modules, name.removesuffix(".py"), None)  # gone afterwards
    monkeypatch.setattr(torch.Tensor, "cuda", torch.Tensor.cuda)  # set back afterwards
    return tmp_path


def test_an_untouched_checkout_takes_a_step(checkout):
    images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    step_of_port(checkout, {"num_filters": 2, "num_resnet_blocks": 1}, images, torch.float32)()
    assert sys.modules["model"].__dict__["Layer"] is sys.modules["layers"].__dict__["Layer"]
