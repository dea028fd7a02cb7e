"""Loggers of a run's curves and pictures: Weights & Biases, TensorBoard, MLflow or CSV files."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import Logger, MLFlowLogger, WandbLogger
from pytorch_lightning.loggers.logger import DummyLogger
from pytorch_lightning.utilities import rank_zero_only

from pixelcnn.training.failing_loggers import tolerated


@contextmanager
def finishing(loggers: Sequence[Logger]) -> Iterator[None]:
    """Within it, ``loggers`` are in use; on leaving, those with a method ``finish`` are finished with an exit code."""
    exit_code = 1
    try:
        yield
        exit_code = 0
    finally:
        for logger in loggers:
            if hasattr(logger, "finish"):
                logger.finish(exit_code)


def wandb_logger(
    run_dir: Path,
    config: dict[str, Any],
    minimised: Sequence[str],
    run_id: str | None = None,
    project: str = "pixelcnn",
    entity: str | None = None,
    group: str | None = None,
    name: str | None = None,
    tags: list[str] | None = None,
    notes: str | None = None,
    checkpoints: Literal["end", "never"] = "end",
) -> Logger | None:
    """A run in Weights & Biases: online if there is a key and the server answers, else offline in ``run_dir/wandb``.

    The key comes from the environment, netrc or wandb's settings. It never prompts, follows WANDB_MODE, and prints how
    to upload an offline run. ``config`` is recorded with the run, and the lowest value of each name in ``minimised``;
    ``group`` groups the runs of a sweep. ``checkpoints="end"`` uploads the last and the best when the run ends.
    ``run_id``: a run to resume. ValueError if Weights & Biases refuses ``project``.

    None, after a message, if no run can be started.
    """
    _require_project(project)  # on all ranks; only the first starts a run
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return WandbLogger(project=project, save_dir=run_dir)  # silent: only rank 0 prints
    from pixelcnn.training.wandb_dashboard import WandbDashboard
    from pixelcnn.training.wandb_run import start_run, sync_command

    run_dir.mkdir(parents=True, exist_ok=True)
    described = {"project": project, "entity": entity, "group": group, "name": name, "tags": tags, "notes": notes}
    run = start_run(dir=run_dir, config=config, id=run_id, **described)
    if run is None:
        return None
    logger = WandbDashboard(run, minimised, checkpoints == "end", project=project, save_dir=run_dir)
    tolerated(logger, f"To upload what is missing, once the run has ended: {sync_command(run)}")
    logger.define_metrics()
    return logger


def _require_project(project: str) -> None:
    import wandb  # imported only here: it takes a tenth of a run's startup time

    try:
        wandb.Settings(project=project)
    except wandb.errors.UsageError as error:
        told = str(error).rstrip(".")
        raise ValueError(
            f"project={project} is rejected by Weights & Biases ({told}): use another name, or entity"
        ) from error


def mlflow_logger(
    run_dir: Path,
    experiment: str = "pixelcnn",
    name: str | None = None,
    tags: dict[str, str] | None = None,
    notes: str | None = None,
    tracking_uri: str | None = None,
) -> Logger:
    """A run in MLflow, on the server ``tracking_uri``, or in ``run_dir/mlflow.db`` with its files beside it."""
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return DummyLogger()  # one process creates the database
    run_dir.mkdir(parents=True, exist_ok=True)
    here = tracking_uri is None
    described = {**(tags or {}), **({} if notes is None else {"mlflow.note.content": notes})}
    return MLFlowLogger(
        experiment,
        run_name=name,
        tags=described or None,
        tracking_uri=f"sqlite:///{run_dir.absolute() / 'mlflow.db'}" if here else tracking_uri,
        artifact_location=str(run_dir.absolute() / "mlflow") if here else None,
    )


def wandb_run_id(loggers: list[Logger]) -> str | None:
    """The id of the Weights & Biases run among ``loggers``, if there is one."""
    return next((str(logger.version) for logger in loggers if isinstance(logger, WandbLogger)), None)


class WandbRunId(Callback):
    """Records the run's id in its checkpoints, so that a resumed run keeps it."""

    KEY = "wandb_run_id"

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[self.KEY] = wandb_run_id(trainer.loggers)
