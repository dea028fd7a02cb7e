"""Benchmark loading: synthetic images of small_imagenet's size, against the training speed of the paper's model.

    python -m bench.loading                      1,281,167 images of 32x32, 3.9 GB under --folder, removed afterwards
    python -m bench.loading --images 100000 --workers 0

Images are converted, opened, and loaded in shuffled batches by the code that training uses. "Starts in mid-epoch" is
the time to the first batch of a run resumed there. Memory is that of two processes that have both read all images:
Linux shares the mapped pages, so each is charged half (its proportional set size). The model's step is forward and
backward on four images without the optimiser, so its images/s are overstated, if anything.
"""

import argparse
import multiprocessing
import os
import platform
import re
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.measuring import seconds
from bench.sampling import papers_model
from pixelcnn.data.base import ImageArrays, ImageDataModule
from pixelcnn.data.conversion import open_converted
from pixelcnn.data.processes import cores

PART = 4096


@dataclass(frozen=True)
class RandomPart:
    """Random images, the same for a seed."""

    count: int
    resolution: int
    seed: int

    def __len__(self) -> int:
        return self.count

    def read(self) -> tuple[np.ndarray, None]:
        """uint8 (N, 3, H, W)."""
        size = (self.count, 3, self.resolution, self.resolution)
        return np.random.default_rng(self.seed).integers(0, 256, size, dtype=np.uint8), None


class RandomImages(ImageDataModule):
    """``count`` random images, converted in ``folder``."""

    def __init__(self, folder: Path, count: int, resolution: int, **loading: Any) -> None:
        super().__init__(**loading)
        self.folder, self.count, self.resolution = folder, count, resolution

    def load(self, split: str) -> ImageArrays:
        """The same images for every split."""
        return open_converted(self.folder / "train", self._parts, (3, self.resolution, self.resolution), labelled=False)

    def _parts(self) -> list[RandomPart]:
        return [
            RandomPart(min(PART, self.count - start), self.resolution, start) for start in range(0, self.count, PART)
        ]


def first_batch(data: ImageDataModule, number: int) -> float:
    """Seconds to batch ``number`` of a run, with everything opened from scratch."""
    start = time.perf_counter()
    data.setup("fit")
    batch = data.train_dataloader().dataset[number]
    assert len(batch["images"]) == data.batch_size
    return time.perf_counter() - start


def images_per_second(data: ImageDataModule, most: float) -> float:
    """Over an epoch of shuffled batches, or ``most`` seconds of it."""
    data.setup("fit")
    start, count = time.perf_counter(), 0
    for batch in data.train_dataloader():
        count += len(batch["images"])
        if time.perf_counter() - start > most:
            break
    return count / (time.perf_counter() - start)


def images_consumed_per_second(batch: int = 4) -> float:
    """By training the paper's model."""
    model = papers_model(num_filters=160, num_resnet_blocks=5).train()
    images = torch.randint(0, 256, (batch, 3, 32, 32)).to(torch.uint8)

    def step() -> None:
        model.log_prob(images).sum().backward()

    return batch / min(seconds(step, images.device) for _ in range(2))


def mapped_memory(data: ImageDataModule, ready: Barrier, results: "multiprocessing.Queue[list[float]]") -> None:
    """Put GB resident and GB charged of the images' map once all processes have read all images."""
    images = data.arrays("train").images
    for start in range(0, len(images), PART):
        images[start : start + PART].max()
    ready.wait()
    report = Path("/proc/self/smaps").read_text()
    [of_images] = re.findall(r"images\.npy\n.*?Rss: +(\d+) kB\nPss: +(\d+) kB", report, re.DOTALL)
    results.put([int(kilobytes) * 1024 / 1e9 for kilobytes in of_images])
    ready.wait()


def memory_of_two(data: ImageDataModule) -> list[list[float]]:
    """`mapped_memory` of two processes, each of which opens the images itself."""
    ready = multiprocessing.Barrier(2)
    results: multiprocessing.Queue[list[float]] = multiprocessing.Queue()
    processes = [multiprocessing.Process(target=mapped_memory, args=(data, ready, results)) for _ in range(2)]
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return found


def main() -> None:
    """Print one row per measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_281_167)
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--seconds", type=float, default=20, help="seconds to measure each loader at most")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="on the disk to measure")
    arguments = parser.parse_args()
    threads = f"{torch.get_num_threads()} threads, {cores()} cores"
    print(f"{platform.processor() or platform.machine()}, {threads}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:

        def data(workers: int = 0) -> RandomImages:
            sizes = {"batch_size": arguments.batch, "val_size": 0, "num_workers": workers, "seed": 0}
            return RandomImages(Path(folder), arguments.images, arguments.resolution, **sizes)

        start = time.perf_counter()
        data().setup("fit")
        print(f"converting {arguments.images:,} images      {time.perf_counter() - start:9.1f} s")
        print(f"opening, to the first batch       {first_batch(data(), 0):9.2f} s")
        print(f"starts in mid-epoch               {first_batch(data(), 7 * data().batches_per_epoch // 2):9.2f} s")
        rates = {workers: images_per_second(data(workers), arguments.seconds) for workers in arguments.workers}
        if os.path.exists("/proc/self/smaps"):
            for resident, charged in memory_of_two(data()):
                print(f"of two processes, one has mapped  {resident:9.2f} GB, is charged {charged:.2f} GB")
    consumed = images_consumed_per_second()
    print(f"the paper's model consumes        {consumed:9.2f} images/s")
    for workers, rate in rates.items():
        print(
            f"shuffled batches, {workers:2d} workers      {rate:9,.0f} images/s, {rate / consumed:9,.0f}x", flush=True
        )


if __name__ == "__main__":
    main()
