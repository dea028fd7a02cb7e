"""``task=evaluate``: scores every image of a split exactly once, and the split as a whole.

The score is bits/dim, or for models that score something else what `PixelModel.score_name` says, which is its name in
all files.
"""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from pytorch_lightning import Trainer
from torch import Tensor

from pixelcnn.checkpoint import load
from pixelcnn.conditioning.condition import Condition, on_device
from pixelcnn.conditioning.several import by_key
from pixelcnn.configuration.description import other_size, recorded
from pixelcnn.configuration.groups import trusted_packages
from pixelcnn.configuration.tasks import CONDITIONS
from pixelcnn.data.base import ImageDataModule
from pixelcnn.data.batches import Batch
from pixelcnn.durable import replacing
from pixelcnn.errors import UserError
from pixelcnn.execution import full_float32
from pixelcnn.model import PixelModel
from pixelcnn.orders import ALL, ORDERS, averaged
from pixelcnn.pictures import black_to_white
from pixelcnn.report.evaluation import EvaluatedSplit, HeatMaps, difference_in_words, evaluation_page
from pixelcnn.report.maps import heat_maps, mean_map
from pixelcnn.report.page import write as write_page
from pixelcnn.report.scored_images import Example, Ranking, examples
from pixelcnn.report.words import label_in_words, plural
from pixelcnn.scores import as_label, by_channel, channel_names, in_words, per_image
from pixelcnn.tasks.against import Evaluated, paired, read_evaluation
from pixelcnn.tasks.conditions import Given, for_images, given_in, require_own, way_between
from pixelcnn.tasks.scoring import Scoring, half_width, require_float32, score_split, split_of
from pixelcnn.training.metrics import MeanMap
from pixelcnn.training.record import run_record, write_record

ORIGINAL_BATCH = 128  # 8 GPUs x 16 images; the original's test loop drops the last batch if it is not full
HALF = 0.5  # halfway between two conditions
RANKED = 16  # best and worst images in the report


class Evaluation(Scoring):
    """The score of each image by channel, in bits, given the condition ``fixed``, or each image's own if that is None.

    With several ``orders``: the score over them, and that of each, in bits per image, (N, 1 + K). ``mean_map``, float64
    (C, H, W), is the mean of all maps of ``map_shape``, available once all images are scored.
    """

    def __init__(
        self,
        model: PixelModel,
        fixed: Given | None,
        options: DictConfig,
        map_shape: tuple[int, int, int],
        orders: Sequence[str] = (),
    ) -> None:
        super().__init__(model, options)
        self.fixed, self.orders = fixed, orders
        self.mean = MeanMap(map_shape)
        self.mean_map: np.ndarray | None = None

    def _condition(self, batch: Batch) -> Condition:
        images = batch["images"]
        return on_device(for_images(self.model, self.fixed, len(images), batch), images.device)

    def score_map(self, batch: Batch) -> Tensor:
        """`PixelModel.score_map` of a batch's images, (N, C, H, W)."""
        return self.model.score_map(batch["images"], self._condition(batch))

    def of_batch(self, batch: Batch) -> Tensor:
        if self.orders:
            images, condition = batch["images"], self._condition(batch)
            each = torch.stack([self.model.log_prob(images, condition, order).double() for order in self.orders])
            return torch.cat([averaged(each)[None], each]).T / -math.log(2)
        maps = self.score_map(batch)
        self.mean.update(maps)
        return maps.sum(dim=(2, 3))

    def gather(self) -> None:
        super().gather()
        self.mean_map = None if self.orders else self.mean.compute().cpu().numpy()

    @torch.no_grad()
    def maps_at(self, data: ImageDataModule, split: str, index: np.ndarray, device: torch.device) -> np.ndarray:
        """`score_map` of the images of ``split`` at ``index`` (M,), in the data set's batches: float32 (M, C, H, W)."""
        self.to(device)
        parts = [data.at(split, index[i : i + data.batch_size]) for i in range(0, len(index), data.batch_size)]
        on_device = ({name: values.to(device) for name, values in batch.items()} for batch in parts)
        return torch.cat([self.score_map(batch).cpu() for batch in on_device]).numpy()


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> float | None:
    """Write ``metrics.json``, ``per_image.csv`` and ``report.html``; returns the split's score."""
    full_float32()
    task, split = config.task, config.task.split
    require_float32(config)
    model = load(config.checkpoint, trusted_packages(config))
    other = None if task.against is None else read_evaluation(task.against, model.score_name)
    data = split_of(config, overrides, model)
    size = data.shape.height, data.shape.width
    fixed, given = fixed_condition(model, *size, task)
    require_own(model, fixed, data, config.checkpoint)
    evaluation = Evaluation(model, fixed, config.trainer, (data.shape.channels, *size), orders_of(config, model))
    trainer, seconds = score_split(evaluation, data, split, run_dir)
    if not trainer.is_global_zero:
        return None
    return write_results(config, overrides, run_dir, evaluation, data, trainer, seconds, given, other)


