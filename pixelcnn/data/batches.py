"""Assigns images to batches in training and evaluation, for any number of devices.

An *order* maps the number of a batch to the places of its images. A loader here is
``DataLoader(IndexedBatches(at, order), batch_size=None)``: an item is a whole batch, by indexing the arrays once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

Batch = dict[str, Tensor]

# Purposes of random generators, which keep draws from one seed independent.
HELD_OUT, INITIALISATION, ORDER, AUGMENTATION, BINARIZATION = 1, 2, 3, 4, 5

SHARDS_AT_ONCE = 16  # whose images are shuffled together


def batch_at(places: np.ndarray, columns: Mapping[str, np.ndarray]) -> Batch:
    """The rows at ``places`` int64 (B,) of every array, as contiguous tensors, and ``index``, the places themselves."""
    # Indexing a transposed view keeps its memory order, which convolutions would inherit.
    rows = {name: np.ascontiguousarray(column[places]) for name, column in columns.items()}
    return {name: torch.from_numpy(row) for name, row in {**rows, "index": places}.items()}


class TrainingOrder:
    """Training batches, numbered from the run's start without end.

    With n whole batches in an epoch, batch t is the (t mod n)-th stretch of the permutation for epoch t // n, which
    ``seed`` determines. Each device takes its share of the batch. Images left over in a permutation are dropped.
    """

    def __init__(
        self,
        places: np.ndarray,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        shard_size: int | None = None,
    ) -> None:
        """``places`` int64 (N,) with N >= ``batch_size``, a multiple of ``world_size`` (all devices together).

        With ``shard_size``, shards of that many successive places are permuted, and the images of each SHARDS_AT_ONCE
        shards are shuffled together: images read at about the same time are stored near each other.
        """
        assert len(places) >= batch_size and batch_size % world_size == 0
        self.places = places
        self.batch_size = batch_size
        self.seed = seed
        self.share = batch_size // world_size
        self.first = rank * self.share
        self.shard_size = shard_size
        self._epoch = -1
        self._permutation = places

    def __len__(self) -> int:
        """Batches in an epoch; numbers continue beyond."""
        return len(self.places) // self.batch_size

    def __getitem__(self, number: int) -> np.ndarray:
        epoch, batch = divmod(number, len(self))
        if epoch != self._epoch:
            self._permutation = self._shuffled(epoch)
            self._epoch = epoch
        start = batch * self.batch_size + self.first
        return self._permutation[start : start + self.share]

    def _shuffled(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng((self.seed, ORDER, epoch))
        if self.shard_size is None:
            return rng.permutation(self.places)
        shards = np.split(self.places, np.arange(self.shard_size, len(self.places), self.shard_size))
        order = rng.permutation(len(shards))
        windows = np.split(order, np.arange(SHARDS_AT_ONCE, len(order), SHARDS_AT_ONCE))
        return np.concatenate([rng.permutation(np.concatenate([shards[k] for k in window])) for window in windows])


def evaluation_order(places: np.ndarray, batch_size: int, rank: int = 0, world_size: int = 1) -> list[np.ndarray]:
    """All images once: consecutive chunks of ``places`` of at most ``batch_size // world_size``, dealt to the devices.

    Chunks are as equal as possible, and all devices get equally many, because collective operations wait for every
    device. Only if there are fewer images than chunks do the last devices have one chunk less.
    """
    assert batch_size % world_size == 0
    rounds = -(-len(places) // batch_size)
    chunks = np.array_split(places, rounds * world_size)
    return [chunk for chunk in chunks[rank::world_size] if len(chunk)]


class IndexedBatches(Dataset[Batch]):
    """The batches of an order, by their numbers."""

    def __init__(
        self,
        at: Callable[[np.ndarray], Batch],
        order: TrainingOrder | Sequence[np.ndarray],
        *changes: Callable[[Batch, int], Batch],
    ) -> None:
        """``at`` returns the images at places int64 (B,); ``changes`` augments a batch for an epoch."""
        self.at = at
        self.order = order
        self.changes = changes

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, number: int) -> Batch:
        batch = self.at(self.order[number])
        for change in self.changes:
            batch = change(batch, number // len(self.order))
        return batch


class FromPosition(Sampler[int]):
    """The numbers of the ``length`` batches from number ``position()`` on.

    ``position`` is called whenever a pass begins, so it does not matter how often a loader is iterated, how far its
    workers read ahead or where a pass was broken off. A pass that begins in mid-epoch continues into the next epoch.
    """

    def __init__(self, position: Callable[[], int], length: int) -> None:
        self.position = position
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        start = self.position()
        return iter(range(start, start + self.length))
