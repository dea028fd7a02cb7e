"""Makes a resumable checkpoint from weights that were trained elsewhere."""

from typing import Any

import pytorch_lightning
import torch
from pytorch_lightning import Trainer
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from pixelcnn.training.module import DensityEstimation


def resumable_checkpoint(
    module: DensityEstimation,
    average: dict[str, Tensor] | None,
    moments: dict[str, tuple[Tensor, Tensor]] | None,
    steps: int,
) -> dict[str, Any]:
    """Lightning's checkpoint of ``module`` as if it had been trained for ``steps`` steps.

    ``average``: the moving average by the names of ``module.model``'s parameters, None to start it at the weights;
    ``moments``: Adam's first and second by the same names, None to start it from scratch.
    """
    optimizer, scheduler = module.optimizer_and_scheduler(None)
    assert isinstance(scheduler, LambdaLR)
    if moments is not None:
        for name, parameter in module.model.named_parameters():
            first, second = moments[name]
            optimizer.state[parameter] = {"step": torch.tensor(float(steps)), "exp_avg": first, "exp_avg_sq": second}
    scheduler.last_epoch, scheduler._step_count = steps, steps + 1
    rates = [rate * factor(steps) for rate, factor in zip(scheduler.base_lrs, scheduler.lr_lambdas, strict=True)]
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    raw = module.state_dict()
    averaged = raw if average is None else {**raw, **{f"model.{name}": value for name, value in average.items()}}
    checkpoint: dict[str, Any] = {
        "epoch": 0,
        "global_step": steps,
        "pytorch-lightning_version": pytorch_lightning.__version__,
        "state_dict": averaged,
        "current_model_state": raw,
        "averaging_state": {"n_averaged": torch.tensor(steps + 1)},
        "callbacks": {},
        "loops": {"fit_loop": _fit_loop_state(steps)},
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [{**scheduler.state_dict(), "_last_lr": rates}],
    }
    module.on_save_checkpoint(checkpoint)
    return checkpoint


def _fit_loop_state(steps: int) -> dict[str, Any]:
    """The state of Lightning's loops after ``steps`` batches, between two epochs."""
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    epoch_loop = trainer.fit_loop.epoch_loop
    batches = epoch_loop.batch_progress.total
    batches.ready = batches.started = batches.processed = batches.completed = steps  # type: ignore[attr-defined]
    taken = epoch_loop.automatic_optimization.optim_progress.optimizer.step.total
    taken.ready = taken.completed = steps
    scheduled = epoch_loop.scheduler_progress.total
    scheduled.ready = scheduled.completed = steps
    return trainer.fit_loop.state_dict()
