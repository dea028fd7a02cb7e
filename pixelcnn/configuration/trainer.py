"""Every argument of Lightning's Trainer as a typed field, so that ``trainer.*`` is checked before anything starts."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from pixelcnn.configuration.user_callbacks import raised_by, require_callbacks
from pixelcnn.errors import UserError
from pixelcnn.options import require

if TYPE_CHECKING:
    from lightning_fabric.plugins import CheckpointIO
    from pytorch_lightning import Callback, Trainer
    from pytorch_lightning.loggers import Logger


AT_LEAST = {
    "num_nodes": 1,
    "fast_dev_run": 0,
    "max_epochs": -1,
    "min_epochs": 0,
    "max_steps": -1,
    "min_steps": 0,
    "check_val_every_n_epoch": 1,
    "num_sanity_val_steps": -1,
    "log_every_n_steps": 0,
    "accumulate_grad_batches": 1,
    "gradient_clip_val": 0,
    "reload_dataloaders_every_n_epochs": 0,
}
UNLIMITED = ("max_epochs", "max_steps")
# A whole number counts batches, a fraction is a share of them.
AMOUNTS = (
    *("limit_train_batches", "limit_val_batches", "limit_test_batches", "limit_predict_batches"),
    *("overfit_batches", "val_check_interval"),
)
CHOICES = {"gradient_clip_algorithm": ("norm", "value"), "profiler": ("simple", "advanced", "pytorch")}
# With Lightning's older names; None is 32-true.
PRECISIONS = ("None", "32", "32-true", "bf16", "bf16-mixed", "16", "16-mixed")


@dataclass
class TrainerOptions:
    """The arguments of ``pytorch_lightning.Trainer``, with its defaults; its documentation explains them.

    Callbacks and plugins are given as ``{_target_: class, argument: value}``. OmegaConf has no type for a choice
    between lists and plain values, hence ``devices: Any``, which ``check_devices`` checks.
    """

    accelerator: str = "auto"
    strategy: str = "auto"
    devices: Any = "auto"  # a number, "auto", or which ones: [0, 2] or "0,2"
    num_nodes: int = 1
    precision: int | str | None = None
    logger: bool | None = None
    callbacks: list[dict[str, Any]] | None = None
    fast_dev_run: int | bool = False
    max_epochs: int | None = None
    min_epochs: int | None = None
    max_steps: int = -1
    min_steps: int | None = None
    max_time: str | None = None
    limit_train_batches: int | float | None = None
    limit_val_batches: int | float | None = None
    limit_test_batches: int | float | None = None
    limit_predict_batches: int | float | None = None
    overfit_batches: int | float = 0.0
    val_check_interval: int | float | str | None = None
    check_val_every_n_epoch: int | None = 1
    num_sanity_val_steps: int | None = None
    log_every_n_steps: int | None = None
    enable_checkpointing: bool | None = None
    enable_progress_bar: bool | None = None
    enable_model_summary: bool | None = None
    accumulate_grad_batches: int = 1
    gradient_clip_val: int | float | None = None
    gradient_clip_algorithm: str | None = None
    deterministic: bool | str | None = None
    benchmark: bool | None = None
    inference_mode: bool = True
    use_distributed_sampler: bool = True
    profiler: str | None = None
    detect_anomaly: bool = False
    barebones: bool = False
    plugins: list[Any] | None = None
    sync_batchnorm: bool = False
    reload_dataloaders_every_n_epochs: int = 0
    default_root_dir: str | None = None
    enable_autolog_hparams: bool = True
    model_registry: str | None = None

    def __post_init__(self) -> None:
        """What Lightning lets pass or refuses without a remedy; ``build_trainer`` reports the rest."""
        for key, least in AT_LEAST.items():
            value = getattr(self, key)
            remedy = f"use {least} or more" + ", where -1 is no limit" * (key in UNLIMITED)
            require(value is None or value >= least, f"trainer.{key}", value, remedy)
        for key in AMOUNTS:
            value = getattr(self, key)
            in_range = not isinstance(value, int | float) or (value >= 0 and (isinstance(value, int) or value <= 1))
            require(in_range, f"trainer.{key}", value, "use a number of batches, or a share of them from 0.0 to 1.0")
        for key, choices in CHOICES.items():
            value = getattr(self, key)
            require(value is None or value in choices, f"trainer.{key}", value, f"choose one of {', '.join(choices)}")
        require(self.val_check_interval != 0, "trainer.val_check_interval", 0, "use a positive number, or null")
        for place, callback in enumerate(self.callbacks or []):
            if "_target_" not in callback:
                raise UserError(f"trainer.callbacks[{place}] names no class: write {{_target_: package.module.Class}}.")
        require(
            str(self.precision) in PRECISIONS,
            "trainer.precision",
            self.precision,
            "use 32-true, bf16-mixed or 16-mixed: weights and likelihood stay in float32",
        )
        require(
            self.deterministic in (None, True, False, "warn"),
            "trainer.deterministic",
            self.deterministic,
            "use true, false or warn",
        )
        require(
            not self.barebones,
            "trainer.barebones",
            self.barebones,
            "leave it false, for it forbids the checkpoints and metrics that every run leaves",
        )
        require(
            not self.use_distributed_sampler,
            "trainer.use_distributed_sampler",
            self.use_distributed_sampler,
            "leave it false, for the data sets deal their images out to the devices themselves",
        )


def trainer_options(config: DictConfig) -> TrainerOptions:
    """``trainer.*`` of a composed configuration."""
    options = OmegaConf.to_object(config.trainer)
    assert isinstance(options, TrainerOptions)
    return options


def require_validation(options: TrainerOptions, batches: int) -> None:
    """Raise UserError where a run would never validate; ``batches`` are those of an epoch of training."""
    if options.limit_val_batches == 0 or options.fast_dev_run:
        key = "fast_dev_run" if options.fast_dev_run else "limit_val_batches"
        raise UserError(
            f"trainer.{key}={getattr(options, key)} skips validation, which every run ends with: "
            "use trainer.max_steps=1 and trainer.limit_val_batches=1 for a quick one."
        )
    limit, interval = options.limit_train_batches, options.val_check_interval
    trained = batches if limit is None else limit if isinstance(limit, int) else int(limit * batches)
    within_epoch = options.check_val_every_n_epoch is not None and isinstance(interval, int)
    if within_epoch and 0 < min(trained, batches) < int(interval or 0):
        raise UserError(
            f"trainer.val_check_interval={interval} is more than the {min(trained, batches)} batches of an epoch: use "
            "at most as many, or trainer.check_val_every_n_epoch=null to count batches across epochs."
        )


def build_trainer(
    options: TrainerOptions,
    logger: "Logger | bool",
    callbacks: "list[Callback]",
    run_dir: Path,
    checkpoint_io: "CheckpointIO | None" = None,
) -> "Trainer":
    """Lightning's Trainer as ``options`` ask for it, with the run's own logger, callbacks and way to write checkpoints.

    ``trainer.callbacks`` come after ours; ``trainer.logger=false`` and ``trainer.default_root_dir`` stand above ours.
    Raises UserError where Lightning refuses an argument.
    """
    import torch
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate
    from lightning_fabric.plugins import CheckpointIO
    from pytorch_lightning import Trainer
    from pytorch_lightning.utilities.exceptions import MisconfigurationException

    arguments = {field.name: getattr(options, field.name) for field in fields(options)}
    try:
        own_callbacks = list(instantiate(options.callbacks or []))
        require_callbacks(own_callbacks, options.callbacks or [])
        arguments["callbacks"] = [*callbacks, *own_callbacks]
        plugins = list(instantiate(options.plugins or []))
        theirs = any(isinstance(plugin, CheckpointIO) for plugin in plugins)
        arguments["plugins"] = plugins if checkpoint_io is None or theirs else [*plugins, checkpoint_io]
        # Lightning's own choice would begin with Apple's GPUs, which lack float64.
        automatic = "cuda" if torch.cuda.is_available() else "cpu"
        arguments["accelerator"] = automatic if options.accelerator == "auto" else options.accelerator
        arguments["logger"] = False if options.logger is False else logger
        arguments["default_root_dir"] = options.default_root_dir or run_dir
        return Trainer(**arguments)
    except (InstantiationException, ImportError, MisconfigurationException, TypeError, ValueError) as error:
        raise UserError(_refused(error, options)) from error


def _meant(options: TrainerOptions, told: str) -> str:
    """The keys and values set in ``options`` that ``told``, by Lightning, is about."""
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    defaults = {field.name: field.default for field in fields(options)}
    names = [
        f"trainer.{name}={value}"
        for name, value in values.items()
        if value != defaults[name]
        # Classes of callbacks and plugins are named by their path; Lightning names a plugin in the singular.
        and (name.removesuffix("s") in told.lower() or _names_text(value, told))
    ]
    return " with ".join(names)


def _names_text(value: Any, told: str) -> bool:
    if isinstance(value, list):
        return any(isinstance(one, dict) and one.get("_target_", "-") in told for one in value)
    return isinstance(value, str) and value in told


@contextmanager
def lightnings_refusals(options: TrainerOptions) -> Iterator[None]:
    """Around what Lightning does with ``options``: its refusals, some of which it has only in a run, are ours."""
    from pytorch_lightning.utilities.exceptions import MisconfigurationException

    try:
        yield
    except MisconfigurationException as error:
        raise UserError(_refused(error, options)) from error
    except (RuntimeError, TypeError, ValueError) as error:
        callback = raised_by(error, options.callbacks or [])
        if callback is None:
            raise
        raise UserError(_refused(error, options, f"trainer.callbacks={callback}")) from error


def _refused(error: Exception, options: TrainerOptions, meant: str | None = None) -> str:
    told = " ".join(str(error).split()).rstrip(".")
    if options.overfit_batches:  # which Lightning sets these to
        told = re.sub(r"limit_(train|val|test|predict)_batches", "overfit_batches", told)
    meant = _meant(options, told) if meant is None else meant
    return f"{meant or 'trainer.*'} is refused by Lightning ({told}): change it or leave it out."
