"""How often a training step synchronises with the GPU: once, to decide whether it is skipped."""

import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning import Callback, Trainer

from bench.gpu.waits import WaitsOfSteps
from bench.gpu.worker import Options, Report
from pixelcnn.data.base import ImageDataModule
from pixelcnn.data.image_arrays import ImageArrays
from pixelcnn.model import PixelModel
from pixelcnn.network import PixelCNNPP
from pixelcnn.optim import Adam, Muon, linear
from pixelcnn.training.ema import ExponentialMovingAverage
from pixelcnn.training.interruption import GracefulInterruption
from pixelcnn.training.lightning_internals import adapt
from pixelcnn.training.module import DensityEstimation
from pixelcnn.training.skip_limit import SkipLimit
from pixelcnn.training.throughput import Throughput

BATCHES, LOGGED = 8, 4  # an epoch, and each step of which a multiple is logged


class Noise(ImageDataModule):
    """Noise, with some of it held out."""

    def __init__(self) -> None:
        super().__init__(batch_size=4, val_size=4, num_workers=0, seed=0)

    def load(self, split: str) -> ImageArrays:
        images = np.random.default_rng(0).integers(256, size=(4 * BATCHES + 4, 3, 8, 8), dtype=np.uint8)
        return ImageArrays(images, levels=256)


def run(report: Report, options: Options) -> None:
    """Train a small model as `pixelcnn.tasks.train` does, by either optimiser, and count."""
    for name, optimizer in {"Adam": Adam, "Muon": partial(Muon, lr=0.01)}.items():
        waits = _trained(optimizer, options)
        within = {step for step in waits.of_step if step % LOGGED and step % BATCHES and step > 1}
        reads = {waits.of_step[step] for step in within}
        report.check(f"{name}: values read in steps that log nothing", reads == {1}, f"{sorted(reads)}")
        places = Counter(place for step in within for place in waits.places_of_step[step])
        most = max(len(waits.places_of_step[step]) for step in within)
        detail = ", ".join(f"{place} {count}x" for place, count in places.most_common())
        report.check(f"{name}: at most one wait in steps that log nothing", most <= 1, detail)
        logged = Counter(place for step in waits.of_step if step % LOGGED == 0 for place in waits.places_of_step[step])
        report.value(f"{name}: waits in steps that log", dict(logged))


def _trained(optimizer: Any, options: Options) -> WaitsOfSteps:
    network = partial(PixelCNNPP, num_filters=4, num_resnet_blocks=1, num_stages=2)
    module = DensityEstimation(PixelModel((3, 8, 8), network), optimizer, linear)
    waits, progress = WaitsOfSteps(), _progress()
    with tempfile.TemporaryDirectory() as folder:
        interruption = GracefulInterruption(Path(folder), "again")
        callbacks = [ExponentialMovingAverage(), SkipLimit(Path(folder)), Throughput(), *progress, interruption]
        trainer = Trainer(
            accelerator=options.device,
            devices=1,
            precision="bf16-mixed",
            callbacks=[*callbacks, waits],
            max_epochs=2,
            log_every_n_steps=LOGGED,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=bool(progress),  # Lightning's own reads values at every step
            enable_model_summary=False,
            use_distributed_sampler=False,
            default_root_dir=folder,
        )
        adapt(trainer)
        trainer.fit(module, Noise())
    return waits


def _progress() -> list[Callback]:
    """The line of a run, where rich is installed."""
    try:
        from pixelcnn.training.progress import RunProgress
    except ModuleNotFoundError:
        return []
    return [RunProgress()]
