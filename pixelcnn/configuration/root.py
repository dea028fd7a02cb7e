"""The root keys of the configuration, and their constraints with the task."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig

from pixelcnn.configuration.tasks import Task
from pixelcnn.errors import UserError, require

LAST = "last"  # as in checkpoint=last


@dataclass
class Initialisation:
    """``initialisation``: the data-dependent initialisation of Salimans and Kingma 2016."""

    enabled: bool
    size: int

    def __post_init__(self) -> None:
        require(self.size >= 1, "size", self.size, "use at least one image, preferably 100")


@dataclass
class Root:
    """The keys beside the groups."""

    seed: int
    checkpoint: str | None
    init_from: str | None
    trust: list[str] = field(default_factory=list)  # packages that a checkpoint may name parts of

    def __post_init__(self) -> None:
        require(0 <= self.seed < 2**32, "seed", self.seed, "use a number from 0 to 4294967295")
        for key in ("checkpoint", "init_from"):
            if getattr(self, key) == "":
                raise UserError(f"{key} is empty: give {key}=FILE, or null for none.")


def check_start(config: DictConfig, task: Task, objective: Any, likelihood: type) -> None:
    """Raise UserError if ``checkpoint`` and ``init_from`` conflict with each other or with the task."""
    name, checkpoint, init_from = config.task.name, config.checkpoint, config.init_from
    if task.needs_checkpoint and checkpoint is None:
        raise UserError(f"checkpoint is missing: task={name} needs checkpoint=FILE, the file of a training run.")
    if name == "ood" and not config.against:
        raise UserError("data@against is missing: task=ood needs data@against=NAME, the images out of distribution.")
    if name == "ood" and not config.scores:
        raise UserError("scores is empty: task=ood needs some, such as scores=[likelihood,complexity].")
    if name != "ood" and config.against:
        raise UserError(f"data@against is for task=ood, which task={name} is not: leave it out.")
    if name == "info" and checkpoint is not None:
        raise UserError(f"checkpoint={checkpoint} is not for task=info, which describes the configured model: omit it.")
    if init_from is not None and name != "train":
        raise UserError(f"init_from={init_from} is for task=train only: use checkpoint=FILE with task={name}.")
    if checkpoint == LAST and name != "train":
        raise UserError(
            f"checkpoint=last is for task=train only: give task={name} "
            "a file, such as checkpoint=RUN/checkpoints/last.ckpt."
        )
    if init_from is not None and checkpoint not in (None, LAST):
        raise UserError(
            f"init_from={init_from} and checkpoint={checkpoint} exclude each other: "
            "checkpoint resumes a run, init_from starts a new one from its weights; give one of them."
        )
    if name == "train" and checkpoint in (None, LAST) and init_from is None:
        from pixelcnn.objective import require_trainable

        require_trainable(type(objective), likelihood)
