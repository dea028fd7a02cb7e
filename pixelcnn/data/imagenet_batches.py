"""Small ImageNet of Chrabaszcz et al. 2017: ten pickled or .npz training batches and one of validation, with labels."""

import pickle
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pixelcnn.data.arrays import DAMAGED, fault
from pixelcnn.data.plain_pickle import PlainUnpickler
from pixelcnn.data.processes import in_processes
from pixelcnn.errors import UserError

NAMES = {"train": [f"train_data_batch_{number}" for number in range(1, 11)], "test": ["val_data"]}
CLASSES = 1000


@dataclass(frozen=True)
class BatchPart:
    """One batch file. Reading it takes the memory of its images: 0.4 GB for 32x32, 1.6 GB for 64x64.

    Pickles of protocol 2 store images as text and take two and a half times as much: 0.9 and 3.9 GB.
    """

    file: Path
    modified: int  # nanoseconds: a changed file of the same name is another source
    count: int
    resolution: int

    def __len__(self) -> int:
        return self.count

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """uint8 (N, 3, H, W), int64 (N,) from 0 (the files count from 1); UserError names what is wrong."""
        return read_batch(self.file, self.resolution)


def batch_source(root: Path, split: str) -> list[Path]:
    """The batch files of ``split`` under ``root``, in order; the .npz if a batch exists in both forms."""
    preferred = [root / f"{name}.npz" if (root / f"{name}.npz").is_file() else root / name for name in NAMES[split]]
    return [file for file in preferred if file.is_file()]


def batch_parts(root: Path, split: str, resolution: int) -> list[BatchPart]:
    """All batches of ``split``; reads each once to count its images. UserError names what is missing or damaged."""
    files = batch_source(root, split)
    missing = set(NAMES[split]) - {file.name.removesuffix(".npz") for file in files}
    if missing:
        first = min(missing, key=NAMES[split].index)
        raise UserError(f"data.root={root} has no {first} or {first}.npz: put all batches of the data set there.")
    counts = dict(in_processes(partial(_count, resolution), files))
    return [BatchPart(file, file.stat().st_mtime_ns, counts[k], resolution) for k, file in enumerate(files)]


def _count(resolution: int, file: Path) -> int:
    return len(read_batch(file, resolution)[0])


def read_batch(file: Path, resolution: int) -> tuple[np.ndarray, np.ndarray]:
    """As `BatchPart.read`; ``mean`` and whatever else the file holds is ignored."""
    data, labels = _stored(file)
    values = 3 * resolution**2
    if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != values or not len(data):
        raise UserError(
            f"{file} holds `data` of type {data.dtype} and shape {data.shape}, where data.resolution={resolution} asks "
            f"for uint8 of shape (N, {values}): set data.resolution or download the file again."
        )
    are_whole = labels.dtype.kind in "iu" and labels.shape == data.shape[:1]
    if not (are_whole and 1 <= labels.min() <= labels.max() <= CLASSES):
        raise UserError(
            f"{file} holds `labels` of type {labels.dtype} and shape {labels.shape} for {len(data)} images, not "
            f"as many whole numbers from 1 to {CLASSES}: download the file again."
        )
    return data.reshape(-1, 3, resolution, resolution), labels.astype(np.int64) - 1


def _stored(file: Path) -> list[np.ndarray]:
    """The arrays ``data`` and ``labels`` of a batch."""
    is_npz = file.suffix == ".npz"
    try:
        with open(file, "rb") as opened:
            stored = np.load(opened, allow_pickle=False) if is_npz else PlainUnpickler(opened, encoding="latin1").load()
            for name in ("data", "labels"):
                if name not in stored:
                    raise UserError(f"{file} holds no `{name}`: download it again.")
            return [np.asarray(stored[name]) for name in ("data", "labels")]
    # The last four are raised for damaged or forged pickles.
    except (*DAMAGED, pickle.UnpicklingError, AttributeError, LookupError, OverflowError, TypeError) as error:
        why = fault(error) if is_npz else error
        raise UserError(f"{file} cannot be read as plain arrays ({why}): download it again.") from error
