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


def test_devices_are_added_up():
    together, one, other = (LossPerDimension(unit=1.0) for _ in range(3))
    for metric, losses in ((together, LOG_PROB), (one, LOG_PROB[:20]), (other, LOG_PROB[20:])):
        metric.update(losses, dimensions=12)
    gathered = iter([[one.total, other.total], [one.dimensions, other.dimensions]])
    one.distributed_available_fn, one.dist_sync_fn = (lambda: True), (lambda *_, **__: next(gathered))
    assert one.compute().item() == pytest.approx(together.compute().item(), rel=1e-14)
