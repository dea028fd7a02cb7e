"""``task=evaluate``: scores every image of a split exactly once, and the split as a whole.

The score is bits/dim, or what `PixelModel.score_name` says of a model that scores something else; it has that name in
all files.
"""

import csv
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor

from pixelcnn.checkpoint import load, read
from pixelcnn.configuration.description import (
    other_size,
    recorded,
    require_agreement,
    require_conditions,
)
from pixelcnn.configuration.groups import imported, instantiated, trusted_packages
from pixelcnn.configuration.same_run import HELD_OUT, require_same_run
from pixelcnn.configuration.trainer import AMOUNTS, build_trainer
from pixelcnn.data.base import ImageDataModule
from pixelcnn.data.fingerprint import fingerprint_of
from pixelcnn.errors import UserError
from pixelcnn.execution import full_float32
from pixelcnn.model import PixelModel
from pixelcnn.pictures import black_to_white
from pixelcnn.report.evaluation import EvaluatedSplit, difference_in_words, evaluation_page
from pixelcnn.report.page import write as write_page
from pixelcnn.report.scored_images import Example, Ranking, examples
from pixelcnn.report.words import label_in_words, plural
from pixelcnn.scores import CHANNELS, by_channel, in_words
from pixelcnn.signature import arguments_of
from pixelcnn.tasks.against import Evaluated, paired, read_evaluation
from pixelcnn.tasks.conditions import named, named_kind, require_same_classes, way_between
from pixelcnn.training.metrics import ImageScores
from pixelcnn.training.progress import RunProgress
from pixelcnn.training.record import run_record, write_record

log = logging.getLogger(__name__)

ORIGINAL_BATCH = 128  # 8 GPUs x 16 images; the original's test loop drops the last batch if it is not full
HALF = 0.5  # halfway between two conditions
RANKED = 16  # best and worst images in the report


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> float | None:
    """Write ``metrics.json``, ``per_image.csv`` and ``report.html``; returns the split's score."""
    full_float32()
    options, task, split = config.trainer, config.task, config.task.split
    require_float32(options)
    model = load(config.checkpoint, trusted_packages(config))
    other = None if task.against is None else read_evaluation(task.against, model.score_name)
    data = instantiated(config, "data")
    data.prepare_data()
    data.setup("test" if split == "test" else "validate")
    require_agreement(model.description, config.checkpoint, config, overrides, data.shape)
    other_images = other_size(model.description, config.checkpoint, data.shape)
    if other_images is not None:
        rank_zero_only(log.warning)(other_images)
    if split == "val":
        images = {"val": fingerprint_of(data, "val")}
        require_same_run(read(config.checkpoint)["pixelcnn"], images, config, HELD_OUT, remedy="give that one")
    size = data.shape.height, data.shape.width
    fixed, given = fixed_condition(model, *size, task)
    if fixed is None:
        require_conditions(model.description, f"checkpoint={config.checkpoint}", data.condition_sizes)
        require_same_classes(model, data.class_names, config.checkpoint)
    evaluation = Evaluation(model, fixed, options)
    shown: list[Callback] = [] if options.enable_progress_bar is False else [RunProgress()]
    trainer = build_trainer(options, [], shown, run_dir)
    since = time.monotonic()
    (trainer.test if split == "test" else trainer.validate)(evaluation, datamodule=data, verbose=False)
    seconds = time.monotonic() - since
    rows = evaluation.rows
    if rows is None:  # with a limit of 0 Lightning does not even start
        raise left_out(options)
    assert len(rows[0]) == len(set(rows[0].tolist())) == data.num_images_of(split)
    if not trainer.is_global_zero:
        return None
    return write_results(config, overrides, run_dir, model, data, trainer, seconds, given, other, *rows)


