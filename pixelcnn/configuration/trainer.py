"""Lightning's Trainer from the group ``trainer``, whose keys are its arguments."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from pixelcnn.configuration.groups import TARGET, imported
from pixelcnn.configuration.user_callbacks import raised_by, require_callbacks
from pixelcnn.errors import UserError, require
from pixelcnn.signature import arguments_of, refusal

if TYPE_CHECKING:
    from lightning_fabric.plugins import CheckpointIO
    from pytorch_lightning import Callback, Trainer
    from pytorch_lightning.loggers import Logger


# Ranges that Lightning does not check, or checks only during the run; types come from its constructor.
AT_LEAST = {
    **dict.fromkeys(("num_nodes", "check_val_every_n_epoch", "accumulate_grad_batches"), 1),
    **dict.fromkeys(("min_epochs", "min_steps", "fast_dev_run", "log_every_n_steps", "gradient_clip_val"), 0),
    "reload_dataloaders_every_n_epochs": 0,
    **dict.fromkeys(("max_epochs", "max_steps", "num_sanity_val_steps"), -1),
}
UNLIMITED = ("max_epochs", "max_steps")
# An integer counts batches, a float is a fraction of them.
AMOUNTS = (
    *("limit_train_batches", "limit_val_batches", "limit_test_batches", "limit_predict_batches"),
    *("overfit_batches", "val_check_interval"),
)
# With Lightning's older names; null is 32-true.
PRECISIONS = (None, 32, "32", "32-true", "bf16", "bf16-mixed", 16, "16", "16-mixed")
CHOICES: dict[str, tuple[tuple[Any, ...], str]] = {
    "gradient_clip_algorithm": ((None, "norm", "value"), "choose one of norm, value"),
    "profiler": ((None, "simple", "advanced", "pytorch"), "choose one of simple, advanced, pytorch"),
    "precision": (PRECISIONS, "use 32-true, bf16-mixed or 16-mixed: weights and likelihood stay in float32"),
    "deterministic": ((None, True, False, "warn"), "use true, false or warn"),
    "barebones": ((False,), "leave it false: it turns off checkpoints and metrics"),
    "use_distributed_sampler": ((False,), "leave it false: the data sets shard their images themselves"),
}

# Lightning's callbacks that change training without storing it in checkpoints, and what to use instead.
NOT_STORED = {
    "BatchSizeFinder": "use data.batch_size",
    "LearningRateFinder": "use optim.lr",
    "GradientAccumulationScheduler": "use trainer.accumulate_grad_batches",
    "ModelPruning": "use a smaller model",
    "StochasticWeightAveraging": "use ema.decay",
}


def check_trainer(trainer: DictConfig) -> None:
    """Raise UserError for values that Lightning accepts or rejects late; `build_trainer` reports the rest."""
    for key, least in AT_LEAST.items():
        value = trainer[key]
        remedy = f"use {least} or more" + ", where -1 is no limit" * (key in UNLIMITED)
        require(value is None or value >= least, f"trainer.{key}", value, remedy)
    for key in AMOUNTS:
        value = trainer[key]
        in_range = not isinstance(value, int | float) or (value >= 0 and (isinstance(value, int) or value <= 1))
        require(in_range, f"trainer.{key}", value, "use a number of batches, or a fraction of them from 0.0 to 1.0")
    require(trainer.val_check_interval != 0, "trainer.val_check_interval", 0, "use a positive number, or null")
    for key, (choices, remedy) in CHOICES.items():
        require(trainer[key] in choices, f"trainer.{key}", trainer[key], remedy)


def require_epoch(options: DictConfig, batches: int) -> None:
    """Raise UserError if a run would never train or never validate; ``batches``: training batches per epoch."""
    if options.limit_train_batches == 0:
        raise UserError("trainer.limit_train_batches=0 leaves no batch to train on: use one or more, or null for all.")
    if options.limit_val_batches == 0 or options.fast_dev_run:
        key = "fast_dev_run" if options.fast_dev_run else "limit_val_batches"
        raise UserError(
            f"trainer.{key}={getattr(options, key)} skips validation, which every run ends with: "
            "use trainer.max_steps=1 and trainer.limit_val_batches=1 for a quick one."
        )
    trained, interval = _batches_trained(options, batches), options.val_check_interval
    within_epoch = options.check_val_every_n_epoch is not None and isinstance(interval, int)
    if within_epoch and 0 < trained < int(interval or 0):
        raise UserError(
            f"trainer.val_check_interval={interval} is more than the {trained} batches of an epoch: use "
            "at most as many, or trainer.check_val_every_n_epoch=null to count batches across epochs."
        )


def planned_steps(options: DictConfig, batches: int) -> int | None:
    """The optimiser steps of a run with ``batches`` per epoch; None if unlimited."""
    limits = [options.max_steps] if options.max_steps > 0 else []
    if options.max_epochs is not None and options.max_epochs >= 0:
        limits.append(options.max_epochs * -(-_batches_trained(options, batches) // options.accumulate_grad_batches))
    return min(limits, default=None)


def _batches_trained(options: DictConfig, batches: int) -> int:
    """Batches trained on in an epoch, given ``trainer.limit_train_batches``."""
    limit = options.limit_train_batches
    return batches if limit is None else min(batches, limit) if isinstance(limit, int) else int(limit * batches)


def build_trainer(
    options: DictConfig,
    loggers: "list[Logger]",
    callbacks: "list[Callback]",
    run_dir: Path,
    checkpoint_io: "CheckpointIO | None" = None,
) -> "Trainer":
    """Lightning's Trainer with ``options`` and the run's own loggers, callbacks and checkpoint writer.

    ``trainer.callbacks`` come after ours; ``trainer.logger=false`` and ``trainer.default_root_dir`` override ours.
    Raises UserError if Lightning refuses an argument.
    """
    import torch
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate
    from lightning_fabric.plugins import CheckpointIO
    from pytorch_lightning.utilities.exceptions import MisconfigurationException

    arguments = arguments_in(options)
    try:
        theirs = instantiate(options.callbacks or [], _convert_="all")
        theirs = theirs if isinstance(theirs, list) else [theirs]
        require_callbacks(theirs)
        require_resumable([*callbacks, *theirs])
        arguments["callbacks"] = [*callbacks, *theirs]
        plugins = instantiate(options.plugins or [], _convert_="all")
        plugins = list(plugins) if isinstance(plugins, list) else [plugins]
        has_own = any(isinstance(plugin, CheckpointIO) for plugin in plugins)
        arguments["plugins"] = plugins if checkpoint_io is None or has_own else [*plugins, checkpoint_io]
        # Lightning would prefer Apple's GPUs, which lack float64.
        automatic = "cuda" if torch.cuda.is_available() else "cpu"
        arguments["accelerator"] = automatic if options.accelerator == "auto" else options.accelerator
        arguments["logger"] = False if options.logger is False else loggers
        arguments["default_root_dir"] = options.default_root_dir or run_dir
        return imported(options._target_, "trainer")(**arguments)
    except (InstantiationException, ImportError, MisconfigurationException, TypeError, ValueError) as error:
        raise _refused(error, options) from error


def arguments_in(options: DictConfig) -> dict[str, Any]:
    """The constructor's arguments in the group ``trainer``."""
    values: dict[str, Any] = OmegaConf.to_container(options)  # type: ignore[assignment]
    return {name: value for name, value in values.items() if name not in TARGET}