def write_results(
    config: DictConfig,
    overrides: list[str],
    run_dir: Path,
    evaluation: Evaluation,
    data: ImageDataModule,
    trainer: Trainer,
    seconds: float,
    given: str | None,
    other: Evaluated | None,
) -> float:
    """Write and print the results of ``evaluation``; ``given``: the condition of all images, if there was one;
    ``other``: the evaluation to compare with."""
    model, device = evaluation.model, trainer.strategy.root_device
    split, score = config.task.split, model.score_name
    assert evaluation.rows is not None
    index, label, found = evaluation.rows
    if evaluation.orders:
        bits, of_orders = np.split(found / data.shape.dimensions, [1], axis=1)
    else:
        bits, of_orders = found / (data.shape.height * data.shape.width), found[:, :0]
    by_order = dict(zip(evaluation.orders, of_orders.mean(axis=0).tolist(), strict=True))
    of_images = bits.mean(axis=1)
    write_per_image(run_dir / "per_image.csv", score, index, label, bits, data.class_names)
    values = summary(score, of_images, data.shape.dimensions)
    values |= {f"{score}_{order}": value for order, value in by_order.items()}
    if other is not None:
        values |= paired(Evaluated(index, label, of_images), other, config.task.against, score)
    metrics = {f"{split}/{name}": value for name, value in values.items()}
    write_record(run_dir / "metrics.json", metrics)
    labels = label if (label >= 0).all() else None
    count = config.task.maps
    ranked = ranking(data, split, index, labels, of_images, max(RANKED, count))
    maps = write_maps(run_dir, count, evaluation, data, split, ranked, device) if count else None
    evaluated = EvaluatedSplit(
        run_dir=run_dir,
        checkpoint=config.checkpoint,
        split=split,
        score_name=score,
        given=given,
        against=config.task.against,
        other_size=other_size(model.description, config.checkpoint, data.shape),
        metrics=metrics,
        images=ranked,
        maps=maps,
        labels=labels,
        class_names=data.class_names,
        by_channel=dict(zip(channel_names(bits.shape[1]), bits.mean(axis=0).tolist(), strict=False)),
        by_order=by_order,
        seconds=seconds,
        world_size=trainer.world_size,
        record=run_record(model, device),
        overrides=overrides,
        config=recorded(config, model.description),
    )
    write_page(evaluation_page(evaluated), run_dir / "report.html")
    print(f"Report: {run_dir / 'report.html'}")
    print(describe(split, score, metrics, given))
    if by_order:
        alone = f"{min(by_order.values()):.4f} to {max(by_order.values()):.4f}"
        print(
            f"Probabilities are averaged over {len(by_order)} orders; each order alone: {in_words(score, alone, given)}"
        )
    if other is not None:
        print(f"{difference_in_words(split, score, metrics)} against {config.task.against}, paired by image")
    return float(of_images.mean())


def orders_of(config: DictConfig, model: PixelModel) -> tuple[str, ...]:
    """The orders that ``task.orders`` averages over, none if it is 1; UserError if ``model`` knows only one."""
    count = config.task.orders
    if count > 1 and model.orders.name != ALL:
        raise UserError(
            f"task.orders={count} needs a model of all orders, and checkpoint={config.checkpoint} has "
            f"model.order={model.orders.name}: leave it out, or train one with model.order=all."
        )
    return ORDERS[:count] if count > 1 else ()


