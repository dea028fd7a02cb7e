"""Types and ranges of what the project itself defines; the values stand in ``conf/``, each with its comment.

The options of models, likelihoods and conditioning, which checkpoints store, are in ``pixelcnn.options``; those of the
tasks in ``pixelcnn.configuration.tasks``, of Lightning's Trainer in ``pixelcnn.configuration.trainer``. Hydra checks
names and types while it composes, ``check`` (``pixelcnn.configuration.checks``) the ranges in ``__post_init__``.
"""

import math
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from pixelcnn.configuration.objective import require_trainable
from pixelcnn.launch.resumption import LAST
from pixelcnn.errors import UserError
from pixelcnn.options import require


@dataclass
class AdamOptions:
    """``optim=adam``, section 3 of the paper."""

    lr: float
    betas: list[float]
    lr_decay: float  # factor per step
    epsilon_inside_root: bool

    def __post_init__(self) -> None:
        require(0 < self.lr < math.inf, "optim.lr", self.lr, "use a positive learning rate")
        # OmegaConf lets a list stand where a number should.
        in_range = len(self.betas) == 2 and all(isinstance(beta, float) and 0 <= beta < 1 for beta in self.betas)
        require(in_range, "optim.betas", list(self.betas), "give two numbers from 0 to below 1")
        require(0 < self.lr_decay <= 1, "optim.lr_decay", self.lr_decay, "use a factor per step, at most 1")


@dataclass
class EMAOptions:
    """``ema=default``, the moving average of the weights (Polyak averaging)."""

    decay: float
    warmup: bool

    def __post_init__(self) -> None:
        require(0 <= self.decay < 1, "ema.decay", self.decay, "use a number from 0 to below 1")


@dataclass
class InitialisationOptions:
    """The data-dependent initialisation of Salimans and Kingma 2016."""

    enabled: bool
    size: int

    def __post_init__(self) -> None:
        require(self.size >= 1, "initialisation.size", self.size, "use at least one image, better a hundred")


@dataclass
class CallbackOptions:
    """``callbacks=default``, what a training run does beside training."""

    sample_every_n_epochs: int
    num_samples: int
    num_ranked_images: int
    checkpoint_every_n_steps: int
    checkpoint_every_n_minutes: float
    max_skipped_steps: int

    def __post_init__(self) -> None:
        counts = ("sample_every_n_epochs", "num_samples", "num_ranked_images")
        for key in (*counts, "checkpoint_every_n_steps", "checkpoint_every_n_minutes"):
            value = getattr(self, key)
            require(value >= 0, f"callbacks.{key}", value, "use a positive number, or 0 for none")
        most, remedy = self.max_skipped_steps, "use a number of the last 100 steps, or 0 for no limit"
        require(0 <= most <= 100, "callbacks.max_skipped_steps", most, remedy)


@dataclass
class WandbOptions:
    """``logger=wandb``."""

    project: str
    entity: str | None
    group: str | None
    checkpoints: str
    name: str = "wandb"

    def __post_init__(self) -> None:
        require(self.checkpoints in ("end", "never"), "logger.checkpoints", self.checkpoints, "use end or never")


@dataclass
class TensorBoardOptions:
    """``logger=tensorboard``."""

    name: str = "tensorboard"

    def __post_init__(self) -> None:
        if find_spec("tensorboard") is None:
            raise UserError(
                "logger=tensorboard is not installed: pip install -r requirements-tensorboard.txt, or use logger=csv."
            )


@dataclass
class CSVOptions:
    """``logger=csv``."""

    name: str = "csv"


@dataclass
class NoLoggerOptions:
    """``logger=none``."""

    name: str = "none"


LOGGERS = {
    "wandb": WandbOptions,
    "tensorboard": TensorBoardOptions,
    "csv": CSVOptions,
    "none": NoLoggerOptions,
}


@dataclass
class Config:
    """The whole configuration: one field for each group of ``conf/``, and the keys at its root.

    Groups whose options differ in their keys are ``Any`` here; each of their options names its own schema.
    """

    seed: int
    checkpoint: str | None
    init_from: str | None
    initialisation: InitialisationOptions
    task: Any
    data: Any
    model: Any
    likelihood: Any
    conditioning: Any
    objective: Any
    optim: AdamOptions
    ema: EMAOptions
    trainer: Any
    logger: Any
    callbacks: CallbackOptions

    def __post_init__(self) -> None:
        require(0 <= self.seed < 2**32, "seed", self.seed, "use a number from 0 to 4294967295")
        for key in ("checkpoint", "init_from"):
            if getattr(self, key) == "":
                raise UserError(f"{key} is empty: give {key}=FILE, or null for none.")
        name = self.task.name
        if self.task.needs_checkpoint and self.checkpoint is None:
            raise UserError(
                f"checkpoint is missing: task={name} needs checkpoint=FILE, a file that a training run left."
            )
        if self.init_from is not None and name != "train":
            raise UserError(f"init_from={self.init_from} is for task=train only: give task={name} a checkpoint=FILE.")
        if self.checkpoint == LAST and name != "train":
            raise UserError(
                f"checkpoint=last is for task=train, which looks for it in its own run directory: give task={name} "
                "a file, such as checkpoint=RUN/checkpoints/last.ckpt."
            )
        if self.init_from is not None and self.checkpoint not in (None, LAST):
            raise UserError(
                f"init_from={self.init_from} and checkpoint={self.checkpoint} exclude each other: "
                "checkpoint resumes a run, init_from starts a new one from its weights; give one of them."
            )
        if name == "train" and self.checkpoint in (None, LAST) and self.init_from is None:
            require_trainable(self.objective, self.likelihood)