def require_resumable(callbacks: "list[Callback]") -> None:
    """Raise UserError for one of ``NOT_STORED``, or for two averages of the weights."""
    from pytorch_lightning import callbacks as lightnings

    averages = [callback for callback in callbacks if isinstance(callback, lightnings.WeightAveraging)]
    if len(averages) > 1:
        name = type(averages[-1]).__name__
        raise UserError(f"callbacks={name} is a second weight average, and a run supports only one: use ema.decay.")
    for callback in callbacks:
        for kind, remedy in NOT_STORED.items():
            if isinstance(callback, getattr(lightnings, kind)):
                name = type(callback).__name__
                raise UserError(f"callbacks={name} changes training in a way that checkpoints do not store: {remedy}.")


@contextmanager
def lightnings_refusals(options: DictConfig, callbacks: Mapping[str, Any]) -> Iterator[None]:
    """Within it, Lightning's errors about ``options`` or the group ``callbacks``, some raised only during a run, become
    UserErrors."""
    from pytorch_lightning.utilities.exceptions import MisconfigurationException

    try:
        yield
    except (MisconfigurationException, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        named = {f"callbacks.{name}": part for name, part in callbacks.items()}
        named |= {f"trainer.callbacks[{place}]": part for place, part in enumerate(options.callbacks or [])}
        callback = raised_by(error, {name: part["_target_"] for name, part in named.items()})
        if callback is not None:
            told = " ".join(str(error).split()).rstrip(".")
            raise UserError(f"{callback} is rejected by Lightning ({told}): change it or leave it out.") from error
        if isinstance(error, MisconfigurationException):
            raise _refused(error, options) from error
        raise


def _refused(error: Exception, options: DictConfig) -> UserError:
    """A UserError for Lightning's ``error`` that names the keys of ``options`` that it is about."""
    target = imported(options._target_, "trainer")
    defaults = arguments_of(target)
    values = {name: value for name, value in arguments_in(options).items() if value != defaults[name].default}
    return refusal(error, target, values, "trainer.")
