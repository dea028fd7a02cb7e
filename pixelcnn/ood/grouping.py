"""Reduce the map of a score to one number per image, or per batch of images."""

import numpy as np
from torch import Tensor


def of_images(maps: Tensor) -> Tensor:
    """The score of each image: the mean over its map, float64 (N,); maps: (N, …), or the scores themselves, (N,)."""
    return maps.double().flatten(1).mean(dim=1) if maps.ndim > 1 else maps.double()


def of_batches(
    scores: np.ndarray, batch: int = 1, two_sided: bool = False, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The mean score of each batch of ``batch`` images of one set, or with ``two_sided`` its absolute value.

    scores: float64 (N,). Returns the scores of the batches, (N // batch,), and the batch of each image, int64 (N,), -1
    for images left over. Batches of more than one are shuffled by ``seed``, because a set may be sorted by class.
    """
    count = len(scores) // batch
    order = np.arange(len(scores)) if batch == 1 else np.random.default_rng(seed).permutation(len(scores))
    members = order[: count * batch].reshape(count, batch)
    of_image = np.full(len(scores), -1, np.int64)
    of_image[members] = np.arange(count)[:, None]
    means = scores[members].mean(axis=1)
    return np.abs(means) if two_sided else means, of_image