def write_results(
    config: DictConfig,
    overrides: list[str],
    run_dir: Path,
    model: PixelModel,
    data: ImageDataModule,
    trainer: Trainer,
    seconds: float,
    given: str | None,
    other: Evaluated | None,
    index: np.ndarray,
    label: np.ndarray,
    nats: np.ndarray,
) -> float:
    """Leave and print what ``trainer`` has found; index, label and nats are those of `ImageScores.rows`, ``given`` is
    the condition of all images, if they had one, and ``other`` the evaluation to compare with."""
    split, score = config.task.split, model.score_name
    bits = nats / (math.log(2) * data.shape.height * data.shape.width)
    of_images = bits.mean(axis=1)
    write_per_image(run_dir / "per_image.csv", score, index, label, bits, data.class_names)
    values = summary(score, of_images)
    if other is not None:
        values |= paired(Evaluated(index, label, of_images), other, config.task.against, score)
    metrics = {f"{split}/{name}": value for name, value in values.items()}
    write_record(run_dir / "metrics.json", metrics)
    labels = label if (label >= 0).all() else None
    evaluated = EvaluatedSplit(
        run_dir=run_dir,
        checkpoint=config.checkpoint,
        split=split,
        score_name=score,
        given=given,
        against=config.task.against,
        other_size=other_size(model.description, config.checkpoint, data.shape),
        metrics=metrics,
        images=ranking(data, split, index, labels, of_images),
        labels=labels,
        class_names=data.class_names,
        by_channel=dict(zip(CHANNELS[bits.shape[1]], bits.mean(axis=0).tolist(), strict=False)),
        seconds=seconds,
        world_size=trainer.world_size,
        record=run_record(model, trainer.strategy.root_device),
        overrides=overrides,
        config=recorded(config, model.description),
    )
    write_page(evaluation_page(evaluated), run_dir / "report.html")
    print(f"Report: {run_dir / 'report.html'}")
    print(describe(split, score, metrics, given))
    if other is not None:
        print(f"{difference_in_words(split, score, metrics)} against {config.task.against}, paired by image")
    return float(of_images.mean())


def fixed_condition(model: PixelModel, height: int, width: int, task: DictConfig) -> tuple[Tensor | None, str | None]:
    """The condition that ``task`` names for all images, first axis 1, and what to call it; None where it names none."""
    kind = named_kind(task)
    if kind is None:
        return None, None
    first = f"task.{kind}={task[kind]}"
    if task.interpolate_to is None:
        return named(model, height, width, kind, task[kind], first).condition, first
    share = HALF if task.interpolate_at is None else task.interpolate_at
    _, way = way_between(model, height, width, task, torch.tensor([share]))
    return way, f"the point {share:g} between {first} and {task.interpolate_to}"


def require_float32(options: DictConfig) -> None:
    """Raise UserError where the Trainer would leave out digits."""
    if str(options.precision) not in ("None", "32", "32-true"):
        raise UserError(
            f"trainer.precision={options.precision} is not for task=evaluate, which uses float32: leave it out."
        )


def left_out(options: DictConfig) -> UserError:
    """What to say where ``options`` have the Trainer leave out images."""
    defaults = arguments_of(imported(options._target_, "trainer"))
    names = [name for name in (*AMOUNTS, "fast_dev_run") if options[name] != defaults[name].default]
    keys = " with ".join(f"trainer.{name}={options[name]}" for name in names)
    return UserError(f"{keys} would not score all images of the split: leave it out.")


