"""``data.binarize``: images of two levels from grey values, as the literature on binary MNIST has them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pixelcnn.data.batches import BINARIZATION, Batch

Kind = Literal["threshold", "fixed", "dynamic"]
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Binarization:
    """A value v of ``levels`` becomes 1 with probability v / (levels - 1), else 0; by ``threshold``, in the upper half.

    ``fixed`` draws once for each image (Salakhutdinov and Murray 2008), by its split and its place alone. ``dynamic``
    draws afresh in each epoch of training (Burda et al. 2015), by the seed too, and is fixed otherwise.
    """

    kind: Kind
    seed: int
    split: str  # one of SPLITS
    levels: int

    def __call__(self, images: Tensor, places: np.ndarray, epoch: int | None = None) -> Tensor:
        """``images``, integers (B, C, H, W) at ``places`` int64 (B,) of the split, as uint8 of 0 and 1; ``epoch`` of
        training, None otherwise."""
        if self.kind == "threshold":
            return (2 * images.int() > self.levels - 1).to(torch.uint8)
        # Fixed coins have no seed, so that the scores of runs with other seeds are of the same images.
        seed, draw = (0, 0) if epoch is None or self.kind == "fixed" else (self.seed, 1 + epoch)
        key = (seed, BINARIZATION, SPLITS.index(self.split), draw)
        size = images.shape[1:]
        coins = np.stack([np.random.default_rng((*key, place)).random(size) for place in places.tolist()])
        return (torch.from_numpy(coins) * (self.levels - 1) < images).to(torch.uint8)

    def in_training(self, batch: Batch, epoch: int) -> Batch:
        """``batch`` of grey images as it is trained on in ``epoch``, 0 for the first."""
        return {**batch, "images": self(batch["images"], batch["index"].numpy(), epoch)}
