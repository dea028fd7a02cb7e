"""``task=train``: training, anew, from a run's checkpoint or from another model's weights."""

import json
import logging
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from pixelcnn.checkpoint import description_of, glance, load_weights, read
from pixelcnn.configuration.data import data_module
from pixelcnn.configuration.description import (
    RESUMED,
    describe,
    recorded,
    require_agreement,
    require_conditions,
    require_same_run,
    require_same_weights,
    revise,
)
from pixelcnn.configuration.network import execution_of
from pixelcnn.configuration.objective import require_trainable
from pixelcnn.configuration.resumption import LAST, directory_of_run
from pixelcnn.configuration.trainer import build_trainer, lightnings_refusals, require_validation, trainer_options
from pixelcnn.data.base import ImageDataModule
from pixelcnn.durable import remove_partial, sentence_when_full
from pixelcnn.errors import UserError
from pixelcnn.execution import execute
from pixelcnn.initialisation import data_dependent_initialisation
from pixelcnn.model import PixelModel, build
from pixelcnn.report import commands
from pixelcnn.scores import in_words, worse_than_uniform
from pixelcnn.training.checkpoints import (
    DurableCheckpointIO,
    checkpoint_callbacks,
    has_training_state,
    newest,
    require_saved,
    say_what_is_not_saved,
)
from pixelcnn.training.dashboard import KeptCheckpoints, RankedImages
from pixelcnn.training.ema import ExponentialMovingAverage
from pixelcnn.training.history import History
from pixelcnn.training.interruption import GracefulInterruption, handing_on, without_signal_handlers
from pixelcnn.training.lifeline import Lifeline
from pixelcnn.training.logging import WandbRunId, make_logger, wandb_run_id
from pixelcnn.training.memory import keep_freed_memory
from pixelcnn.training.module import DensityEstimation
from pixelcnn.training.objective import build_objective
from pixelcnn.training.progress import progress_bar
from pixelcnn.training.record import RankRecord, run_record, write_record
from pixelcnn.training.reporting import AS_GOOD_AS_NOTHING, RunReport
from pixelcnn.training.samples import SampleGrid, conditions_of_samples
from pixelcnn.training.skip_limit import SkipLimit
from pixelcnn.training.stopping import validate_before_stopping
from pixelcnn.training.throughput import Throughput
from pixelcnn.training.validation_images import ValidationImages

log = logging.getLogger(__name__)


@handing_on()
def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> float:
    """Leave ``checkpoints/``, ``samples/``, ``report.html``, ``metrics.json`` and ``run.json``.

    Returns val/ of what is minimised. A run that a signal has told to leave has ``checkpoints/last.ckpt`` and
    ``report.html`` alone, and raises `Left`.
    """
    again = config.checkpoint == LAST
    config = with_newest_checkpoint(config, run_dir)
    options = trainer_options(config)
    data = data_module(config.data)
    data.prepare_data()
    data.setup("fit")
    require_validation(options, data.batches_per_epoch)
    model, initialisation = starting_point(config, overrides, data)
    execution = execution_of(config)
    if not execution.activation_checkpointing:  # which is asked for where memory is short
        keep_freed_memory()
    execute(model, execution)
    plain = recorded(config, model.description)
    module = DensityEstimation(
        model,
        lr=config.optim.lr,
        betas=tuple(config.optim.betas),
        lr_decay=config.optim.lr_decay,
        seed=config.seed,
        config=plain,
        epsilon_inside_root=config.optim.epsilon_inside_root,
        objective=build_objective(**config.objective),
    )
    score = f"val/{module.score_name}"
    run_id = earlier_run_id(config.checkpoint, run_dir) if again or config.checkpoint else None
    with (
        make_logger(
            **plain["logger"], run_dir=run_dir, config=plain, minimised=module.score_names, run_id=run_id
        ) as logger,
        sentence_when_full(run_dir),
    ):
        lifeline = Lifeline(run_dir / "checkpoints" / "last.ckpt")
        recorders = recorders_of_run(score, plain, overrides, run_dir)
        beside = [lifeline, *callbacks(config, model, data, score, run_dir), *recorders]
        beside.append(interruption(config, overrides, run_dir))
        trainer = build_trainer(options, logger, beside, run_dir, DurableCheckpointIO())
        say_what_is_not_saved(trainer)
        validate_before_stopping(trainer)
        without_signal_handlers(trainer)
        record_start(trainer, model, plain, initialisation, run_dir)
        with lifeline.holding(trainer), lightnings_refusals(options):
            trainer.fit(module, datamodule=data, ckpt_path=config.checkpoint, weights_only=True)
        return finish(trainer, module, initialisation, run_dir)


def with_newest_checkpoint(config: DictConfig, run_dir: Path) -> DictConfig:
    """``config`` with the file that ``checkpoint=last`` stands for: the newest that the run has left.

    Where it has left none yet, a new run begins, so that the same command starts a run and goes on with it.
    UserError where those that it has left are all damaged.
    """
    if config.checkpoint != LAST:
        return config
    folder = directory_of_run(run_dir, sys.argv, config) / "checkpoints"
    path = newest(folder)
    if path is None and any(folder.glob("*.ckpt")):
        raise UserError(f"checkpoint=last finds no good one in {folder}: remove those that are there to start anew.")
    config = config.copy()
    if path is None:
        rank_zero_only(log.info)("checkpoint=last: there is none in %s yet, a new run begins.", folder)
        config.checkpoint = None
    else:
        rank_zero_only(log.info)("checkpoint=last: going on from %s.", path)
        config.checkpoint, config.init_from = str(path), None
    return config


