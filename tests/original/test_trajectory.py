"""Five steps of the original's optimiser and of its moving average, against the same written out by hand."""

import copy
from functools import partial

import numpy as np
import pytest
import torch

from pixelcnn.model import PixelModel
from pixelcnn.optim import Adam, exponential
from pixelcnn.training.module import DensityEstimation
from tests.original.test_golden import GOLDEN, golden_model, to_levels

LR, BETAS, DECAY = 0.001, (0.95, 0.9995), 0.999995


@pytest.fixture
def start() -> tuple[PixelModel, torch.Tensor]:
    golden = np.load(GOLDEN / "uncond_small.npz")
    model = golden_model({name: golden[name] for name in golden if name.startswith("model/")})
    return model.double(), to_levels(golden["x"])


def by_hand(model: PixelModel, images: torch.Tensor, steps: int) -> list[torch.Tensor]:
    """`adam_updates` of the original's nn.py on the loss summed over the batch, lr decayed before each step."""
    parameters = [p.detach().clone() for p in model.parameters()]
    v, mg = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    lr = LR
    for t in range(1, steps + 1):
        lr *= DECAY
        for p, value in zip(model.parameters(), parameters, strict=True):
            p.data.copy_(value)
        gradients = torch.autograd.grad(-model.log_prob(images).sum(), list(model.parameters()))
        for i, g in enumerate(gradients):
            v[i] = BETAS[0] * v[i] + (1 - BETAS[0]) * g
            mg[i] = BETAS[1] * mg[i] + (1 - BETAS[1]) * g**2
            v_hat, mg_hat = v[i] / (1 - BETAS[0] ** t), mg[i] / (1 - BETAS[1] ** t)
            parameters[i] = parameters[i] - lr * v_hat / torch.sqrt(mg_hat + 1e-8)
    return parameters


def trained(model: PixelModel, images: torch.Tensor, steps: int, epsilon_inside_root: bool) -> PixelModel:
    make = partial(Adam, lr=LR, betas=BETAS, epsilon_inside_root=epsilon_inside_root)
    module = DensityEstimation(model, make, partial(exponential, decay=DECAY))
    optimizer, scheduler = module.optimizer_and_scheduler(steps)
    for _ in range(steps):
        optimizer.zero_grad()
        (-model.log_prob(images).sum()).backward()
        optimizer.step()
        scheduler.step()
    return model


def test_the_originals_adam_is_followed_exactly(start):
    model, images = start
    expected = by_hand(copy.deepcopy(model), images, 5)
    moved = trained(model, images, 5, epsilon_inside_root=True)
    for parameter, value in zip(moved.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.detach(), value, rtol=0, atol=1e-12)


def test_torchs_adam_reaches_the_same_losses(start):
    model, images = start
    expected = copy.deepcopy(model)
    for parameter, value in zip(expected.parameters(), by_hand(copy.deepcopy(model), images, 5), strict=True):
        parameter.data.copy_(value)
    moved = trained(model, images, 5, epsilon_inside_root=False)
    with torch.no_grad():
        torch.testing.assert_close(moved.log_prob(images), expected.log_prob(images), rtol=1e-6, atol=0)
