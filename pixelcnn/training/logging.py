"""Where a run's curves and pictures go: Weights & Biases, TensorBoard, CSV files or nowhere."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import wandb
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from pixelcnn.errors import UserError
from pixelcnn.training.failing_loggers import tolerated
from pixelcnn.training.wandb_dashboard import WandbDashboard
from pixelcnn.training.wandb_run import finish_run, start_run, sync_command


@contextmanager
def make_logger(
    name: str,
    run_dir: Path,
    config: dict[str, Any],
    minimised: Sequence[str],
    project: str = "pixelcnn",
    entity: str | None = None,
    group: str | None = None,
    checkpoints: str = "end",
    run_id: str | None = None,
) -> Iterator[Logger | Literal[False]]:
    """What ``Trainer(logger=...)`` takes, finished on leaving; ``name`` as in ``conf/logger``.

    No failure of a logger ends the run. UserError where Weights & Biases refuses a name.
    wandb: online if there is a key (in the environment, netrc or wandb's settings) and a run can be started there, else
    offline in ``run_dir/wandb``, saying how to upload it; never asks, and follows WANDB_MODE where that is set.
    ``config`` is recorded with the run, and the lowest of each value whose name is in ``minimised``; ``group`` gathers
    the runs of a sweep. ``checkpoints`` is "end", to keep the last and the best with the run, or "never". ``run_id``
    is that of a run to go on with.
    tensorboard: ``run_dir/tensorboard/version_*``.
    csv: ``run_dir/csv/version_*/metrics.csv``.
    """
    if name == "none":
        yield False
    elif name == "csv":
        yield tolerated(CSVLogger(run_dir, name="csv"))
    elif name == "tensorboard":
        from pixelcnn.training.tensorboard_dashboard import TensorBoardDashboard  # optional, see its schema

        yield tolerated(TensorBoardDashboard(run_dir, minimised))
    else:
        assert name == "wandb", name
        _require_project(project)  # on all ranks, of which the first alone starts a run
        if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
            yield WandbLogger(project=project, save_dir=run_dir)  # silent, as rank 0 speaks for all
            return
        run_dir.mkdir(parents=True, exist_ok=True)
        run = start_run(dir=run_dir, config=config, project=project, entity=entity, group=group, id=run_id)
        if run is None:
            yield False
            return
        exit_code = 1
        try:
            logger = WandbDashboard(run, minimised, checkpoints == "end", project=project, save_dir=run_dir)
            tolerated(logger, f"To upload what is missing, once the run has ended: {sync_command(run)}")
            logger.define_metrics()
            yield logger
            exit_code = 0
        finally:
            finish_run(run, exit_code)


def _require_project(project: str) -> None:
    try:
        wandb.Settings(project=project)
    except wandb.errors.UsageError as error:
        told = str(error).rstrip(".")
        remedy = "choose another name, and give a team by logger.entity"
        raise UserError(f"logger.project={project} is refused by Weights & Biases ({told}): {remedy}.") from error


def wandb_run_id(loggers: list[Logger]) -> str | None:
    """The id of the run that one of ``loggers`` writes to Weights & Biases, None where there is none."""
    return next((str(logger.version) for logger in loggers if isinstance(logger, WandbLogger)), None)


class WandbRunId(Callback):
    """Records the run's id in its checkpoints, so that a resumed run goes on with the same one."""

    KEY = "wandb_run_id"

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[self.KEY] = wandb_run_id(trainer.loggers)
