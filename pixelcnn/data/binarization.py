"""``data.binarize``: images of two levels from grey values, as in the literature on binary MNIST."""

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
    """A value v of ``levels`` becomes 1 with probability v / (levels - 1), or with ``threshold`` if in the upper half.

    ``fixed`` draws once per image (Salakhutdinov and Murray 2008), determined by its split and place alone. ``dynamic``
    draws again in each epoch of training (Burda et al. 2015), by the seed too; for other images it is ``fixed``.
    """

    kind: Kind
    seed: int
    split: str  # one of SPLITS
    levels: int

    def __call__(self, images: Tensor, places: np.ndarray, epoch: int | None = None) -> Tensor:
        """``images``, integers (B, C, H, W) at ``places`` int64 (B,) of the split, as uint8 of 0 and 1.

        ``epoch``: of training, None otherwise.
        """
        if self.kind == "threshold":
            return (2 * images.int() > self.levels - 1).to(torch.uint8)
        # Fixed draws do not use the seed, so runs with different seeds score the same images.
        seed, draw = (0, 0) if epoch is None or self.kind == "fixed" else (self.seed, 1 + epoch)
        key = (seed, BINARIZATION, SPLITS.index(self.split), draw)
        size = images.shape[1:]
        coins = np.stack([np.random.default_rng((*key, place)).random(size) for place in places.tolist()])
        return (torch.from_numpy(coins) * (self.levels - 1) < images).to(torch.uint8)

    def in_training(self, batch: Batch, epoch: int) -> Batch:
        """``batch`` of grey images as it is trained on in ``epoch``, 0 for the first."""
        return {**batch, "images": self(batch["images"], batch["index"].numpy(), epoch)}
