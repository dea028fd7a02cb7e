"""Random augmentation of training images: horizontal flips, and sub-pixels replaced by uniform levels."""

from dataclasses import dataclass

import numpy as np
import torch

from pixelcnn.data.batches import AUGMENTATION, Batch
from pixelcnn.image_shape import array_type


@dataclass(frozen=True)
class Augmentation:
    """Changes training batches by draws from ``seed``, the epoch and each image's ``index`` alone.

    So a resumed run sees the same images as an uninterrupted one, whatever the batch size, devices and workers.
    """

    seed: int
    levels: int
    flip: bool = False  # images, and maps and codes with them, with probability 1/2
    mutate: float = 0.0  # the probability that a sub-pixel is replaced (Ren et al. 2019, for background models)

    def __call__(self, batch: Batch, epoch: int) -> Batch:
        """``batch`` as it is trained on in ``epoch``, 0 for the first."""
        draws = [np.random.default_rng((self.seed, AUGMENTATION, epoch, place)) for place in batch["index"].tolist()]
        flipped = torch.tensor([draw.random() < 1 / 2 for draw in draws])
        changed = dict(batch)
        if self.flip:
            for name in {"images", "maps", "coarse"} & batch.keys():
                of_each = flipped.view(-1, *[1] * (batch[name].ndim - 1))
                changed[name] = torch.where(of_each, batch[name].flip(-1), batch[name])
        if self.mutate:
            size = batch["images"].shape[1:]
            replaced = torch.from_numpy(np.stack([draw.random(size, np.float32) < self.mutate for draw in draws]))
            values = np.stack([draw.integers(0, self.levels, size, array_type(self.levels)) for draw in draws])
            images = changed["images"]
            changed["images"] = torch.where(replaced, torch.from_numpy(values).to(images.dtype), images)
        return changed
