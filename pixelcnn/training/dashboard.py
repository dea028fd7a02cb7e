"""The interface of loggers that show pictures, and the callbacks that use it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from pixelcnn.checkpoint import glance
from pixelcnn.durable import warning_when_full
from pixelcnn.errors import require
from pixelcnn.training.lightning_internals import callbacks_of
from pixelcnn.training.module import DensityEstimation
from pixelcnn.training.validation_images import Validation, ValidationImages


class Dashboard(ABC):
    """A logger that shows pictures beside curves. All methods are called on rank 0.

    ``step`` counts optimiser steps, ``images`` the training images seen by the run.
    """

    @abstractmethod
    def show_picture(self, name: str, picture: Tensor, step: int, images: int) -> None:
        """Add ``picture``, uint8 (3, height, width), to those called ``name``."""

    @abstractmethod
    def show_validation(self, validation: Validation, score_name: str, levels: int, images: int) -> None:
        """Add the best and worst validation images, of 0 .. ``levels`` - 1, with their index, label and score."""

    @abstractmethod
    def keep_checkpoint(self, path: Path, step: int) -> None:
        """Keep the run's checkpoint of ``step`` at ``path``, if this logger keeps checkpoints."""

    def mark_preempting(self) -> None:  # noqa: B027
        """Mark the run as preempted, to be resumed, where this logger shows it."""


def dashboards(trainer: Trainer) -> Iterator[Dashboard]:
    """The dashboards among the trainer's loggers; none on ranks other than 0."""
    if trainer.is_global_zero:
        yield from (logger for logger in trainer.loggers if isinstance(logger, Dashboard))


def against_images(metrics: Mapping[str, float], names: Iterable[str]) -> dict[str, float]:
    """The ``metrics`` to show against ``metrics["images"]`` too: those in ``names``, as ``by_images/NAME``."""
    return {f"by_images/{name}": metrics[name] for name in names if name in metrics} if "images" in metrics else {}


class Occasional(Callback):
    """Calls ``show`` every ``every_n_epochs`` validations of a whole epoch and when training ends, once per step.

    ``every_n_epochs=0``: only when training ends.
    """

    def __init__(self, every_n_epochs: int) -> None:
        require(every_n_epochs >= 0, "every_n_epochs", every_n_epochs, "use a positive number, or 0 for the end only")
        self.every_n_epochs = every_n_epochs
        self._shown_at: int | None = None  # step

    def show(self, trainer: Trainer, module: DensityEstimation) -> None:
        """Called on rank 0."""
        raise NotImplementedError

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        due = self.every_n_epochs > 0 and (trainer.current_epoch + 1) % self.every_n_epochs == 0
        if due and trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._show(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._show(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # on_train_end is not called for a run without steps left.
        self._show(trainer, pl_module)

    def _show(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, DensityEstimation)
        if trainer.is_global_zero and self._shown_at != trainer.global_step:
            self._shown_at = trainer.global_step
            with warning_when_full(Path(trainer.default_root_dir)):
                self.show(trainer, pl_module)


class RankedImages(Occasional):
    """Shows the ``num_images`` best and worst images of the last validation on dashboards.

    The best have the lowest scores.
    """

    def __init__(self, num_images: int = 8, every_n_epochs: int = 5) -> None:
        super().__init__(every_n_epochs)
        require(num_images >= 1, "num_images", num_images, "use a positive number, or callbacks.ranked_images=null")
        self.num_images = num_images

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        [images] = callbacks_of(trainer, ValidationImages)
        images.num_kept = self.num_images

    def show(self, trainer: Trainer, module: DensityEstimation) -> None:
        last = callbacks_of(trainer, ValidationImages)[0].last
        if last is None or last.step != trainer.global_step:  # stopped before a validation
            return
        for dashboard in dashboards(trainer):
            dashboard.show_validation(last, module.score_name, module.model.image.levels, module.images_seen)


class KeptCheckpoints(Callback):
    """Passes ``checkpoints/best.ckpt`` and ``last.ckpt`` to dashboards when training has ended."""

    def __init__(self, run_dir: Path) -> None:
        self.directory = run_dir / "checkpoints"

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # last.ckpt at the end, as W&B gives the latest version the alias "latest".
        for dashboard in dashboards(trainer):
            for name in ("best", "last"):
                path = self.directory / f"{name}.ckpt"
                if not path.exists():  # stopped before the first validation
                    continue
                with warning_when_full(self.directory):
                    dashboard.keep_checkpoint(path, glance(path)["global_step"])
