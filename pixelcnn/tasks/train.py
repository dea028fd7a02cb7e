"""``task=train``: maximum likelihood training, anew, from a run's checkpoint or from another model's weights."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.utilities import rank_zero_info

from pixelcnn.checkpoint import description_of, load_weights, read
from pixelcnn.configuration.data import data_module
from pixelcnn.configuration.description import describe, require_agreement, revise
from pixelcnn.configuration.trainer import build_trainer, trainer_options
from pixelcnn.data.base import ImageDataModule
from pixelcnn.initialisation import data_dependent_initialisation
from pixelcnn.model import PixelModel, build
from pixelcnn.training.checkpoints import checkpoint_callbacks
from pixelcnn.training.ema import ExponentialMovingAverage
from pixelcnn.training.interruption import GracefulInterruption
from pixelcnn.training.logging import make_logger
from pixelcnn.training.module import DensityEstimation
from pixelcnn.training.progress import progress_bar
from pixelcnn.training.record import run_record, write_record
from pixelcnn.training.samples import SampleGrid
from pixelcnn.training.stopping import validate_before_stopping
from pixelcnn.training.throughput import Throughput


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> float:
    """Leave ``checkpoints/``, ``samples/``, ``metrics.json`` and ``run.json``; returns val/bits_per_dim of the EMA."""
    data = data_module(config.data)
    data.prepare_data()
    data.setup("fit")
    model, initialisation = starting_point(config, overrides, data)
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    module = DensityEstimation(
        model,
        lr=config.optim.lr,
        betas=tuple(config.optim.betas),
        lr_decay=config.optim.lr_decay,
        seed=config.seed,
        config=plain,
    )
    logging = {key: value for key, value in plain["logger"].items() if key != "name"}
    with make_logger(config.logger.name, run_dir, config=plain, **logging) as logger:
        trainer = build_trainer(trainer_options(config), logger, callbacks(config, model, run_dir), run_dir)
        validate_before_stopping(trainer)
        if trainer.is_global_zero:
            write_record(run_dir / "run.json", run_record(model, trainer.strategy.root_device))
        for a_logger in trainer.loggers:
            a_logger.log_hyperparams({**plain, "num_parameters": sum(p.numel() for p in model.parameters())})
            a_logger.log_metrics(initialisation, step=0)
        trainer.fit(module, datamodule=data, ckpt_path=config.checkpoint)
        return finish(trainer, initialisation, run_dir)


def starting_point(
    config: DictConfig, overrides: list[str], data: ImageDataModule
) -> tuple[PixelModel, dict[str, float]]:
    """The model to train and what its initialisation achieved: fresh, as ``init_from`` left it, or to be restored.

    A resumed model's weights come with the optimiser's state, when the trainer restores the checkpoint.
    """
    torch.manual_seed(config.seed)
    if config.checkpoint is not None:
        stored = description_of(read(config.checkpoint))
        require_agreement(stored, config.checkpoint, config, overrides, data.shape)
        return build(replace(stored, image=data.shape)), {}
    if config.init_from is not None:
        checkpoint = read(config.init_from)
        model = build(revise(description_of(checkpoint), config.init_from, config, overrides, data.shape))
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
        SampleGrid(
            run_dir / "samples",
            options.sample_every_n_epochs,
            options.num_samples,
            config.seed,
            model.conditioning.examples(options.num_samples),
        ),
        Throughput(),
        GracefulInterruption(),
    ]
    return [*chosen, progress_bar()] if options.progress_bar else chosen


def finish(trainer: Trainer, initialisation: dict[str, float], run_dir: Path) -> float:
    """Write ``metrics.json`` with the last value of everything logged."""
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    metrics = {**initialisation, **logged, "step": trainer.global_step, "epoch": trainer.current_epoch}
    if trainer.is_global_zero:
        (run_dir / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
        rank_zero_info(f"val/bits_per_dim {metrics['val/bits_per_dim']:.4f} after {trainer.global_step} steps")
    return metrics["val/bits_per_dim"]
