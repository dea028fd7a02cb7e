"""``task=train``: train from scratch, from a run's checkpoint or from another model's weights."""

import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch.optim import LBFGS, SparseAdam

from pixelcnn.causality import check_causal
from pixelcnn.checkpoint import CLASS_NAMES
from pixelcnn.configuration.description import execution_of, recorded
from pixelcnn.configuration.groups import instantiated, instantiated_parts, partially
from pixelcnn.configuration.root import LAST
from pixelcnn.configuration.trainer import build_trainer, lightnings_refusals, planned_steps, require_epoch
from pixelcnn.data.base import ImageDataModule
from pixelcnn.data.few_levels import few_levels
from pixelcnn.data.fingerprint import fingerprint
from pixelcnn.durable import remove_partial, sentence_when_full
from pixelcnn.errors import UserError
from pixelcnn.execution import execute, full_float32
from pixelcnn.launch.devices import processes
from pixelcnn.model import PixelModel
from pixelcnn.report import commands
from pixelcnn.report.words import count
from pixelcnn.scores import INTERRUPTED, best_of, in_words, worse_than_uniform
from pixelcnn.signature import is_own, name_of
from pixelcnn.tasks.starting_point import earlier_run_id, starting_point, states_to_restore, with_newest_checkpoint
from pixelcnn.training.callback_states import require_states
from pixelcnn.training.checkpoints import DurableCheckpointIO, checkpoint_callbacks, require_directories, require_saved
from pixelcnn.training.dashboard import KeptCheckpoints
from pixelcnn.training.failing_loggers import tolerated
from pixelcnn.training.history import History
from pixelcnn.training.interruption import GracefulInterruption, handing_on, limit_reached
from pixelcnn.training.last_metrics import LastMetrics
from pixelcnn.training.lifeline import Lifeline
from pixelcnn.training.lightning_internals import adapt, callbacks_of
from pixelcnn.training.logging import WandbRunId, finishing, wandb_run_id
from pixelcnn.training.memory import keep_freed_memory
from pixelcnn.training.module import DensityEstimation
from pixelcnn.training.progress import RunProgress
from pixelcnn.training.record import RankRecord, run_record, write_record
from pixelcnn.training.reporting import AS_GOOD_AS_NOTHING, RunReport
from pixelcnn.training.validation_images import ValidationImages

log = logging.getLogger(__name__)

UNFIT = {
    SparseAdam: "takes sparse gradients, which no network here has",
    LBFGS: "keeps a history of variable shape, which cannot be resumed",
}
SITES_TO_CHECK = 12  # of an image, checked for causality in networks from outside


@handing_on()
def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> float:
    """Leave ``checkpoints/``, ``samples/``, ``report.html``, ``metrics.json`` and ``run.json``.

    Returns the best validation score. A run ended by a signal leaves only ``checkpoints/last.ckpt`` and ``report.html``
    and raises `Left`. One ended by Ctrl-C leaves all of them and raises `Interrupted`.
    """
    full_float32()
    again = config.checkpoint == LAST
    config = with_newest_checkpoint(config, run_dir)
    data = instantiated(config, "data")
    if not isinstance(data, ImageDataModule):
        raise UserError(f"data={type(data).__name__} must inherit pixelcnn.data.base.ImageDataModule.")
    data.prepare_data()
    data.setup("fit")
    data.require_shares(processes(config.trainer) * config.trainer.num_nodes)
    require_epoch(config.trainer, data.batches_per_epoch)
    few = few_levels(data)
    if few is not None:
        rank_zero_only(log.warning)(few)
    images = fingerprint(data)
    model, initialisation = starting_point(config, overrides, data, images)
    if not is_own(model.description.network.target):
        check_causal(model, sites=SITES_TO_CHECK)
    execution = execution_of(config)
    if not execution.activation_checkpointing:  # which is recommended if memory is short
        keep_freed_memory()
    execute(model, execution)
    plain = recorded(config, model.description)
    module = DensityEstimation(
        model,
        optimizer=partially(config, "optim"),
        scheduler=partially(config, "scheduler"),
        objective=instantiated(config, "objective"),
        seed=config.seed,
        parameter_groups=config.optim.groups,
        config=plain if data.class_names is None else {**plain, CLASS_NAMES: list(data.class_names)},
        fingerprint=images,
    )
    require_optimizer(module, planned_steps(config.trainer, data.batches_per_epoch))
    states = states_to_restore(config, module)
    run_id = earlier_run_id(config.checkpoint, run_dir) if again or config.checkpoint else None
    history, last = History(f"val/{module.score_name}", run_dir), LastMetrics(initialisation)
    beside = callbacks(config, run_dir, history, last, plain, overrides)  # may be refused; loggers leave files
    loggers = loggers_of_run(config, run_dir, plain, module.score_names, run_id)
    with finishing(loggers), sentence_when_full(run_dir):
        lifeline = Lifeline(run_dir / "checkpoints" / "last.ckpt")
        trainer = build_trainer(config.trainer, loggers, [lifeline, *beside], run_dir, DurableCheckpointIO())
        require_states(states, trainer.callbacks, f"checkpoint={config.checkpoint}")  # type: ignore[attr-defined]
        require_directories(trainer)
        adapt(trainer)
        record_start(trainer, model, data, plain, initialisation, run_dir)
        with lifeline.holding(trainer), lightnings_refusals(config.trainer, config.callbacks):
            trainer.fit(module, datamodule=data, ckpt_path=config.checkpoint, weights_only=True)
        value = finish(trainer, module, history, last, run_dir)
    for ctrl_c in callbacks_of(trainer, GracefulInterruption):
        ctrl_c.end_if_interrupted(trainer)
    return value


