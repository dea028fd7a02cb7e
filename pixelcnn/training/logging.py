"""Where a run's curves and pictures go: Weights & Biases, TensorBoard, CSV files or nowhere."""

import http.client
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import wandb
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only
from wandb.sdk.lib.wbauth import read_netrc_auth

from pixelcnn.training.csv_log import CSVLog
from pixelcnn.training.wandb_dashboard import WandbDashboard

SECONDS_TO_REACH_WANDB = 4
SECONDS_TO_START_ONLINE = 10  # with a server that has answered


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

    wandb: online if there is a key (in the environment, netrc or wandb's settings) and its server answers, else
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
        yield CSVLog(run_dir, name="csv")
    elif name == "tensorboard":
        from pixelcnn.training.tensorboard_dashboard import TensorBoardDashboard  # optional, see its schema

        yield TensorBoardDashboard(run_dir, minimised)
    elif rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        yield WandbLogger(project=project, save_dir=run_dir)  # silent, as rank 0 speaks for all
    else:
        assert name == "wandb", name
        run_dir.mkdir(parents=True, exist_ok=True)
        run = _start_run(dir=run_dir, config=config, project=project, entity=entity, group=group, id=run_id)
        exit_code = 1
        try:
            yield WandbDashboard(run, minimised, checkpoints == "end", project=project, save_dir=run_dir)
            exit_code = 0
        finally:
            run.finish(exit_code=exit_code)


def wandb_run_id(loggers: list[Logger]) -> str | None:
    """The id of the run that one of ``loggers`` writes to Weights & Biases, None where there is none."""
    return next((str(logger.version) for logger in loggers if isinstance(logger, WandbLogger)), None)


class WandbRunId(Callback):
    """Records the run's id in its checkpoints, so that a resumed run goes on with the same one."""

    KEY = "wandb_run_id"

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[self.KEY] = wandb_run_id(trainer.loggers)


def _start_run(**options: Any) -> wandb.Run:
    offline_because = _why_offline()
    run = None
    if offline_because is None:
        try:
            settings = wandb.Settings(init_timeout=SECONDS_TO_START_ONLINE)
            run = wandb.init(settings=settings, resume="allow", **options)
        except wandb.Error as error:
            offline_because = f"a run could not be started there ({str(error).splitlines()[0]})"
    if run is None:
        run = wandb.init(mode="offline", **options)
        print(
            f"Weights & Biases is offline: {offline_because}. The run is kept; to upload it later:\n"
            f"    wandb sync {Path(run.dir).parent}",
            flush=True,
        )
    return run


def _why_offline() -> str | None:
    """Why a run cannot be online; None where it can, or where the user has chosen a mode that needs no network."""
    settings = wandb.setup().settings
    if settings.mode == "offline":
        return "WANDB_MODE asks for it"
    if settings.mode == "disabled":
        return None
    stranger = why_not_logged_in()
    if stranger is not None:
        return stranger
    if not _answers(settings.base_url, SECONDS_TO_REACH_WANDB):
        return f"{settings.base_url} does not answer"
    return None


def why_not_logged_in() -> str | None:
    """What is wrong with the key to Weights & Biases on this machine; None where there is one. Without the network."""
    settings = wandb.setup().settings
    try:
        key = settings.api_key or settings.identity_token_file or read_netrc_auth(host=settings.base_url)
    except wandb.Error as error:
        return str(error)
    return None if key else "you are not logged in (wandb login)"


def _answers(url: str, seconds: float) -> bool:
    """Whether a server, rather than a failing proxy, answers at ``url`` within ``seconds``."""
    answers: queue.Queue[bool] = queue.Queue()

    def ask() -> None:
        try:
            urllib.request.urlopen(url, timeout=seconds).close()
            answers.put(True)
        except urllib.error.HTTPError as error:
            answers.put(error.code < 500)
        except (OSError, http.client.HTTPException):
            answers.put(False)

    # In a thread, as looking up a host's name knows no timeout.
    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        return False