class Evaluation(LightningModule):
    """Scores the images of a split under ``model``: given ``condition``, first axis 1, or each given its own.

    ``rows`` are those of `ImageScores.rows`, once all images are scored.
    """

    def __init__(self, model: PixelModel, condition: Tensor | None, options: DictConfig) -> None:
        super().__init__()
        self.options = options
        self.model = model
        self.condition = condition
        self.scores = ImageScores()
        self.rows: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def on_test_start(self) -> None:
        self._require_whole(self.trainer.test_dataloaders, self.trainer.num_test_batches)

    def on_validation_start(self) -> None:
        self._require_whole(self.trainer.val_dataloaders, self.trainer.num_val_batches)

    def _require_whole(self, loader: Any, batches: list[int | float]) -> None:
        """Raise UserError where the Trainer would leave out images."""
        if batches != [len(loader)]:
            raise left_out(self.options)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        images, fixed = batch["images"], self.condition
        if fixed is None:
            condition = self.model.condition_in(batch)
        else:
            condition = fixed.to(images.device).expand(len(images), *fixed.shape[1:])
        log_prob = self.model.log_prob_by_channel(images, condition)
        self.scores.update(batch["index"], batch.get("labels"), -log_prob)

    def on_test_epoch_end(self) -> None:
        # Not after the loop: Lightning's teardown moves the scores to the CPU, where NCCL gathers nothing.
        self.rows = self.scores.rows()

    validation_step = test_step
    on_validation_epoch_end = on_test_epoch_end


def summary(score: str, bits: np.ndarray) -> dict[str, float]:
    """The score of a split, called ``score``, from those of its images, float64 (N,), in the order of the split.

    ``SCORE_ci95`` is the half-width of the 95 % confidence interval over images (1.96 standard errors), which a single
    image does not have.
    ``SCORE_original_protocol`` drops the last partial batch of 128, as the original's test loop did; it is left out
    where nothing is dropped or nothing would be left.
    """
    values = {score: float(bits.mean()), "num_images": len(bits)}
    if len(bits) > 1:
        values[f"{score}_ci95"] = float(1.96 * bits.std(ddof=1) / math.sqrt(len(bits)))
    kept = len(bits) // ORIGINAL_BATCH * ORIGINAL_BATCH
    if 0 < kept < len(bits):
        values[f"{score}_original_protocol"] = float(bits[:kept].mean())
    return values


def describe(split: str, score: str, metrics: dict[str, float], given: str | None = None) -> str:
    """One line for the terminal; ``given`` names the condition of all images, if they had one."""
    value, interval = metrics[f"{split}/{score}"], metrics.get(f"{split}/{score}_ci95")
    told = "" if interval is None else f" (95 % interval +-{interval:.4f})"
    images = metrics[f"{split}/num_images"]
    return f"{split}: {in_words(score, f'{value:.4f}', given)}{told} over {plural(int(images), 'image')}"


def ranking(
    data: ImageDataModule, split: str, index: np.ndarray, labels: np.ndarray | None, scores: np.ndarray
) -> Ranking:
    """The scores of all images and, with their pixels, the images of the lowest and of the highest."""

    def at(places: np.ndarray) -> list[Example]:
        pixels = black_to_white(data.at(split, index[places])["images"], data.shape.levels).numpy()
        shown = None if labels is None else labels[places]
        return examples(index[places], shown, scores[places], pixels, data.class_names)

    order = scores.argsort(kind="stable")
    return Ranking(scores, at(order[:RANKED]), at(order[::-1][:RANKED]))


def write_per_image(
    path: Path,
    score: str,
    index: np.ndarray,
    label: np.ndarray,
    bits: np.ndarray,
    class_names: Sequence[str] | None = None,
) -> None:
    """One line an image: index, label (empty without), its score, the part of each channel given those before, and what
    the label is called, if it has a name.

    bits: float64 (N, C), bits per pixel of each channel. Where the score is a bound, its parts are one only together.
    """
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        parts = by_channel(score, bits.shape[1])
        named = [] if class_names is None else ["class"]
        table.writerow(["index", "label", score, *parts, *named])
        for i, of_label, of_image in zip(index, label, bits, strict=True):
            split_up = of_image.tolist() if parts else []
            name = [label_in_words(of_label, class_names) for _ in named]
            table.writerow([i, of_label if of_label >= 0 else "", float(of_image.mean()), *split_up, *name])
