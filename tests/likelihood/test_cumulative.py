import pytest
import torch

from pixelcnn.likelihood.cumulative import by_doubling, cumulative_sum


@pytest.mark.parametrize("length", [1, 2, 3, 17, 256])
@pytest.mark.parametrize("dim", [1, 2])
def test_both_ways_give_the_same_sums(length, dim):
    x = torch.randint(0, 100, (2, length, length, 1)).double()  # whole numbers have exact sums
    assert torch.equal(by_doubling(x, dim), x.cumsum(dim))
    assert torch.equal(cumulative_sum(x, dim), x.cumsum(dim))
