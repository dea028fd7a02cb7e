"""The base of data sets: a Lightning data module that makes batches of the arrays of its splits."""

import logging
import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch.utils.data import DataLoader, Sampler, SequentialSampler

from pixelcnn.data.augmentation import Augmentation
from pixelcnn.data.batches import (
    HELD_OUT,
    INITIALISATION,
    Batch,
    FromPosition,
    IndexedBatches,
    TrainingOrder,
    evaluation_order,
)
from pixelcnn.data.image_arrays import ImageArrays
from pixelcnn.data.loading_workers import Loader, in_shared_memory, leave_signals_to_the_run
from pixelcnn.errors import UserError, require
from pixelcnn.image_shape import MOST_LEVELS, ImageShape

log = logging.getLogger(__name__)

WORKERS_PER_CORE = 16  # more only take memory and processes


class ImageDataModule(LightningDataModule):
    """Makes batches of the images that ``load`` returns; your own data set implements only ``load``.

    A batch is a dictionary: ``images`` (B, C, H, W), uint8, or int32 above 256 levels; ``index`` int64 (B,), the
    images' places in the arrays of their split; and ``labels``, ``embeddings``, ``maps`` and ``coarse`` if the set has
    them.

    Arguments are checked here, and again when the images are known; UserError names the key. A trainer needs
    ``use_distributed_sampler=False``; without one, batches are for a single device.
    """

    def __init__(
        self,
        batch_size: int,
        val_size: int,
        num_workers: int,
        seed: int,
        levels: int | None = None,
        flip: bool = False,
        mutate: float = 0.0,
        shard_size: int | None = None,
        binarize: Literal["threshold", "fixed", "dynamic"] | None = None,
    ) -> None:
        """``batch_size`` is over all devices together; ``val_size`` training images are held out, chosen by ``seed``.

        ``val_size=0`` validates on the test set, as the original did; the log then says so. ``levels`` reduces the bit
        depth of all images (`ImageArrays.with_levels`); ``flip`` and ``mutate`` change training batches only
        (`Augmentation`). For ``shard_size`` see `TrainingOrder`, for ``binarize`` `Binarization`.
        """
        super().__init__()
        for key, value, least in (
            ("data.batch_size", batch_size, 1),
            ("data.val_size", val_size, 0),
            ("data.num_workers", num_workers, 0),
            ("data.seed", seed, 0),
        ):
            require(isinstance(value, int) and value >= least, key, value, f"use a whole number, {least} or more")
        cores = os.cpu_count() or 1
        remedy = f"use at most {WORKERS_PER_CORE * cores}, {WORKERS_PER_CORE} for each core of this machine"
        require(num_workers <= WORKERS_PER_CORE * cores, "data.num_workers", num_workers, remedy)
        require(seed < 2**32, "data.seed", seed, "use a number up to 4294967295")
        require(levels is None or 2 <= levels <= MOST_LEVELS, "data.levels", levels, f"use 2 to {MOST_LEVELS}")
        require(0 <= mutate <= 1, "data.mutate", mutate, "use a probability from 0 to 1")
        require(shard_size is None or shard_size >= 1, "data.shard_size", shard_size, "use a whole number, 1 or more")
        self.batch_size = batch_size
        self.val_size = val_size
        self.num_workers = num_workers
        self.seed = seed
        self.levels = levels
        self.flip = flip
        self.mutate = mutate
        self.shard_size = shard_size
        self.binarize = binarize
        self._loaded: dict[str, ImageArrays] = {}

    def load(self, split: str) -> ImageArrays:
        """Return all images of ``split``, "train" or "test"; called once for each that is needed."""
        raise NotImplementedError

    def where(self) -> str:
        """Where the images are, without reading them; raises UserError, with how to get them, if they are missing."""
        return f"made by {type(self).__module__}.{type(self).__qualname__}"

    def setup(self, stage: str) -> None:
        """Load what ``stage`` ("fit", "validate" or "test") needs; idempotent."""
        if stage == "fit":
            count = len(self._places("train"))
            remedy = f"data.val_size={self.val_size} leaves {count} training images; use at most that many"
            require(self.batch_size <= count, "data.batch_size", self.batch_size, remedy)
        if stage in ("fit", "validate"):
            self._places("val")
        if stage == "test":
            self._places("test")

    def arrays(self, split: str) -> ImageArrays:
        """The arrays of ``split``, "train" or "test", loaded on first use."""
        if split not in self._loaded:
            loaded = self.load(split).with_levels(self.levels).binarized(self.binarize, self.seed, split)
            shape = loaded.shape
            if self._loaded and shape != self.shape:
                raise UserError(
                    f"The {split} images are {shape} but the others are {self.shape}: "
                    "prepare both splits of the data set alike."
                )
            for others in self._loaded.values():
                _require_same_features(split, loaded, others)
            self._loaded[split] = loaded
        return self._loaded[split]

    @property
    def shape(self) -> ImageShape:
        """Channels, size and levels of the images, known after ``setup``."""
        assert self._loaded, "call setup first"
        return next(iter(self._loaded.values())).shape

    @property
    def num_classes(self) -> int | None:
        """Largest label of the splits loaded so far, plus one; None without labels. Known after ``setup``."""
        assert self._loaded, "call setup first"
        largest = [int(arrays.labels.max()) for arrays in self._loaded.values() if arrays.labels is not None]
        return max(largest) + 1 if len(largest) == len(self._loaded) else None

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names of the labels 0, 1, …, if the data set has them. Known after ``setup``."""
        assert self._loaded, "call setup first"
        return next(iter(self._loaded.values())).class_names

    @property
    def condition_sizes(self) -> dict[str, int]:
        """The size of each kind of condition that all loaded splits have, by its name in a batch: the number of classes
        for labels, of codes for coarse codes, of features for embeddings and maps. Known after ``setup``.
        """
        sizes = {} if self.num_classes is None else {"labels": self.num_classes}
        codes = [arrays.num_codes for arrays in self._loaded.values()]
        sizes |= {} if None in codes else {"coarse": max(filter(None, codes))}
        first, *others = (arrays.num_features for arrays in self._loaded.values())
        return sizes | {name: d for name, d in first.items() if all(name in other for other in others)}

    @property
    def val_is_test(self) -> bool:
        """Whether no training images are held out and validation uses the test set."""
        return self.val_size == 0

    @property
    def num_training_images(self) -> int:
        """Images to train on, without those held out."""
        return len(self._places("train"))

    def num_images_of(self, part: str) -> int:
        """Images of ``part`` ("train" without the held-out ones, "val", "test")."""
        return len(self._places(part))

    @property
    def batches_per_epoch(self) -> int:
        """Whole batches of training images; the images left over in an epoch are dropped."""
        return self.num_training_images // self.batch_size

    def require_shares(self, devices: int) -> None:
        """Raise UserError unless this many devices can share a batch."""
        remedy = f"use a multiple of {devices}, the number of devices"
        require(self.batch_size % devices == 0, "data.batch_size", self.batch_size, remedy)

    def initialisation_batch(self, size: int) -> Batch:
        """A batch of ``size`` training images, chosen by the seed alone: the same for any batch size and devices."""
        places = self._places("train")
        remedy = f"use a whole number from 1 to {len(places)}, the number of training images"
        require(1 <= size <= len(places), "initialisation.size", size, remedy)
        chosen = np.random.default_rng((self.seed, INITIALISATION)).choice(places, size, replace=False)
        return self.arrays("train").at(chosen)

    def first(self, part: str, n: int) -> Batch:
        """A batch of the first n images of ``part`` ("train", "val" or "test"), or of all if there are fewer."""
        return self.arrays(self._split(part)).at(self._places(part)[:n])

    def at(self, part: str, index: np.ndarray) -> Batch:
        """The images of ``part`` whose ``index`` in a batch is ``index``, int64 (N,)."""
        return self.arrays(self._split(part)).at(index)

    def evenly_spaced(self, part: str, most: int) -> np.ndarray:
        """The ``index``, int64 (N,), of up to ``most`` images of ``part``, including the first and the last."""
        places = self._places(part)
        count = min(most, len(places))
        return places[np.arange(count) * (len(places) - 1) // max(count - 1, 1)]

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled training images; a resumed run continues after the last batch it trained on."""
        rank, world_size = self._device()
        self.require_shares(world_size)
        order = TrainingOrder(self._places("train"), self.batch_size, self.seed, rank, world_size, self.shard_size)
        arrays, changes = self.arrays("train"), list[Callable[[Batch, int], Batch]]()
        if arrays.binarization is not None and self.binarize == "dynamic":
            changes.append(arrays.binarization.in_training)
            arrays = replace(arrays, binarization=None)
        if self.flip or self.mutate:
            changes.append(Augmentation(self.seed, self.shape.levels, self.flip, self.mutate))
        batches = IndexedBatches(arrays.at, order, *changes)
        return self._loader(batches, FromPosition(self._batches_trained, len(order)))

    def val_dataloader(self) -> DataLoader[Batch]:
        """The held-out training images, or with ``val_size=0`` the test set."""
        if self.val_is_test:
            rank_zero_only(log.warning)(
                "data.val_size=0: validation uses the test set, as the original did, so best.ckpt is selected on it."
            )
        return self.evaluation_dataloader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """The test set."""
        return self.evaluation_dataloader("test")

    def evaluation_dataloader(self, part: str) -> DataLoader[Batch]:
        """Every image of ``part`` ("train" without the held-out ones, "val", "test") once, over all devices."""
        rank, world_size = self._device()
        places = self._places(part)
        if len(places) < world_size:
            raise UserError(
                f"The {part} set's {len(places)} images are fewer than trainer.devices={world_size}: use fewer devices."
            )
        per_device = -(-self.batch_size // world_size)
        order = evaluation_order(places, per_device * world_size, rank, world_size)
        batches = IndexedBatches(self.arrays(self._split(part)).at, order)
        return self._loader(batches, SequentialSampler(batches))

    def _loader(self, batches: IndexedBatches, numbers: Sampler[int]) -> DataLoader[Batch]:
        # Lightning cannot know that these loaders resume exactly and, indexing whole batches, need no workers.
        warnings.filterwarnings("ignore", "You're resuming from a checkpoint that ended before the epoch ended")
        warnings.filterwarnings("ignore", ".*does not have many workers which may be a bottleneck")
        return Loader(
            batches,
            sampler=numbers,
            batch_size=None,
            collate_fn=in_shared_memory,  # type: ignore[arg-type]
            num_workers=self.num_workers,
            worker_init_fn=leave_signals_to_the_run,
            # Without its own generator a loader draws its workers' seed from torch's global one, once per pass, and
            # the model's dropout would depend on how often the run was interrupted.
            generator=torch.Generator().manual_seed(self.seed),
        )

    def _split(self, part: str) -> str:
        return "test" if part == "test" or (part == "val" and self.val_is_test) else "train"

    def _places(self, part: str) -> np.ndarray:
        """int64: the indices of ``part``'s images in the arrays of its split, ascending."""
        split = self._split(part)
        count = len(self.arrays(split).images)
        if split == "test":
            return np.arange(count)
        remedy = f"hold out fewer than the {count} training images, such as data.val_size={count // 10}"
        require(self.val_size < count, "data.val_size", self.val_size, remedy)
        shuffled = np.random.default_rng((self.seed, HELD_OUT)).permutation(count)
        return np.sort(shuffled[: self.val_size] if part == "val" else shuffled[self.val_size :])

    def _device(self) -> tuple[int, int]:
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size

    def _batches_trained(self) -> int:
        """Batches that the run has trained on since it began, including those before interruptions.

        Lightning stores this count in its checkpoints and restores it before a loader is first iterated. Its counts of
        epochs and within the epoch do not work: at the end of an epoch they depend on the hook in which the checkpoint
        was saved, and a run stopped by ``max_steps`` counts its unfinished epoch as finished.
        """
        if self.trainer is None:
            return 0
        return self.trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]


def _require_same_features(split: str, arrays: ImageArrays, others: ImageArrays) -> None:
    for name, features in arrays.num_features.items():
        if features != others.num_features.get(name, features):
            raise UserError(
                f"The {split} images' `{name}` have {features} features but those of the other split have "
                f"{others.num_features[name]}: prepare both splits of the data set alike."
            )