def fixed_condition(model: PixelModel, height: int, width: int, task: DictConfig) -> tuple[Given | None, str | None]:
    """The condition that ``task`` sets for all images, and its name in messages; None if it sets none."""
    first = " and ".join(f"task.{key}={task[key]}" for key in CONDITIONS if task[key] is not None)
    if task.interpolate_to is None:
        return given_in(task, model, height, width), first or None
    share = HALF if task.interpolate_at is None else task.interpolate_at
    _, way = way_between(model, height, width, task, torch.tensor([share]))
    told = f"the point {share:g} between {first} and {task.interpolate_to}"
    return Given(by_key(model.conditioning, way)), told


def summary(score: str, bits: np.ndarray, dimensions: int) -> dict[str, float]:
    """The score of a split, called ``score``, from those of its images, float64 (N,), in the order of the split.

    Beside bits/dim there are bits and nats per image of that many ``dimensions``. ``SCORE_ci95`` is the half-width of
    the 95 % confidence interval over several images (1.96 standard errors). ``SCORE_original_protocol`` drops the last
    partial batch of 128, as the original's test loop did; it is left out if nothing is dropped or would remain.
    """
    values = {score: float(bits.mean()), "num_images": len(bits), **half_width(score, bits)}
    for name, unit in per_image(score).items():
        values[name] = values[score] * dimensions * math.log(2) / unit
    kept = len(bits) // ORIGINAL_BATCH * ORIGINAL_BATCH
    if 0 < kept < len(bits):
        values[f"{score}_original_protocol"] = float(bits[:kept].mean())
    return values


def describe(split: str, score: str, metrics: dict[str, float], given: str | None = None) -> str:
    """One line for the terminal; ``given`` names the condition of all images, if there was one."""
    value, interval = metrics[f"{split}/{score}"], metrics.get(f"{split}/{score}_ci95")
    told = "" if interval is None else f" (95 % interval +-{interval:.4f})"
    images = metrics[f"{split}/num_images"]
    return f"{split}: {in_words(score, f'{value:.4f}', given)}{told} over {plural(int(images), 'image')}"


def write_maps(
    run_dir: Path,
    count: int,
    evaluation: Evaluation,
    data: ImageDataModule,
    split: str,
    images: Ranking,
    device: torch.device,
) -> HeatMaps:
    """Write ``maps.npz``, ``maps.png`` and ``mean_map.png``: where the bits go in the ``count`` best and worst of
    ``images``, and on average.

    The arrays: ``mean`` float64 (C, H, W) over the split, ``index`` (M,), the best first and then the worst, and
    their ``maps`` float32 (M, C, H, W).
    """
    best, worst = images.best[:count], images.worst[:count]
    index = np.array([example.index for example in (*best, *worst)])
    maps = evaluation.maps_at(data, split, index, device)
    assert evaluation.mean_map is not None
    np.savez(run_dir / "maps.npz", mean=evaluation.mean_map, index=index, maps=maps)
    of_pixels = list(maps.mean(axis=1))
    label = as_label(evaluation.model.score_name)
    drawn = heat_maps(best, of_pixels[: len(best)], worst, of_pixels[len(best) :], label)
    mean = mean_map(evaluation.mean_map.mean(axis=0), label)
    for plot, name in ((drawn, "maps.png"), (mean, "mean_map.png")):
        with replacing(run_dir / name) as file:
            file.write(plot.png)
    return HeatMaps(drawn.picture, mean.picture)


def ranking(
    data: ImageDataModule, split: str, index: np.ndarray, labels: np.ndarray | None, scores: np.ndarray, most: int
) -> Ranking:
    """The scores of all images, and the images with the ``most`` lowest and ``most`` highest scores."""

    def at(places: np.ndarray) -> list[Example]:
        pixels = black_to_white(data.at(split, index[places])["images"], data.shape.levels).numpy()
        shown = None if labels is None else labels[places]
        return examples(index[places], shown, scores[places], pixels, data.class_names)

    order = scores.argsort(kind="stable")
    return Ranking(scores, at(order[:most]), at(order[::-1][:most]))


def write_per_image(
    path: Path,
    score: str,
    index: np.ndarray,
    label: np.ndarray,
    bits: np.ndarray,
    class_names: Sequence[str] | None = None,
) -> None:
    """One line per image: index, label (may be empty), score, the score of each channel given those before, and the
    label's name if it has one.

    bits: float64 (N, C), bits per pixel of each channel. If the score is a bound, only their sum is a bound.
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
