"""The noise of an image is its own: uniform, independent between places, and the same in any batch."""

import numpy as np
import pytest
import torch
from scipy import stats

from pixelcnn.likelihood.dequantisation import dequantisation_noise


def random_images(n: int, levels: int, size: int = 4, channels: int = 3) -> torch.Tensor:
    return torch.randint(0, levels, (n, channels, size, size), generator=torch.Generator().manual_seed(0)).to(
        torch.uint8
    )


@pytest.mark.parametrize("levels", [2, 256])
def test_it_is_uniform_at_every_place(levels):
    noise = dequantisation_noise(random_images(4000, levels))
    assert noise.dtype == torch.float64 and noise.min() >= 0 and noise.max() < 1
    p_values = [stats.kstest(column, "uniform").pvalue for column in noise.flatten(1).T.numpy()]
    assert min(p_values) > 1e-4 and stats.kstest(p_values, "uniform").pvalue > 1e-3
    assert stats.kstest(noise.flatten().numpy(), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("levels", [2, 256])
def test_places_are_independent(levels):
    noise = dequantisation_noise(random_images(4000, levels)).flatten(1).numpy()
    correlation = np.corrcoef(noise.T)[np.triu_indices(noise.shape[1], 1)]
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)
    assert stats.kstest(correlation * np.sqrt(4000), "norm").pvalue > 1e-3
    # Neighbours jointly, which correlation alone would not tell.
    for a, b in ((0, 1), (0, 16), (5, 40)):
        cells = np.histogram2d(noise[:, a], noise[:, b], bins=8, range=[[0, 1], [0, 1]])[0]
        assert stats.chisquare(cells.ravel()).pvalue > 1e-4


def test_it_is_uniform_over_the_places_of_one_dull_image():
    for value in (0, 255):
        noise = dequantisation_noise(torch.full((1, 3, 32, 32), value, dtype=torch.uint8))
        assert stats.kstest(noise.flatten().numpy(), "uniform").pvalue > 1e-3
        assert len(noise.unique()) == noise.numel()


def test_the_batch_does_not_matter():
    images = random_images(7, 256)
    whole = dequantisation_noise(images)
    assert torch.equal(torch.cat([dequantisation_noise(part) for part in images.split(3)]), whole)
    assert torch.equal(dequantisation_noise(images.flip(0)).flip(0), whole)
    torch.manual_seed(5)
    assert torch.equal(dequantisation_noise(images), whole)
    assert torch.equal(dequantisation_noise(images.contiguous(memory_format=torch.channels_last)), whole)


def test_each_value_of_the_image_changes_all_of_its_noise():
    image = random_images(1, 256)
    before = dequantisation_noise(image)
    for place in range(image.numel()):
        other = image.clone()
        other.view(-1)[place] ^= 1
        difference = dequantisation_noise(other) - before
        assert (difference != 0).all() and abs(difference.mean()) < 0.3
    swapped = image.clone()
    swapped[0, 0, 0, 0], swapped[0, 0, 0, 1] = image[0, 0, 0, 1], image[0, 0, 0, 0]
    assert (dequantisation_noise(swapped) != before).all()


def test_it_is_what_it_was():
    """Scores of stored models rest on these numbers."""
    noise = dequantisation_noise(torch.tensor([0, 1, 254, 255], dtype=torch.uint8).view(1, 1, 2, 2))
    assert noise.flatten().mul(2**32).long().tolist() == [2965793651, 1664269498, 2192036581, 3607913302]
