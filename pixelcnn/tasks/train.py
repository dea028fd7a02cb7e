"""``task=train``: maximum likelihood training, anew, from a run's checkpoint or from another model's weights."""

import json
import logging
from dataclasses import asdict, replace
from pathlib import Path

import torch
from omegaconf import DictConfig
from pytorch_lightning import Callback, Trainer

from pixelcnn.checkpoint import description_of, load_weights, read
from pixelcnn.configuration.data import data_module
from pixelcnn.configuration.description import RESUMED, describe, recorded, require_agreement, require_same_run, revise
from pixelcnn.configuration.trainer import build_trainer, trainer_options
from pixelcnn.data.base import ImageDataModule
from pixelcnn.errors import UserError
from pixelcnn.initialisation import data_dependent_initialisation
from pixelcnn.model import PixelModel, build
from pixelcnn.objective import objective
from pixelcnn.training.checkpoints import checkpoint_callbacks
from pixelcnn.training.ema import ExponentialMovingAverage
from pixelcnn.training.interruption import GracefulInterruption
from pixelcnn.training.lifeline import Lifeline
from pixelcnn.training.logging import make_logger
from pixelcnn.training.module import DensityEstimation
from pixelcnn.training.progress import progress_bar
from pixelcnn.training.record import RankRecord, run_record, write_record
from pixelcnn.training.samples import SampleGrid
from pixelcnn.training.stopping import validate_before_stopping
from pixelcnn.training.throughput import Throughput

log = logging.getLogger(__name__)


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> float:
    """Leave ``checkpoints/``, ``samples/``, ``metrics.json`` and ``run.json``; returns the EMA's objective."""
    options = trainer_options(config)
    if options.limit_val_batches == 0 or options.fast_dev_run:
        key = "fast_dev_run" if options.fast_dev_run else "limit_val_batches"
        raise UserError(
            f"trainer.{key}={getattr(options, key)} skips validation, which every run ends with: "
            "use trainer.max_steps=1 and trainer.limit_val_batches=1 for a quick one."
        )
    data = data_module(config.data)
    data.prepare_data()
    data.setup("fit")
    model, initialisation = starting_point(config, overrides, data)
    plain = recorded(config, model.description)
    module = DensityEstimation(
        model,
        lr=config.optim.lr,
        betas=tuple(config.optim.betas),
        lr_decay=config.optim.lr_decay,
        seed=config.seed,
        config=plain,
        epsilon_inside_root=config.optim.epsilon_inside_root,
    )
    with make_logger(**plain["logger"], run_dir=run_dir, config=plain) as logger:
        lifeline = Lifeline(run_dir / "checkpoints" / "last.ckpt")
        beside = [lifeline, RankRecord(run_dir / "run.json", overrides), *callbacks(config, model, run_dir)]
        trainer = build_trainer(options, logger, beside, run_dir)
        validate_before_stopping(trainer)
        record = run_record(model, trainer.strategy.root_device)
        if trainer.is_global_zero:
            write_record(run_dir / "run.json", record)
        for a_logger in trainer.loggers:
            a_logger.log_hyperparams({**plain, "run": record})
            if initialisation:
                a_logger.log_metrics(initialisation, step=0)
        with lifeline.holding():
            trainer.fit(module, datamodule=data, ckpt_path=config.checkpoint, weights_only=True)
        return finish(trainer, initialisation, run_dir)


def starting_point(
    config: DictConfig, overrides: list[str], data: ImageDataModule
) -> tuple[PixelModel, dict[str, float]]:
    """The model to train and what its initialisation achieved: fresh, as ``init_from`` left it, or to be restored.

    A resumed model's weights come with the optimiser's state, when the trainer restores the checkpoint.
    """
    torch.manual_seed(config.seed)
    if config.checkpoint is not None:
        checkpoint = read(config.checkpoint)
        stored = description_of(checkpoint, config.checkpoint)
        require_agreement(stored, config.checkpoint, config, overrides, data.shape)
        if "optimizer_states" not in checkpoint:
            remedy = f"start a new run with init_from={config.checkpoint}"
            raise UserError(f"checkpoint={config.checkpoint} has no training state to go on from: {remedy}.")
        require_same_run(checkpoint["pixelcnn"]["config"], config, RESUMED)
        return build(replace(stored, image=data.shape)), {}
    if config.init_from is not None:
        checkpoint = read(config.init_from)
        stored = description_of(checkpoint, config.init_from)
        model = build(revise(stored, config.init_from, config, overrides, data.shape, data.num_classes))
        load_weights(model, checkpoint, config.init_from)
        return model, {}
    model = build(describe(config, data.shape, data.num_classes))
    if not config.initialisation.enabled:
        return model, {}
    batch = data.initialisation_batch(min(config.initialisation.size, data.num_training_images))
    report = data_dependent_initialisation(model, batch["images"], model.condition_in(batch))
    return model, {f"init/{name}": value for name, value in asdict(report).items()}


def callbacks(config: DictConfig, model: PixelModel, run_dir: Path) -> list[Callback]:
    """What happens beside the training steps."""
    options = config.callbacks
    chosen: list[Callback] = [
        ExponentialMovingAverage(config.ema.decay, config.ema.warmup),
        *checkpoint_callbacks(run_dir / "checkpoints"),
        Throughput(),
        GracefulInterruption(),
    ]
    if options.num_samples:
        condition = model.conditioning.examples(options.num_samples)
        samples = SampleGrid(
            run_dir / "samples", options.sample_every_n_epochs, options.num_samples, config.seed, condition
        )
        chosen.append(samples)
    shown = options.progress_bar and config.trainer.enable_progress_bar is not False
    return [*chosen, progress_bar()] if shown else chosen


def finish(trainer: Trainer, initialisation: dict[str, float], run_dir: Path) -> float:
    """Write ``metrics.json`` with the last value of everything logged."""
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    metrics = {**initialisation, **logged, "step": trainer.global_step, "epoch": trainer.current_epoch}
    if trainer.is_global_zero:
        (run_dir / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
        log.info("%.4f bits/dim on the validation images after %d steps", metrics["val/bits_per_dim"], metrics["step"])
    found = objective(metrics)
    assert found is not None  # every run validates
    return found[1]