def earlier_run_id(checkpoint: str | None, run_dir: Path) -> str | None:
    """The id in Weights & Biases of the run to go on with; also of one that was killed before its first checkpoint."""
    if checkpoint is not None:
        return glance(Path(checkpoint)).get(WandbRunId.KEY)
    record = run_dir / "run.json"
    return json.loads(record.read_text()).get(WandbRunId.KEY) if record.exists() else None


def starting_point(
    config: DictConfig, overrides: list[str], data: ImageDataModule
) -> tuple[PixelModel, dict[str, float]]:
    """The model to train and what its initialisation achieved: fresh, as ``init_from`` left it, or to be restored.

    A resumed model's weights come with the optimiser's state, when the trainer restores the checkpoint.
    """
    torch.manual_seed(config.seed)
    objective = OmegaConf.to_object(config.objective)
    if config.checkpoint is not None:
        checkpoint = read(config.checkpoint)
        stored = description_of(checkpoint, config.checkpoint)
        require_agreement(stored, config.checkpoint, config, overrides, data.shape)
        require_conditions(stored, f"checkpoint={config.checkpoint}", data.condition_sizes)
        if not has_training_state(checkpoint):
            remedy = f"start a new run with init_from={config.checkpoint}"
            raise UserError(f"checkpoint={config.checkpoint} has no training state to go on from: {remedy}.")
        require_same_run(checkpoint["pixelcnn"]["config"], config, RESUMED)
        require_trainable(objective, stored.likelihood, f" of checkpoint={config.checkpoint}")
        model = build(replace(stored, image=data.shape))
        load_weights(model, checkpoint, config.checkpoint)
        return model, {}
    if config.init_from is not None:
        checkpoint = read(config.init_from, "init_from")
        stored = description_of(checkpoint, config.init_from, "init_from")
        revised = revise(stored, config.init_from, config, overrides, data.shape, data.condition_sizes)
        require_trainable(objective, revised.likelihood, f" of init_from={config.init_from}")
        require_same_weights(stored, revised, config.init_from)
        model = build(revised)
        load_weights(model, checkpoint, config.init_from, "init_from")
        return model, {}
    model = build(describe(config, data.shape, data.condition_sizes))
    if not config.initialisation.enabled:
        return model, {}
    batch = data.initialisation_batch(min(config.initialisation.size, data.num_training_images))
    report = data_dependent_initialisation(model, batch["images"], model.condition_in(batch))
    return model, {f"init/{name}": value for name, value in asdict(report).items()}


def callbacks(
    config: DictConfig, model: PixelModel, data: ImageDataModule, score: str, run_dir: Path
) -> list[Callback]:
    """What happens beside the training steps; ``score`` is the name of the value whose lowest is the best."""
    options = config.callbacks
    ranked = ValidationImages(options.num_ranked_images)
    chosen: list[Callback] = [
        ExponentialMovingAverage(config.ema.decay, config.ema.warmup),
        *checkpoint_callbacks(run_dir / "checkpoints", score),
        Throughput(),
        ranked,
        KeptCheckpoints(run_dir / "checkpoints"),
        SkipLimit(options.max_skipped_steps, run_dir / "checkpoints" / "last.ckpt"),
        WandbRunId(),
    ]
    if options.num_ranked_images:
        chosen.append(RankedImages(ranked, options.sample_every_n_epochs))
    if options.num_samples:
        condition = conditions_of_samples(model, data, options.num_samples)
        samples = SampleGrid(
            run_dir / "samples", options.sample_every_n_epochs, options.num_samples, config.seed, condition
        )
        chosen.append(samples)
    return chosen if config.trainer.enable_progress_bar is False else [*chosen, progress_bar()]


def recorders_of_run(score: str, plain: dict[str, Any], overrides: list[str], run_dir: Path) -> list[Callback]:
    """What writes down how the run went, from what the callbacks before them have logged."""
    history = History(score, run_dir)
    return [RankRecord(run_dir / "run.json", overrides), history, RunReport(run_dir, history, overrides, plain)]


def interruption(config: DictConfig, overrides: list[str], run_dir: Path) -> Callback:
    """What saves between validations and ends the run when it is told to."""
    options = config.callbacks
    return GracefulInterruption(
        run_dir / "checkpoints" / "last.ckpt",
        options.checkpoint_every_n_steps,
        options.checkpoint_every_n_minutes,
        commands.resumed(overrides, run_dir),
    )


def record_start(
    trainer: Trainer, model: PixelModel, plain: dict[str, Any], initialisation: dict[str, float], run_dir: Path
) -> None:
    """Write ``run.json``, remove what a killed run has left half-written, and tell the loggers what is run."""
    record = {**run_record(model, trainer.strategy.root_device), WandbRunId.KEY: wandb_run_id(trainer.loggers)}
    if trainer.is_global_zero:
        remove_partial(run_dir / "checkpoints")
        write_record(run_dir / "run.json", record)
    for logger in trainer.loggers:
        logger.log_hyperparams({**plain, "run": record})
        if initialisation:
            logger.log_metrics(initialisation, step=0)


def finish(trainer: Trainer, module: DensityEstimation, initialisation: dict[str, float], run_dir: Path) -> float:
    """Write ``metrics.json`` with the last value of everything logged; returns the validation's score."""
    require_saved(trainer)
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    metrics = {**initialisation, **logged, "step": trainer.global_step, "epoch": trainer.current_epoch}
    score = metrics[f"val/{module.score_name}"]
    if trainer.is_global_zero:
        write_record(run_dir / "metrics.json", metrics)
        told = in_words(module.score_name, f"{score:.4f}")
        log.info("%s on the validation images after %d steps", told, trainer.global_step)
        if worse_than_uniform(module.score_name, score, module.model.image.levels):
            log.warning("%s Start again with more steps, or a lower optim.lr than %g.", AS_GOOD_AS_NOTHING, module.lr)
    return score