def require_optimizer(module: DensityEstimation, total_steps: int | None) -> None:
    """Raise UserError, before anything is written, if optim, its groups or scheduler do not fit the model."""
    try:
        optimizer, _ = module.optimizer_and_scheduler(total_steps)
    except UserError as error:
        told = str(error)
        raise UserError(f"optim.{told}" if told.startswith("groups[") else told) from error
    for kind, why in UNFIT.items():
        if isinstance(optimizer, kind):
            raise UserError(f"optim={name_of(kind)} {why}: use another one, such as optim=adam.")


def loggers_of_run(
    config: DictConfig, run_dir: Path, plain: dict[str, Any], minimised: list[str], run_id: str | None
) -> list[Logger]:
    """The loggers of the group ``logger``."""
    given = {"run_dir": run_dir, "save_dir": run_dir, "config": plain, "minimised": minimised, "run_id": run_id}
    loggers = {name: logger for name, logger in instantiated_parts(config, "logger", **given) if logger is not None}
    for name, logger in loggers.items():
        if not isinstance(logger, Logger):
            raise UserError(f"logger.{name} is a {type(logger).__name__}, not a Lightning logger.")
    return [tolerated(logger) for logger in loggers.values()]


def callbacks(
    config: DictConfig, run_dir: Path, history: History, last: LastMetrics, plain: dict[str, Any], overrides: list[str]
) -> list[Callback]:
    """The callbacks of a run.

    Every run has EMA weights, checkpoints and a history; the others are from the group ``callbacks``. Recorders come
    last, because they read what the others log.
    """
    given = {"run_dir": run_dir, "resume_command": commands.resumed(overrides, run_dir)}
    chosen = dict(instantiated_parts(config, "callbacks", **given))
    for name, callback in chosen.items():
        if not isinstance(callback, Callback):
            raise UserError(f"callbacks.{name} is a {type(callback).__name__}, not a Lightning callback.")
    kept = [
        instantiated(config, "ema"),
        *checkpoint_callbacks(run_dir / "checkpoints", history.score),
        ValidationImages(),
        KeptCheckpoints(run_dir),
        WandbRunId(),
    ]
    has_own = any(isinstance(callback, ProgressBar) for callback in chosen.values())
    bar = [] if has_own or config.trainer.enable_progress_bar is False else [RunProgress()]
    recorders = [RankRecord(run_dir / "run.json", overrides), history, RunReport(run_dir, history, overrides, plain)]
    # Callbacks that end a run between batches come after all others have seen the batch.
    ends = [callback for callback in chosen.values() if isinstance(callback, GracefulInterruption)]
    others = [callback for callback in chosen.values() if callback not in ends]
    return [*kept, *others, *bar, *recorders, last, *ends]


def record_start(
    trainer: Trainer,
    model: PixelModel,
    data: ImageDataModule,
    plain: dict[str, Any],
    initialisation: dict[str, float],
    run_dir: Path,
) -> None:
    """Write ``run.json``, remove partial files of a killed run, and describe the run in the log and the loggers."""
    record = {**run_record(model, trainer.strategy.root_device), WandbRunId.KEY: wandb_run_id(trainer.loggers)}
    if trainer.is_global_zero:
        remove_partial(run_dir / "checkpoints")
        write_record(run_dir / "run.json", record)
        log.info(
            "%s: %s parameters, %s training and %s validation images, on %s",
            *(model.description.network.name, count(record["num_parameters"]), count(data.num_training_images)),
            *(count(data.num_images_of("val")), record["device"]),
        )
        log.info("Files are written to %s", run_dir)
    for logger in trainer.loggers:
        logger.log_hyperparams({**plain, "run": record})
        if initialisation:
            logger.log_metrics(initialisation, step=0)


def finish(trainer: Trainer, module: DensityEstimation, history: History, last: LastMetrics, run_dir: Path) -> float:
    """Write ``metrics.json`` with the last value of everything logged and the best score of all validations.

    Returns the score of ``best.ckpt``, or the last score if none was finite.
    """
    require_saved(trainer)
    name = f"val/{module.score_name}"
    metrics = {**last.of(trainer), "step": trainer.global_step, "epoch": module.epochs_trained}
    score = metrics[name]
    if history.best is not None:
        metrics[best_of(name)] = history.best[1]
    interrupted = any(ctrl_c.interrupted for ctrl_c in callbacks_of(trainer, GracefulInterruption))
    if interrupted and limit_reached(trainer) is None:
        metrics[INTERRUPTED] = True
    if trainer.is_global_zero:
        write_record(run_dir / "metrics.json", metrics)
        told = in_words(module.score_name, f"{score:.4f}")
        best = "" if history.best is None else f", best {history.best[1]:.4f} after {history.best[0]}"
        log.info("%s on the validation images after %d steps%s", told, trainer.global_step, best)
        if worse_than_uniform(module.score_name, score, module.model.image.levels):
            log.warning("%s Start again with more steps, or a lower optim.lr.", AS_GOOD_AS_NOTHING)
    return metrics.get(best_of(name), score)
