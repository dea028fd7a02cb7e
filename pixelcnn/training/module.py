"""Training of a pixel model (section 3 of the PixelCNN++ paper)."""

import logging
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from pixelcnn.checkpoint import entry
from pixelcnn.model import PixelModel
from pixelcnn.training.adam import FusedAdam, OriginalAdam
from pixelcnn.training.memory_order import keep_order_of_parameters
from pixelcnn.training.metrics import LossPerDimension
from pixelcnn.training.nonfinite import gradient_norm, with_bad_gradient_if_not_finite
from pixelcnn.training.objective import MAXIMUM_LIKELIHOOD, Objective

log = logging.getLogger(__name__)

Batch = dict[str, Tensor]


class DensityEstimation(LightningModule):
    """Minimises ``objective``, by default -log p(images | condition) of ``model``, by Adam.

    Step k = 0, 1, ... uses the learning rate ``lr * lr_decay ** (k + 1)``. ``seed`` and a batch's place in the run
    determine its dropout masks and what the objective draws. ``config`` is stored in checkpoints for the record: plain
    containers and values only; so is ``fingerprint``, of the images. ``epsilon_inside_root`` takes the original's
    formula of Adam.

    A step whose loss or gradient is not finite on any rank is skipped on all: weights, Adam's state, averaged weights
    and learning rate stay as they are. ``skipped_steps`` counts them over the whole run; ``global_step`` does so too.

    What is logged: the score of the batch and of the validation images (`pixelcnn.scores`), of the latter by channel
    too; ``lr``; ``train/gradient_norm``, of the gradient of the loss summed over the batch of all devices, before any
    clipping; and beside all of them ``images``, how many training images the run has seen, repetitions included.
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
        objective: Objective = MAXIMUM_LIKELIHOOD,
        fingerprint: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.lr = lr
        self.betas = betas
        self.lr_decay = lr_decay
        self.adam = OriginalAdam if epsilon_inside_root else FusedAdam
        self.seed = seed
        self.config = config
        self.fingerprint = fingerprint
        self.objective = objective
        self.score_name = objective.score_name(model)
        self.val_score = LossPerDimension(objective.unit)
        parts = objective.channel_scores(model)
        self.val_channel_scores = nn.ModuleDict({name: LossPerDimension(objective.unit) for name in parts})
        self.skipped_steps = 0
        self.skipped_last_step = False

    @property
    def score_names(self) -> list[str]:
        """Under what names scores are logged, all the better the lower they are."""
        return [
            f"train/{self.score_name}",
            f"val/{self.score_name}",
            *(f"val/{name}" for name in self.val_channel_scores),
        ]

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        # A seed per batch makes dropout and other noise resumable: no generator's state has to survive in a checkpoint.
        place = np.random.SeedSequence((self.seed, self._batches_done, self.global_rank))
        torch.manual_seed(int(place.generate_state(1, np.uint64)[0]))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self.objective.losses(self.model, batch, noise_seed=None).sum()
        score = loss.detach() / (self.objective.unit * batch["images"].numel())
        self.log(f"train/{self.score_name}", score, prog_bar=True, sync_dist=True)
        self.log("images", torch.tensor(self.images_seen + self._batch_size, dtype=torch.float64))
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"])
        # The loss is the sum over the global batch, as the original's, whose gradients dwarf Adam's epsilon:
        # undo that gradients are averaged over devices and over accumulated batches.
        return with_bad_gradient_if_not_finite(loss * (self.trainer.world_size * self.trainer.accumulate_grad_batches))

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        norm = gradient_norm([p.grad for p in parameters if p.grad is not None])
        self.log("train/gradient_norm", norm)
        self.skipped_last_step = not norm.isfinite()
        if self.skipped_last_step:
            self.skipped_steps += 1
            optimizer.zero_grad(set_to_none=True)  # Adam leaves alone what has no gradient
            step = self.trainer.global_step
            rank_zero_only(log.warning)("Step %d is skipped: its loss or gradient is not finite.", step)
        self.log("train/skipped_steps", float(self.skipped_steps))

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        if not self.skipped_last_step:
            super().lr_scheduler_step(scheduler, metric)

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The losses of the batch's images by channel, (N, C), for callbacks."""
        losses = self.objective.losses_by_channel(self.model, batch, noise_seed=self.seed)
        self.val_score.update(losses.double().sum(dim=1), batch["images"][0].numel())
        self.log(f"val/{self.score_name}", self.val_score, prog_bar=True)
        of_channels = zip(
            self.val_channel_scores.items(), losses.unbind(dim=1), strict=False
        )  # none if it has no parts
        for (name, score), of_channel in of_channels:
            assert isinstance(score, LossPerDimension)
            score.update(of_channel, batch["images"][0, 0].numel())
            self.log(f"val/{name}", score)
        return losses

    def on_validation_epoch_end(self) -> None:
        # All ranks know it: there is nothing to reduce.
        images = torch.tensor(self.images_seen, dtype=torch.float64)
        self.log("images", images, sync_dist=True, rank_zero_only=True)

    @property
    def images_seen(self) -> int:
        """Training images of the batches that the run has trained on, over all devices, before interruptions too."""
        return self._batches_done * self._batch_size

    @property
    def _batches_done(self) -> int:
        # Checkpoints hold this count.
        return self.trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]

    @property
    def _batch_size(self) -> int:
        # Of all devices together.
        return self.trainer.datamodule.batch_size  # type: ignore[attr-defined]

    def configure_optimizers(self) -> Any:
        optimizer = self.adam(self.model.parameters(), lr=self.lr, betas=self.betas)
        keep_order_of_parameters(optimizer)
        schedule = LambdaLR(optimizer, lambda step: self.lr_decay ** (step + 1))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["pixelcnn"] = entry(self.model, self.config, self.fingerprint)
        checkpoint["skipped_steps"] = self.skipped_steps

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.skipped_steps = checkpoint.get("skipped_steps", 0)  # 0 in those of before it was counted
