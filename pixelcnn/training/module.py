"""Training of a pixel model (section 3 of the PixelCNN++ paper)."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pixelcnn.checkpoint import entry
from pixelcnn.conditioning.several import by_key
from pixelcnn.execution import full_float32
from pixelcnn.model import PixelModel
from pixelcnn.objective import MaximumLikelihood, Objective
from pixelcnn.optim import Adam, build_optimizer, build_schedule, exponential
from pixelcnn.scores import per_image
from pixelcnn.training.arithmetic import training_flops
from pixelcnn.training.metrics import LossPerDimension
from pixelcnn.training.nonfinite import gradient_norm, with_bad_gradient_if_not_finite

log = logging.getLogger(__name__)

Batch = dict[str, Tensor]


class DensityEstimation(LightningModule):
    """Minimises ``objective``, by default -log p(images | condition) of ``model``.

    ``optimizer``: an optimiser's class or a partial of it, called with the model's parameters, in
    ``parameter_groups`` with their own options (`pixelcnn.optim.parameter_groups`). ``scheduler``: likewise, called
    with the optimiser and, if it has such an argument, the run's ``total_steps``; it is stepped after every optimiser
    step. None: a constant learning rate. Both default to the paper's. ``seed`` and a batch's number in the run
    determine its dropout masks and the objective's random numbers. ``config`` (plain containers and values only) and
    ``fingerprint`` (of the images) are stored in checkpoints for the record.

    Batches are dictionaries like those of the project's data sets, or images, or (images, condition).

    A step whose loss or gradient is not finite on any rank is skipped on all: weights, optimiser state, EMA weights
    and learning rate do not change. ``skipped_steps`` counts them over the whole run; ``global_step`` includes them.

    On GPUs, training steps use TF32 for float32 products. Validations, and what callbacks draw and score in them, use
    full float32, so that their scores equal those of ``task=evaluate``.

    Logged: the score of the batch and of the validation images (`pixelcnn.scores`), the latter by channel too; ``lr``;
    ``train/gradient_norm``, of the loss summed over the batch of all devices, before clipping; and with each of them
    ``images``, the number of training images seen, repetitions included.
    """

    def __init__(
        self,
        model: PixelModel,
        optimizer: Callable[..., Optimizer] = Adam,
        scheduler: Callable[..., LRScheduler] | None = exponential,
        objective: Objective | None = None,
        seed: int = 0,
        parameter_groups: Sequence[Mapping[str, Any]] = (),
        config: dict[str, Any] | None = None,
        fingerprint: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.parameter_groups = parameter_groups
        self.seed = seed
        self.config = config or {}
        self.fingerprint = fingerprint
        self.objective = objective = objective or MaximumLikelihood()
        self.score_name = objective.score_name(model)
        self.val_score = LossPerDimension(objective.unit)
        parts = objective.channel_scores(model)
        self.val_channel_scores = nn.ModuleDict({name: LossPerDimension(objective.unit) for name in parts})
        self.val_image_scores = nn.ModuleDict(
            {name: LossPerDimension(unit) for name, unit in per_image(self.score_name).items()}
        )
        self.skipped_steps = 0
        self.skipped_last_step = False
        self.between_steps = True  # of the optimiser, with no gradients accumulated
        self._latest_batch_size = 0
        # For DDP, which would otherwise broadcast these constants at every step.
        stored = self.state_dict()
        self._ddp_params_and_buffers_to_ignore = [name for name, _ in self.named_buffers() if name not in stored]

    @property
    def score_names(self) -> list[str]:
        """The names under which scores are logged; lower is better for all."""
        validated = (f"val/{name}" for name in (self.score_name, *self.val_channel_scores))
        return [f"train/{self.score_name}", *validated]

    @cached_property
    def flops_of_an_image(self) -> int:
        """`training_flops` of the model, cached: it takes as long as several small steps."""
        return training_flops(self.model)

    def dictionary(self, batch: Any) -> Batch:
        """Any data loader's batch, of images or (images, condition), in the form of the project's data sets."""
        if isinstance(batch, Mapping):
            return batch  # type: ignore[return-value]
        images, *condition = batch if isinstance(batch, list | tuple) else [batch]
        named = by_key(self.model.conditioning, condition[0]) if condition else {}
        return {**named, "images": images, "index": torch.arange(len(images))}

    def on_fit_start(self) -> None:
        full_float32(False)

    def on_validation_start(self) -> None:
        full_float32()

    def on_validation_end(self) -> None:
        full_float32(self.trainer.state.fn != TrainerFn.FITTING)

    def on_fit_end(self) -> None:
        full_float32()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        self.between_steps = False
        # A seed per batch makes dropout and other noise resumable without storing generator states.
        place = np.random.SeedSequence((self.seed, self._batches_done, self.global_rank))
        torch.manual_seed(int(place.generate_state(1, np.uint64)[0]))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        batch = self.dictionary(batch)
        self._latest_batch_size = len(batch["images"]) * self.trainer.world_size
        loss = self.objective.losses(self.model, batch, noise_seed=None).sum()
        score = loss.detach() / (self.objective.unit * batch["images"].numel())
        # Neither prog_bar, which reads it at every step, nor sync_dist, whose barrier blocks the host.
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(score)
        self.log(f"train/{self.score_name}", score / self.trainer.world_size)
        self.log_number("images", self.images_seen + self._batch_size)
        self.log_number("lr", self.trainer.optimizers[0].param_groups[0]["lr"])
        # The loss is summed over the global batch, as in the original, so that gradients are large compared with Adam's
        # epsilon: undo the averaging over devices and accumulated batches.
        return with_bad_gradient_if_not_finite(loss * (self.trainer.world_size * self.trainer.accumulate_grad_batches))

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self.between_steps = True
        norm = gradient_norm([p.grad for p in parameters if p.grad is not None])
        self.log("train/gradient_norm", norm)
        self.skipped_last_step = not norm.isfinite()  # the only GPU synchronisation of a step
        if self.skipped_last_step:
            self.skipped_steps += 1
            optimizer.zero_grad(set_to_none=True)  # optimisers skip parameters without gradients
            step = self.trainer.global_step
            rank_zero_only(log.warning)("Step %d is skipped: its loss or gradient is not finite.", step)
        self.log_number("train/skipped_steps", self.skipped_steps)

    def log_number(self, name: str, value: float) -> None:
        """Log a number known on the host. Lightning would copy a plain number to the GPU, and wait for it."""
        self.log(name, torch.tensor(value, dtype=torch.float64))

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        if not self.skipped_last_step:
            super().lr_scheduler_step(scheduler, metric)

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The losses of the batch's images by channel, (N, C), for callbacks."""
        batch = self.dictionary(batch)
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
        for name, score in self.val_image_scores.items():
            assert isinstance(score, LossPerDimension)
            score.update(losses.double().sum(dim=1), 1)
            self.log(f"val/{name}", score)
        return losses

    def on_validation_epoch_end(self) -> None:
        # The same on all ranks: there is nothing to reduce.
        images = torch.tensor(self.images_seen, dtype=torch.float64)
        self.log("images", images, sync_dist=True, rank_zero_only=True)

    @property
    def images_seen(self) -> int:
        """Training images seen by the run, over all devices, including those before interruptions."""
        return self._batches_done * self._batch_size

    @property
    def epochs_trained(self) -> int:
        """Whole epochs since the run began, including those before interruptions."""
        return self._batches_done // self._batches_per_epoch()

    @property
    def _batches_done(self) -> int:
        # Checkpoints hold this count.
        return self.trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]

    @property
    def _batch_size(self) -> int:
        # Over all devices. Without one of the project's data modules, the size of the latest batch.
        datamodule = getattr(self.trainer, "datamodule", None)
        return getattr(datamodule, "batch_size", self._latest_batch_size)

    def configure_optimizers(self) -> Any:
        optimizer, scheduler = self.optimizer_and_scheduler(self.total_steps)
        if scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def optimizer_and_scheduler(self, total_steps: int | None) -> tuple[Optimizer, LRScheduler | None]:
        """New ones, for a run of ``total_steps`` steps; None: unlimited."""
        optimizer = build_optimizer(self.make_optimizer, self.model, self.parameter_groups)
        if self.make_scheduler is None:
            return optimizer, None
        return optimizer, build_schedule(self.make_scheduler, optimizer, total_steps)

    @property
    def total_steps(self) -> int | None:
        """The optimiser steps of the whole run; None: unlimited."""
        trainer, limits = self.trainer, []
        if trainer.max_steps >= 0:
            limits.append(trainer.max_steps)
        if trainer.max_epochs is not None and trainer.max_epochs >= 0:
            limits.append(trainer.max_epochs * math.ceil(self._batches_per_epoch() / trainer.accumulate_grad_batches))
        return min(limits) if limits else None

    def _batches_per_epoch(self) -> int:
        # Not `trainer.estimated_stepping_batches`, which makes the loader before a resumed run's position is known.
        datamodule: Any = getattr(self.trainer, "datamodule", None)
        if not hasattr(datamodule, "batches_per_epoch"):
            self.trainer.fit_loop.setup_data()
            return int(self.trainer.num_training_batches)
        batches, limit = datamodule.batches_per_epoch, self.trainer.limit_train_batches
        return min(batches, limit) if isinstance(limit, int) else int(batches * limit)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["pixelcnn"] = entry(self.model, self.config, self.fingerprint)
        checkpoint["skipped_steps"] = self.skipped_steps

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.skipped_steps = checkpoint.get("skipped_steps", 0)  # 0 in checkpoints that lack it
