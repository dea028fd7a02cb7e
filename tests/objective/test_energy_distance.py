"""The loss is the original's, in values and gradients, and its minimum is the distribution of the data."""

import numpy as np
import pytest
import torch

from pixelcnn.objective.energy_distance import energy_distance


def originals(x: np.ndarray, samples: list[np.ndarray]) -> float:
    """`energy_distance` of the original's nn.py, written out in float64: NHWC, summed over the batch."""

    def total(difference: np.ndarray) -> float:
        return ((1e-10 + ((127.5 * difference) ** 2).sum(3)) ** 0.75).sum()

    to_data = sum(total(x - sample) for sample in samples) / len(samples)
    pairs = [(i, j) for i in range(len(samples)) for j in range(i + 1, len(samples))]
    return 2 * to_data - sum(total(samples[i] - samples[j]) for i, j in pairs) / len(pairs)


def data(channels: int, num_samples: int, n: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = (torch.randint(0, 256, (n, channels, 4, 5), generator=generator).double() - 127.5) / 127.5
    samples = torch.tanh(torch.randn(num_samples, n, channels, 4, 5, generator=generator, dtype=torch.float64))
    return x, samples


def nhwc(images: torch.Tensor) -> np.ndarray:
    return images.detach().movedim(-3, -1).numpy()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("num_samples", [2, 3, 10])
def test_values_are_the_originals(channels, num_samples):
    x, samples = data(channels, num_samples)
    losses = energy_distance(x, samples)
    assert losses.shape == (3,)
    expected = [originals(nhwc(x[k : k + 1]), list(nhwc(samples[:, k : k + 1]))) for k in range(3)]
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-12)
    assert losses.sum().item() == pytest.approx(originals(nhwc(x), list(nhwc(samples))), rel=1e-12)
    in_float32 = energy_distance(x.float(), samples.float())
    torch.testing.assert_close(in_float32.double(), losses, rtol=2e-6, atol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_are_the_originals(channels):
    x, samples = data(channels, 4, n=2)
    samples.requires_grad_()
    energy_distance(x, samples).sum().backward()
    rng = np.random.default_rng(0)
    for place in rng.choice(samples.numel(), 30, replace=False):
        step, ends = 1e-6, []
        for sign in (1, -1):
            moved = samples.detach().clone()
            moved.view(-1)[place] += sign * step
            ends.append(originals(nhwc(x), list(nhwc(moved))))
        expected = (ends[0] - ends[1]) / (2 * step)
        assert samples.grad.view(-1)[place].item() == pytest.approx(expected, rel=1e-6, abs=1e-4)
    assert torch.autograd.gradcheck(
        lambda s: energy_distance(x[:1, :, :1, :2], s), samples[:, :1, :, :1, :2].detach().requires_grad_()
    )


def test_draws_that_meet_have_a_gradient():
    x = torch.zeros(1, 3, 2, 2)
    samples = torch.zeros(5, 1, 3, 2, 2, requires_grad=True)
    loss = energy_distance(x, samples)
    loss.sum().backward()
    assert loss.item() == pytest.approx(4 * 1e-10**0.75, rel=1e-3) and (samples.grad == 0).all()


def test_the_distribution_of_the_data_has_the_lowest_expectation():
    """A pixel that is -1/2 or 1/2: draws of both are better than of either, of their mean, and of a wider spread."""
    generator = torch.Generator().manual_seed(1)
    n, coins = 20_000, lambda *shape: torch.randint(0, 2, shape, generator=generator).double() - 0.5
    x, true = coins(n, 1, 1, 1), coins(10, n, 1, 1, 1)
    expected = {
        name: energy_distance(x, samples).mean().item()
        for name, samples in {
            "true": true, "mean": 0 * true, "one": 0 * true + 0.5, "wide": 2 * true, "narrow": 0.5 * true,
        }.items()
    }  # fmt: skip
    assert min(expected, key=expected.get) == "true"
