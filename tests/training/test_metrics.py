import math

import pytest
import torch

from pixelcnn.training.metrics import LossPerDimension

LOG_PROB = -1000 * torch.rand(50, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("batch_size", [1, 7, 50])
def test_bits_per_dim_does_not_depend_on_batches(batch_size):
    metric = LossPerDimension(unit=math.log(2))
    for batch in LOG_PROB.split(batch_size):
        metric.update(-batch, dimensions=12)
    expected = -sum(LOG_PROB.tolist()) / (50 * 12 * math.log(2))
    assert metric.compute().item() == pytest.approx(expected, rel=1e-14)


def test_a_uniform_model_costs_the_entropy_of_its_levels():
    metric = LossPerDimension(unit=math.log(2))
    metric.update(torch.full((3,), 5 * math.log(256), dtype=torch.float64), dimensions=5)
    assert metric.compute().item() == pytest.approx(8, rel=1e-14)
