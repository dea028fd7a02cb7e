"""Writes ``report.html`` and ``history.json`` of a training run, however it ends."""

import json
import logging
import re
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import Timer

from pixelcnn.data.base import ImageDataModule
from pixelcnn.durable import warning_when_full
from pixelcnn.pictures import black_to_white
from pixelcnn.report.page import write
from pixelcnn.report.scored_images import Ranking, examples
from pixelcnn.report.training import Ending, Start, TrainingRun, history_of, training_page
from pixelcnn.report.words import plural
from pixelcnn.scores import worse_than_uniform
from pixelcnn.training.history import History
from pixelcnn.training.interruption import GracefulInterruption, Left, limit_reached
from pixelcnn.training.lightning_internals import callbacks_of
from pixelcnn.training.module import DensityEstimation
from pixelcnn.training.record import write_record
from pixelcnn.training.validation_images import Validation, ValidationImages

log = logging.getLogger(__name__)

AS_GOOD_AS_NOTHING = (
    "Its score is above that of equal probabilities for all levels: the run was far too short, or it diverged."
)
SECONDS_BETWEEN_REPORTS = 300  # while a run lasts; a report takes about a second
OF_A_GRID = re.compile(r"step=(\d+)\.png")


class RunReport(Callback):
    """Writes ``report.html`` and ``history.json`` when training ends or fails, and from time to time after validations.

    So a killed run leaves them too. ``run_dir`` holds ``run.json`` and, if samples are drawn, ``samples/``. It has to
    come after ``history``, `ValidationImages` and the callback that draws samples.
    """

    def __init__(self, run_dir: Path, history: History, overrides: list[str], config: Mapping[str, Any]) -> None:
        self.run_dir = run_dir
        self.history = history
        self.overrides = overrides
        self.config = config
        self._written_at = time.monotonic()
        self._flop_of_an_image = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, DensityEstimation)
        if trainer.is_global_zero:
            self._flop_of_an_image = pl_module.flops_of_an_image

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        due = time.monotonic() - self._written_at > SECONDS_BETWEEN_REPORTS
        if due and trainer.is_global_zero and not trainer.sanity_checking:
            sentence = "It was still running when this was written: if that is long ago, it was killed."
            self._try_to_write(trainer, pl_module, Ending("Running", "open", sentence))

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            with warning_when_full(self.run_dir):
                self._write(trainer, pl_module, self._judged(ending(trainer), pl_module))
                log.info("Report: %s", self.run_dir / "report.html")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if trainer.is_global_zero and self.history.starts:
            self._try_to_write(trainer, pl_module, breaking_off(trainer, exception))

    def _judged(self, ended: Ending, module: LightningModule) -> Ending:
        assert isinstance(module, DensityEstimation) and self.history.last is not None
        if not worse_than_uniform(module.score_name, self.history.last[1], module.model.image.levels):
            return ended
        return replace(ended, mood="bad", sentence=f"{ended.sentence} {AS_GOOD_AS_NOTHING}")

    def _try_to_write(self, trainer: Trainer, module: LightningModule, ended: Ending) -> None:
        try:
            self._write(trainer, module, ended)
        except OSError as error:  # a full disk neither ends a run nor explains why it ended
            log.warning("%s could not be written: %s.", self.run_dir / "report.html", error.strerror)

    def _write(self, trainer: Trainer, module: LightningModule, ended: Ending) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(module, DensityEstimation) and isinstance(data, ImageDataModule)
        batches = trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]
        [images] = callbacks_of(trainer, ValidationImages)
        run = TrainingRun(
            run_dir=self.run_dir,
            score_name=module.score_name,
            ending=ended,
            step=trainer.global_step,
            epochs=int(batches // trainer.num_training_batches),
            images=batches * data.batch_size,
            flop=float(batches * data.batch_size * self._flop_of_an_image),
            seconds=self.history.seconds,
            skipped_steps=module.skipped_steps,
            starts=self.history.starts,
            points={name: curve.points for name, curve in self.history.curves.items()},
            best=self.history.best,
            last=self.history.last,
            validated_on="test images (data.val_size=0)" if data.val_is_test else "validation images",
            validation=_ranking(images.last, data),
            samples=sample_grids(self.history.starts, self.run_dir, trainer.global_step),
            world_size=trainer.world_size,
            record=json.loads((self.run_dir / "run.json").read_text()),
            overrides=self.overrides,
            config=self.config,
        )
        write(training_page(run), self.run_dir / "report.html")
        write_record(self.run_dir / "history.json", history_of(run))
        self._written_at = time.monotonic()


def ending(trainer: Trainer) -> Ending:
    """How a run ended that was not broken off by an exception."""
    after = plural(trainer.global_step, "step")
    limit = limit_reached(trainer)
    if limit is not None:
        return Ending("Finished", "good", f"All {after} of {limit} are done.")
    if any(each.interrupted for each in callbacks_of(trainer, GracefulInterruption)):
        return Ending("Interrupted", "open", f"Ctrl-C ended it after {after}.")
    if any((timer.time_remaining() or 0.0) <= 0 for timer in callbacks_of(trainer, Timer)):
        return Ending("Out of time", "open", f"trainer.max_time was reached after {after}.")
    return Ending("Stopped early", "open", f"A callback ended it after {after}.")


def breaking_off(trainer: Trainer, exception: BaseException) -> Ending:
    """How a run ended that was broken off by ``exception``."""
    after = f"after {plural(trainer.global_step, 'step')}"
    if isinstance(exception, Left):
        name = signal.Signals(exception.number).name
        return Ending("Stopped", "open", f"{name} stopped it {after}. It can be resumed.")
    sentence = f"It ended {after} by {type(exception).__name__}: {exception}"
    failed = isinstance(exception, Exception)  # not KeyboardInterrupt or SystemExit
    return Ending("Failed", "bad", sentence) if failed else Ending("Stopped", "open", sentence)


def sample_grids(starts: list[Start], run_dir: Path, step: int) -> list[tuple[int, Path]]:
    """The grids of samples of a run up to ``step``, by step: those in ``run_dir``, and those left of earlier parts."""
    found: dict[int, Path] = {}
    begun = starts or [Start(0, "", str(run_dir))]
    ends = [start.step for start in begun[1:]] + [step]
    for start, end in zip(begun, ends, strict=True):
        for file in (Path(start.directory) / "samples").glob("step=*.png"):
            match = OF_A_GRID.fullmatch(file.name)
            if match is not None and start.step <= int(match[1]) <= end:
                found[int(match[1])] = file
    return sorted(found.items())


def _ranking(validation: Validation | None, data: ImageDataModule) -> Ranking | None:
    if validation is None:
        return None
    levels, names = data.shape.levels, data.class_names
    best, worst = (
        examples(few.index, few.labels, few.scores, black_to_white(pixels, levels).numpy(), names)
        for _, few, pixels in validation.ranked
    )
    return Ranking(validation.all.scores, best, worst)
