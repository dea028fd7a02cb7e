"""Maximum likelihood training of a pixel model (section 3 of the PixelCNN++ paper)."""

import logging
import math
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from pixelcnn.checkpoint import entry
from pixelcnn.model import PixelModel
from pixelcnn.training.adam import OriginalAdam
from pixelcnn.training.metrics import BitsPerDim
from pixelcnn.training.nonfinite import all_finite, with_bad_gradient_if_not_finite

log = logging.getLogger(__name__)

Batch = dict[str, Tensor]


class DensityEstimation(LightningModule):
    """Minimises -log p(images | condition) of ``model`` by Adam.

    Step k = 0, 1, ... uses the learning rate ``lr * lr_decay ** (k + 1)``. ``seed`` and a batch's place in the run
    determine its dropout masks. ``config`` is stored in checkpoints for the record: plain containers and values only.
    ``epsilon_inside_root`` takes the original's formula of Adam.

    A step whose loss or gradient is not finite on any rank is skipped on all: weights, Adam's state, averaged weights
    and learning rate stay as they are. ``skipped_steps`` counts them over the whole run; ``global_step`` does so too.
    """

    def __init__(
        self,
        model: PixelModel,
        lr: float,
        betas: tuple[float, float],
        lr_decay: float,
        seed: int,
        config: dict[str, Any],
        epsilon_inside_root: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.lr = lr
        self.betas = betas
        self.lr_decay = lr_decay
        self.adam = OriginalAdam if epsilon_inside_root else Adam
        self.seed = seed
        self.config = config
        self.val_bits_per_dim = BitsPerDim()
        self.skipped_steps = 0
        self.skipped_last_step = False

    def log_prob(self, batch: Batch) -> Tensor:
        """log p(images | condition) of a data set's batch, float32 (N,) in nats."""
        return self.model.log_prob(batch["images"], self.model.condition_in(batch))

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        # A seed per batch makes dropout resumable: no generator's state has to survive in a checkpoint.
        batches_before = self.trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]
        place = np.random.SeedSequence((self.seed, batches_before, self.global_rank))
        torch.manual_seed(int(place.generate_state(1, np.uint64)[0]))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        log_prob = self.log_prob(batch)
        nats = -log_prob.sum()
        bits_per_dim = nats.detach() / (math.log(2) * batch["images"].numel())
        self.log("train/bits_per_dim", bits_per_dim, prog_bar=True, sync_dist=True)
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"])
        # The loss is the sum over the global batch, as the original's, whose gradients dwarf Adam's epsilon:
        # undo that gradients are averaged over devices and over accumulated batches.
        return with_bad_gradient_if_not_finite(nats * (self.trainer.world_size * self.trainer.accumulate_grad_batches))

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self.skipped_last_step = not all_finite([p.grad for p in parameters if p.grad is not None])
        if self.skipped_last_step:
            self.skipped_steps += 1
            optimizer.zero_grad(set_to_none=True)  # Adam leaves alone what has no gradient
            step = self.trainer.global_step
            rank_zero_only(log.warning)("Step %d is skipped: its loss or gradient is not finite.", step)
        self.log("train/skipped_steps", float(self.skipped_steps))

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        if not self.skipped_last_step:
            super().lr_scheduler_step(scheduler, metric)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.val_bits_per_dim.update(self.log_prob(batch), batch["images"][0].numel())
        self.log("val/bits_per_dim", self.val_bits_per_dim, prog_bar=True)

    def configure_optimizers(self) -> Any:
        optimizer = self.adam(self.model.parameters(), lr=self.lr, betas=self.betas)
        schedule = LambdaLR(optimizer, lambda step: self.lr_decay ** (step + 1))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["pixelcnn"] = entry(self.model, self.config)
        checkpoint["skipped_steps"] = self.skipped_steps

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.skipped_steps = checkpoint.get("skipped_steps", 0)  # 0 in those of before it was counted
