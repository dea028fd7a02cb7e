"""``task=ood``: scores images in and out of a model's distribution, and measures how well each score separates them."""

import csv
import io
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig

from pixelcnn.checkpoint import load
from pixelcnn.conditioning import Condition
from pixelcnn.conditioning.several import kinds_of
from pixelcnn.configuration.description import recorded, require_agreement
from pixelcnn.configuration.groups import instantiated, parts_of, trusted_packages
from pixelcnn.data.base import ImageDataModule
from pixelcnn.durable import replacing
from pixelcnn.errors import UserError, require
from pixelcnn.execution import full_float32
from pixelcnn.launch.devices import one_device
from pixelcnn.model import PixelModel
from pixelcnn.ood import Detection, detection, of_batches
from pixelcnn.pictures import black_to_white
from pixelcnn.report.detection import MEASURES, DetectionRun, ScoredSets, detection_page, roc_plot
from pixelcnn.report.maps import Mapped
from pixelcnn.report.page import write as write_page
from pixelcnn.tasks.conditions import for_images, given_in
from pixelcnn.tasks.out_scores import Score, ScoringOfSets, scores_of
from pixelcnn.tasks.out_sets import INSIDE, out_sets, title_of
from pixelcnn.training.progress import Line
from pixelcnn.training.record import run_record, write_record


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> None:
    """Write ``scores.csv``, ``metrics.json``, ``roc.png`` and ``report.html``."""
    full_float32()
    since = time.monotonic()
    model, scores = load(config.checkpoint, trusted_packages(config)), scores_of(config)
    data = instantiated(config, "data")
    data.prepare_data()
    data.setup("test")
    require_agreement(model.description, config.checkpoint, config, overrides, data.shape)
    sets = {INSIDE: data, **out_sets(config, data.shape)}
    places = {name: _places(one, config.task.num_images) for name, one in sets.items()}
    condition = _condition(config, model, data)
    _require_batches(scores, places)
    model.to(torch.device(one_device(config.trainer)))
    scoring = ScoringOfSets(model, scores, condition, data.batch_size)
    scoring.given["trust"] = trusted_packages(config)
    if any(score.needs_reference for score in scores):
        scoring.compare_with(data, config.task.num_reference)
    total = sum(-(-len(one) // data.batch_size) for one in places.values())
    with Line("scoring images", total, data.batch_size) as line:
        found = {name: scoring.scored(one, places[name], line.advanced) for name, one in sets.items()}
    _require_numbers(found, places)
    scored, columns = {}, {}
    for score in scores:
        values = {name: one[score.name] for name, one in found.items()}
        batches, columns[score.name] = _grouped(score, values, config.seed)
        surprising = {
            name: _surprising(scoring, score, one, places[name], values[name], config) for name, one in sets.items()
        }
        scored[score.name] = ScoredSets(score.batch, batches, _separations(batches, config), surprising)
    keys = [*parts_of(config, "data").values(), *parts_of(config, "against").values()]
    result = DetectionRun(
        run_dir=run_dir,
        checkpoint=config.checkpoint,
        titles={name: title_of(name, values) for name, values in zip(sets, keys, strict=True)},
        num_images={name: len(one) for name, one in places.items()},
        scored=scored,
        seconds=time.monotonic() - since,
        record=run_record(model, scoring.device),
        overrides=overrides,
        config=recorded(config, model.description),
    )
    _write_scores(run_dir / "scores.csv", places, columns)
    _write_result(result)


def _separations(batches: Mapping[str, np.ndarray], config: DictConfig) -> dict[str, Detection]:
    inside, *others = batches
    arguments = config.task.resamples, config.seed
    return {name: detection(batches[inside], batches[name], *arguments) for name in others}


def _write_result(result: DetectionRun) -> None:
    """Write and print the results."""
    run_dir = result.run_dir
    write_record(run_dir / "metrics.json", metrics_of(result))
    with replacing(run_dir / "roc.png") as file:
        file.write(roc_plot(result).png)
    write_page(detection_page(result), run_dir / "report.html")
    print(f"Report: {run_dir / 'report.html'}")
    for name, sets in result.scored.items():
        for outside, one in sets.separations.items():
            low, high = one.intervals["auroc"]
            print(f"{name}: AUROC {one.values['auroc']:.4f} [{low:.4f}, {high:.4f}], {result.titles[outside]}")


def metrics_of(result: DetectionRun) -> dict[str, float]:
    """``auroc/SCORE``, ``aupr/SCORE``, ``fpr95/SCORE`` and their intervals as ``auroc_low/SCORE`` and ``…_high/SCORE``.

    With several sets there is one per set, ``auroc/SCORE/SET``.
    """
    metrics: dict[str, float] = {f"num_images/{name}": count for name, count in result.num_images.items()}
    for name, sets in result.scored.items():
        for outside, one in sets.separations.items():
            of = name if len(sets.separations) == 1 else f"{name}/{outside}"
            for measure in MEASURES:
                low, high = one.intervals[measure]
                metrics[f"{measure}/{of}"] = one.values[measure]
                metrics |= {f"{measure}_low/{of}": low, f"{measure}_high/{of}": high}
    return metrics


def _places(data: ImageDataModule, num_images: int | None) -> np.ndarray:
    return data.evenly_spaced("test", data.num_images_of("test") if num_images is None else num_images)


def _condition(config: DictConfig, model: PixelModel, data: ImageDataModule) -> Condition:
    """The condition that the task sets for all images, first axis 1; None for a model that takes none.

    UserError if one is missing, and for a model whose score is not bits/dim.
    """
    if model.score_name != "bits_per_dim":
        raise UserError(
            f"checkpoint={config.checkpoint} is a model with {model.score_name}, not the bits_per_dim that task=ood "
            "needs: use another model."
        )
    given, kinds = given_in(config.task, model, data.shape.height, data.shape.width), kinds_of(model.conditioning)
    missing = [key for key in kinds if given is None or key not in given.conditions]
    if missing:
        raise UserError(
            f"checkpoint={config.checkpoint} is conditioned on {' and '.join(missing)}, which differ in meaning "
            "between data sets: give one for all images with task.label, task.condition or task.image."
        )
    return for_images(model, given, 1, {})


def _require_batches(scores: Iterable[Score], places: Mapping[str, np.ndarray]) -> None:
    for score in scores:
        for name, one in places.items():
            key = f"scores.{score.name}.batch"
            remedy = f"use at most {len(one)}, the number of images of the set {name}"
            require(score.batch <= len(one), key, score.batch, remedy)


def _require_numbers(found: Mapping[str, Mapping[str, np.ndarray]], places: Mapping[str, np.ndarray]) -> None:
    for name, scores in found.items():
        for score, values in scores.items():
            if np.isnan(values).any():
                place = places[name][np.isnan(values).argmax()]
                raise UserError(f"scores.{score} is NaN for image {place} of the set {name}: leave the score out.")


def _grouped(
    score: Score, of_images: Mapping[str, np.ndarray], seed: int
) -> tuple[dict[str, np.ndarray], dict[str, list[float | None]]]:
    """The scores of each set's batches, and for each image its batch's score, None if it is left over."""
    batches, columns = {}, {}
    for name, values in of_images.items():
        batches[name], place = of_batches(values, score.batch, score.two_sided, seed)
        columns[name] = [None if k < 0 else float(batches[name][k]) for k in place]
    return batches, columns


def _surprising(
    scoring: ScoringOfSets,
    score: Score,
    data: ImageDataModule,
    places: np.ndarray,
    values: np.ndarray,
    config: DictConfig,
) -> list[Mapped]:
    """The images with the highest scores and their maps; empty if the score has no map."""
    shown = np.abs(values) if score.two_sided else values
    order = (-shown).argsort(kind="stable")[: config.task.num_maps]
    maps = scoring.maps(score, data, places[order]) if len(order) else None
    if maps is None:
        return []
    pixels = black_to_white(data.at("test", places[order])["images"], data.shape.levels).numpy()
    shown_maps = zip(places[order].tolist(), shown[order].tolist(), pixels, maps, strict=True)
    return [Mapped(*one) for one in shown_maps]


def _write_scores(
    path: Path, places: Mapping[str, np.ndarray], columns: Mapping[str, Mapping[str, list[float | None]]]
) -> None:
    """One line per image: its set, its index there, and every score, empty for images left over from batches."""
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["set", "index", *columns])
    for name, indices in places.items():
        of_set = [column[name] for column in columns.values()]
        rows.writerows([name, index, *values] for index, *values in zip(indices, *of_set, strict=True))
    with replacing(path) as file:
        file.write(table.getvalue().encode())
