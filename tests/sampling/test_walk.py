"""A network without a topology is drawn by repeated passes: the same images as by the caches, if it is the same."""

import copy

import pytest
import torch
from torch import Tensor, nn

from pixelcnn.model import PixelModel
from pixelcnn.sampling.incremental import IncrementalWalk
from pixelcnn.sampling.walk import RepeatedPasses, pixel_parameters_incrementally, walk_of
from tests.conftest import random_images
from tests.networks import CONDITIONS, SITES, tiny_condition, tiny_network
from tests.test_family import condition_for, tiny

COMBINATIONS = [
    ("pixelcnn_pp", "discretized_logistic_mixture", "none", 3),
    ("pixelcnn_pp", "logistic_mixture", "class", 1),
    ("gated_pixelcnn", "categorical", "spatial", 3),
    ("pixelcnn", "categorical", "vector", 3),
    ("pixelcnn", "discretized_logistic_mixture", "encoder", 3),
]


class Plain(nn.Module):
    """A network whose topology cannot be seen."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.inside = network

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return self.inside(x, h)


def without_topology(model: PixelModel) -> PixelModel:
    plain = copy.deepcopy(model)
    plain.network = Plain(plain.network)
    return plain


@pytest.mark.parametrize("combination", COMBINATIONS, ids=str)
def test_samples_and_completions_are_the_same(combination):
    model = tiny(*combination)
    plain = without_topology(model)
    condition = condition_for(model, 3)
    # Two batches, the second one smaller.
    drawn = [one.sample(3, condition, seed=4, batch_size=2) for one in (model, plain)]
    assert torch.equal(*drawn) and len(drawn[0].unique()) > 2
    images, known = random_images(model, 3), torch.rand(4, 4) < 0.5
    (completed, log_prob), (its, its_log_prob) = (one.complete(images, known, condition) for one in (model, plain))
    assert torch.equal(completed, its) and torch.equal(its[:, :, known], images[:, :, known])
    torch.testing.assert_close(log_prob, its_log_prob, rtol=1e-9, atol=0)


def test_dropout_does_not_reach_them_and_is_as_it_was_afterwards():
    model = tiny("pixelcnn_pp", "discretized_logistic_mixture", "none", 3)
    plain = without_topology(model).train()
    plain.network.inside.layers["output"].eval()  # as of a part that is frozen
    modes = [module.training for module in plain.modules()]
    assert torch.equal(plain.sample(2, seed=1), model.sample(2, seed=1))
    assert [module.training for module in plain.modules()] == modes


@pytest.mark.parametrize("kind", CONDITIONS)
@pytest.mark.parametrize(("name", "num_groups"), SITES)
def test_parameters_are_those_of_one_pass(name, num_groups, kind):
    network = Plain(tiny_network(name, num_groups, 0 if kind == "none" else 2))
    x, h = torch.randn(2, 3, 4, 6, dtype=torch.float64), tiny_condition(kind, 2, 4, 6)
    with torch.no_grad():
        parallel = network(x, h)
    assert (pixel_parameters_incrementally(network, x, h, num_groups) - parallel).abs().max() < 1e-12


def test_the_caches_need_a_topology_of_steppers():
    network = tiny_network("pixelcnn_pp", 1)
    assert isinstance(walk_of(network, 3, 1, 4, 4, 1), IncrementalWalk)
    assert isinstance(walk_of(Plain(network), 3, 1, 4, 4, 1), RepeatedPasses)
