"""Training throughput: images/s, and the fraction of the machine's peak."""

import time
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from pixelcnn.training.arithmetic import matmul_peak
from pixelcnn.training.module import DensityEstimation

# Logged values, which differ between runs with the same seed.
TIMED = ("train/images_per_second", "train/tflops", "train/share_of_matmul_peak")
DTYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class Throughput(Callback):
    """Logs ``train/images_per_second`` over all devices, since the last logged step.

    Also ``train/tflops``, the corresponding 10^12 FLOP/s of the network's convolutions, and
    ``train/share_of_matmul_peak``, their fraction of the devices' peak matmul throughput in the run's precision,
    measured when training starts. Time spent on validation, samples and checkpoints does not count.
    """

    def __init__(self) -> None:
        self._restart()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, DensityEstimation)
        self._flops = pl_module.flops_of_an_image
        dtype = DTYPES.get(str(trainer.precision), torch.float32)
        peak = torch.tensor(matmul_peak(pl_module.device, dtype), device=pl_module.device)
        self._peak = float(trainer.strategy.reduce(peak, reduce_op="sum"))
        self._restart()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stale = True

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self._stale:
            self._restart()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, DensityEstimation)
        self._images += len(pl_module.dictionary(batch)["images"]) * trainer.world_size
        images_per_second = self._images / (time.monotonic() - self._since)
        flops_per_second = images_per_second * self._flops
        values = (images_per_second, flops_per_second / 1e12, flops_per_second / self._peak)
        for name, value in zip(TIMED, values, strict=True):
            pl_module.log_number(name, value)
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        self._stale = every > 0 and trainer.global_step % every == 0

    def _restart(self) -> None:
        self._images = 0
        self._since = time.monotonic()
        self._stale = False
