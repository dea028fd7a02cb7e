"""Memory is counted exactly where it can be counted by hand."""

import pytest
import torch
from torch import nn

from pixelcnn.objective import MaximumLikelihood
from pixelcnn.training.needs import Memory, memory_of
from tests.conftest import tiny_model


class Regression:
    """An objective whose graph keeps the input (3 numbers per image) and the sigmoid's output (5), beside weights."""

    unit = 1.0

    def losses(self, model, batch, noise_seed):
        return model(batch["images"].float().flatten(1)).sum(1)


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 5), nn.Sigmoid(), nn.Linear(5, 2))


def test_each_tensor_that_is_kept_counts_once():
    memory = memory_of(network(), Regression(), {"images": torch.ones(1, 3, 1, 1, dtype=torch.uint8)})
    parameters = 3 * 5 + 5 + 5 * 2 + 2
    assert memory == Memory(state=5 * 4 * parameters, activations_of_an_image=4 * (3 + 5))
    assert memory.for_images(10) == memory.state + 10 * 4 * 8


def test_a_models_activations_grow_with_its_images_and_its_normalised_weights_do_not():
    model = tiny_model()
    counted = [
        memory_of(model, MaximumLikelihood(), {"images": torch.zeros(1, 3, size, size, dtype=torch.uint8)})
        for size in (32, 64)
    ]
    assert counted[0].state == pytest.approx(counted[1].state, rel=0.02)
    assert counted[1].activations_of_an_image / counted[0].activations_of_an_image == pytest.approx(4, rel=0.02)
