"""Types and ranges of what the project itself defines; the values stand in ``conf/``, each with its comment.

The options of models, likelihoods and conditioning, which checkpoints store, are in ``pixelcnn.options``; those of
Lightning's Trainer in ``pixelcnn.configuration.trainer``. Hydra checks names and types while it composes, ``checked``
(``pixelcnn.configuration.checks``) the ranges in ``__post_init__``.
"""

import math
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar

from pixelcnn.configuration.objective import require_trainable
from pixelcnn.configuration.resumption import LAST
from pixelcnn.errors import UserError
from pixelcnn.options import require

SPLITS = ("val", "test")


class Task:
    """What is known of a task beside its options."""

    needs_checkpoint: ClassVar[bool]
    uses_data: ClassVar[bool]
    module: ClassVar[str]  # in pixelcnn.tasks


def _require_one_condition(task: Any, *keys: str) -> None:
    given = [f"task.{key}={getattr(task, key)}" for key in keys if getattr(task, key) is not None]
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)} exclude each other: give one condition.")


@dataclass
class TrainTask(Task):
    """``task=train``."""

    needs_checkpoint: ClassVar[bool] = False
    uses_data: ClassVar[bool] = True
    module: ClassVar[str] = "train"
    name: str = "train"


@dataclass
class EvaluateTask(Task):
    """``task=evaluate``."""

    needs_checkpoint: ClassVar[bool] = True
    uses_data: ClassVar[bool] = True
    module: ClassVar[str] = "evaluate"
    split: str
    label: int | None
    condition: str | None
    image: str | None
    name: str = "evaluate"

    def __post_init__(self) -> None:
        _require_one_condition(self, "label", "condition", "image")
        require(self.split in SPLITS, "task.split", self.split, f"choose one of {', '.join(SPLITS)}")


@dataclass
class Drawing:
    """How images are drawn."""

    batch_size: int
    mixture_temperature: float
    scale_temperature: float

    def __post_init__(self) -> None:
        for key in ("batch_size", "mixture_temperature", "scale_temperature"):
            require(getattr(self, key) > 0, f"task.{key}", getattr(self, key), "use a positive number")


@dataclass
class SampleTask(Drawing, Task):
    """``task=sample``."""

    needs_checkpoint: ClassVar[bool] = True
    uses_data: ClassVar[bool] = False
    module: ClassVar[str] = "sample"
    num_samples: int
    label: int | str | None
    condition: str | None
    image: str | None
    interpolate_to: int | str | None
    interpolate_rows: int
    name: str = "sample"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.num_samples >= 1, "task.num_samples", self.num_samples, "ask for at least one image")
        require(self.interpolate_rows >= 1, "task.interpolate_rows", self.interpolate_rows, "ask for at least one")
        _require_one_condition(self, "label", "condition", "image")
        if self.interpolate_to is not None:
            if self.label in (None, "all") and self.condition is None and self.image is None:
                raise UserError(
                    f"task.interpolate_to={self.interpolate_to} is the other end of a way: "
                    "give the first one by task.label, task.condition or task.image."
                )
            require(self.num_samples >= 2, "task.num_samples", self.num_samples, "an interpolation has two ends")


@dataclass
class CompleteTask(Drawing, Task):
    """``task=complete``."""

    needs_checkpoint: ClassVar[bool] = True
    uses_data: ClassVar[bool] = True
    module: ClassVar[str] = "complete"
    mask: str
    num_images: int
    image: str | None
    label: int | None
    condition: str | None
    num_completions: int
    name: str = "complete"

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_one_condition(self, "label", "condition")
        for key in ("num_images", "num_completions"):
            require(getattr(self, key) >= 1, f"task.{key}", getattr(self, key), "ask for at least one")


@dataclass
class ImportTask(Task):
    """``task=import``."""

    needs_checkpoint: ClassVar[bool] = False
    uses_data: ClassVar[bool] = False
    module: ClassVar[str] = "import_original"
    source: str
    image_size: int
    name: str = "import"

    def __post_init__(self) -> None:
        require(self.image_size >= 1, "task.image_size", self.image_size, "use a positive number of pixels")


@dataclass
class ExportTask(Task):
    """``task=export``."""

    needs_checkpoint: ClassVar[bool] = True
    uses_data: ClassVar[bool] = False
    module: ClassVar[str] = "export"
    name: str = "export"


@dataclass
class InfoTask(Task):
    """``task=info``."""

    needs_checkpoint: ClassVar[bool] = False
    uses_data: ClassVar[bool] = True
    module: ClassVar[str] = "info"
    image_size: int
    seconds: float
    name: str = "info"

    def __post_init__(self) -> None:
        require(self.image_size >= 1, "task.image_size", self.image_size, "use a positive number of pixels")
        require(self.seconds >= 0, "task.seconds", self.seconds, "use a positive number, or 0 for no measuring")


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
    progress_bar: bool
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


TASKS: dict[str, type[Task]] = {
    "train": TrainTask,
    "evaluate": EvaluateTask,
    "sample": SampleTask,
    "complete": CompleteTask,
    "import": ImportTask,
    "export": ExportTask,
    "info": InfoTask,
}
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
