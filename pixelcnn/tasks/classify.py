"""``task=classify``: classifies every image of a split by Bayes' rule with a class-conditional model."""

import csv
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from pytorch_lightning import Trainer
from sklearn.calibration import calibration_curve
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error, multiclass_confusion_matrix

from pixelcnn.checkpoint import load
from pixelcnn.conditioning.several import by_key
from pixelcnn.configuration.description import recorded, require_conditions
from pixelcnn.configuration.groups import trusted_packages
from pixelcnn.data.base import ImageDataModule
from pixelcnn.data.batches import Batch
from pixelcnn.durable import replacing
from pixelcnn.errors import UserError
from pixelcnn.execution import full_float32
from pixelcnn.model import PixelModel
from pixelcnn.pictures import black_to_white
from pixelcnn.report.classification import ClassifiedSplit, Mistake, calibration, classification_page, confusion
from pixelcnn.report.page import write as write_page
from pixelcnn.report.words import label_in_words, plural
from pixelcnn.tasks.conditions import require_same_classes
from pixelcnn.tasks.scoring import Scoring, half_width, require_float32, score_split, split_of
from pixelcnn.training.record import run_record, write_record

BINS = 15  # of confidences, as in Guo et al. 2017, "On Calibration of Modern Neural Networks"
MISTAKES = 16  # in the report, the most confident ones


class Classification(Scoring):
    """The log-posterior of each class, in nats, given the ``prior`` (K,)."""

    def __init__(self, model: PixelModel, prior: Tensor | None, options: DictConfig) -> None:
        super().__init__(model, options)
        self.prior = prior

    def of_batch(self, batch: Batch) -> Tensor:
        images = batch["images"]
        condition = self.model.condition_in({**batch, "labels": batch["index"]})
        others = {key: one for key, one in by_key(self.model.conditioning, condition).items() if key != "labels"}
        return self.model.classify(images, self.prior, len(images), others)


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> None:
    """Write ``metrics.json``, ``per_image.csv``, ``confusion.png``, ``calibration.png`` and ``report.html``."""
    full_float32()
    task = config.task
    require_float32(config)
    model = load(config.checkpoint, trusted_packages(config))
    require_classes(model, config)
    data = split_of(config, overrides, model)
    require_conditions(model.description, f"checkpoint={config.checkpoint}", data.condition_sizes)
    require_same_classes(model, data.class_names, config.checkpoint)
    prior = None if task.prior is None else torch.tensor(task.prior, dtype=torch.float64)
    scoring = Classification(model, prior, config.trainer)
    trainer, seconds = score_split(scoring, data, task.split, run_dir)
    if trainer.is_global_zero:
        write_results(config, overrides, run_dir, scoring, data, trainer, seconds)


def require_classes(model: PixelModel, config: DictConfig) -> None:
    """Raise UserError if the model has no classes or no density, or ``task.prior`` does not fit its classes."""
    name, prior = model.description.conditioning.name, config.task.prior
    if model.num_classes is None:
        raise UserError(
            f"checkpoint={config.checkpoint} is not class-conditional (conditioning={name}): "
            "give task=classify a model trained with conditioning=class."
        )
    if not model.likelihood.has_density:
        likelihood = model.description.likelihood.name
        raise UserError(f"likelihood={likelihood} has no density to classify by: use a model with another likelihood.")
    if prior is not None and len(prior) != model.num_classes:
        raise UserError(
            f"task.prior={prior} has {len(prior)} numbers for {model.num_classes} classes: give one for each."
        )


def write_results(
    config: DictConfig,
    overrides: list[str],
    run_dir: Path,
    scoring: Classification,
    data: ImageDataModule,
    trainer: Trainer,
    seconds: float,
) -> None:
    """Write and print the results of ``trainer``."""
    assert scoring.rows is not None
    split, (index, label, log_posterior) = config.task.split, scoring.rows
    posterior = np.exp(log_posterior)
    names = data.class_names or scoring.model.class_names
    write_per_image(run_dir / "per_image.csv", index, label, posterior)
    values = summary(label, log_posterior)
    metrics = {f"{split}/{name}": value for name, value in values.items()}
    write_record(run_dir / "metrics.json", metrics)
    predicted = posterior.argmax(axis=1)
    counts = multiclass_confusion_matrix(
        torch.from_numpy(predicted), torch.from_numpy(label), num_classes=posterior.shape[1]
    ).numpy()
    confidence = posterior.max(axis=1)
    right, told = calibration_curve(predicted == label, confidence.clip(max=1), n_bins=BINS)
    plots = {
        "confusion.png": confusion(counts, [label_in_words(k, names) for k in range(len(counts))]),
        "calibration.png": calibration(told, right, confidence),
    }
    for name, plot in plots.items():
        with replacing(run_dir / name) as file:
            file.write(plot.png)
    wrong = np.flatnonzero(predicted != label)
    shown = wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES]
    pixels = black_to_white(data.at(split, index[shown])["images"], data.shape.levels).numpy()
    mistakes = [
        Mistake(int(index[i]), label_in_words(int(label[i]), names), label_in_words(int(predicted[i]), names), p, image)
        for i, p, image in zip(shown, confidence[shown].tolist(), pixels, strict=True)
    ]
    classified = ClassifiedSplit(
        run_dir=run_dir,
        checkpoint=config.checkpoint,
        split=split,
        metrics=metrics,
        counts=counts,
        class_names=names,
        prior=config.task.prior,
        plots=[plot.picture for plot in plots.values()],
        mistakes=mistakes,
        seconds=seconds,
        world_size=trainer.world_size,
        record=run_record(scoring.model, trainer.strategy.root_device),
        overrides=overrides,
        config=recorded(config, scoring.model.description),
    )
    write_page(classification_page(classified), run_dir / "report.html")
    print(f"Report: {run_dir / 'report.html'}")
    print(
        f"{split}: {100 * values['accuracy']:.2f} % of {plural(len(index), 'image')} classified correctly "
        f"(expected calibration error {100 * values['ece']:.2f} %)"
    )


def summary(label: np.ndarray, log_posterior: np.ndarray) -> dict[str, float]:
    """Accuracy, calibration and log loss of labels int64 (N,) and log-posteriors in nats, float64 (N, K).

    ``ece``: the expected calibration error of Guo et al. 2017 with `BINS` bins. ``log_loss``: the mean, in nats, of
    -log p(label | image). ``accuracy_ci95``: the half-width of the 95 % confidence interval over images.
    """
    right = (log_posterior.argmax(axis=1) == label).astype(float)
    posterior, labels = torch.from_numpy(np.exp(log_posterior)), torch.from_numpy(label)
    ece = multiclass_calibration_error(posterior, labels, num_classes=posterior.shape[1], n_bins=BINS)
    return {
        "accuracy": float(right.mean()),
        "ece": float(ece),
        "log_loss": float(-log_posterior[np.arange(len(label)), label].mean()),
        "num_images": len(label),
        **half_width("accuracy", right),
    }


def write_per_image(path: Path, index: np.ndarray, label: np.ndarray, posterior: np.ndarray) -> None:
    """One line per image: index, label, the likeliest class, and the posterior (N, K) of each class."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["index", "label", "predicted", *(f"posterior_{k}" for k in range(posterior.shape[1]))])
        for i, of_label, row in zip(index, label, posterior, strict=True):
            table.writerow([i, of_label, row.argmax(), *row.tolist()])
