"""The report of a classification."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from pixelcnn.report import origin
from pixelcnn.report.images import single
from pixelcnn.report.page import Outcome, Page, Picture, Section, Table
from pixelcnn.report.plots import FIRST, LINES, SECOND, STYLE, TEXT, Plot, bare, plot_of
from pixelcnn.report.words import count, duration, label_in_words, plural

WRITTEN = 20  # up to this many classes, counts and names are written into the matrix


@dataclass(frozen=True, eq=False)
class Mistake:
    """An image whose likeliest class is not its label; both as text."""

    index: int
    label: str
    predicted: str
    posterior: float  # of the predicted class
    pixels: np.ndarray  # uint8 (C, H, W), 0 .. 255


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassifiedSplit(origin.Reported):
    """A classification, as its report needs it."""

    checkpoint: str
    split: str
    metrics: Mapping[str, float]  # as in metrics.json
    counts: np.ndarray  # int (K, K): rows are labels, columns predicted classes
    class_names: Sequence[str] | None
    prior: Sequence[float] | None
    plots: list[Picture]  # confusion matrix, calibration
    mistakes: list[Mistake]
    seconds: float


def classification_page(classified: ClassifiedSplit) -> Page:
    """The report of ``classified``."""
    matrix, calibrated = classified.plots
    return origin.page_about(
        classified,
        "Classification by",
        "classification",
        _outcome(classified),
        _facts(classified),
        [
            Section("Confusion matrix", "Rows are labels, columns predicted classes.", pictures=[matrix]),
            Section(
                "Calibration",
                "Accuracy against the posterior of the predicted class. Below: the number of images by posterior.",
                pictures=[calibrated],
            ),
            _classes(classified),
            *_mistakes(classified),
        ],
    )


def confusion(counts: np.ndarray, names: Sequence[str]) -> Plot:
    """The number of images of each label (rows) predicted as each class (columns); colours are fractions of a row."""
    classes = len(counts)
    few = classes <= WRITTEN
    fractions = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 5.4), layout="constrained")
        axes = bare(figure.add_subplot())
        drawn = axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1, interpolation="none")
        axes.set(xlabel="predicted class", ylabel="label")
        if few:
            axes.set_xticks(range(classes), names, rotation=45 if max(map(len, names)) > 2 else 0)
            axes.set_yticks(range(classes), names)
            axes.tick_params(length=0)
            for (row, column), number in np.ndenumerate(counts):
                colour = "white" if fractions[row, column] > 0.5 else "black"
                axes.text(column, row, str(number) if number else "", ha="center", va="center", color=colour, size=7)
        figure.colorbar(drawn, label="fraction of the label's images")
        return plot_of(figure, f"Confusion matrix of {classes} classes")


def calibration(told: np.ndarray, right: np.ndarray, confidence: np.ndarray) -> Plot:
    """The fraction ``right`` against the mean posterior ``told``, both (B,), and a histogram of ``confidence``."""
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        for each in (axes, below):
            each.patch.set_alpha(0)
        axes.plot([0, 1], [0, 1], color=LINES, label="calibrated")
        axes.plot(told, right, "o-", color=FIRST, markersize=4, label="this model")
        axes.set(xlim=(0, 1), ylim=(-0.02, 1.02), ylabel="accuracy")
        axes.legend()
        below.hist(confidence, bins=30, range=(0, 1), color=SECOND)
        below.set(xlabel="posterior of the predicted class", ylabel="images")
        below.tick_params(colors=TEXT)
        return plot_of(figure, "Calibration: accuracy against the posterior of the predicted class")


def _outcome(classified: ClassifiedSplit) -> Outcome:
    accuracy, interval = _metric(classified, "accuracy"), _metric(classified, "accuracy_ci95")
    bounded = "" if interval is None else f" ± {100 * interval:.2f}"
    prior = "uniform prior" if classified.prior is None else f"prior {list(classified.prior)}"
    told = f"Of {plural(int(classified.counts.sum()), 'image')} of the {classified.split} set, by Bayes' rule, {prior}"
    interval_told = "; ± is the 95 % confidence interval over images" if bounded else ""
    assert accuracy is not None
    headline = f"{100 * accuracy:.2f}{bounded} % right"
    return Outcome("Classified", "good", headline, f"{told}{interval_told}. Checkpoint: {classified.checkpoint}")


def _facts(classified: ClassifiedSplit) -> list[tuple[str, str]]:
    images = int(classified.counts.sum())
    ece, log_loss = _metric(classified, "ece"), _metric(classified, "log_loss")
    assert ece is not None and log_loss is not None
    return [
        ("Images", count(images)),
        ("Classes", count(len(classified.counts))),
        ("Calibration error (ECE)", f"{100 * ece:.2f} %"),
        ("Log loss", f"{log_loss:.4f} nats"),
        ("Wall time", duration(classified.seconds)),
        ("Images/s", f"{images / classified.seconds:,.1f}"),
        ("Parameters", count(classified.record["num_parameters"])),
    ]


def _metric(classified: ClassifiedSplit, name: str) -> float | None:
    return classified.metrics.get(f"{classified.split}/{name}")


def _classes(classified: ClassifiedSplit) -> Section:
    rows = []
    for k, of_label in enumerate(classified.counts):
        images = int(of_label.sum())
        if images:
            rows.append(
                [label_in_words(k, classified.class_names), count(images), f"{100 * of_label[k] / images:.1f} %"]
            )
    return Section("By label", table=Table(["Label", "Images", "Right"], rows))


def _mistakes(classified: ClassifiedSplit) -> list[Section]:
    if not classified.mistakes:
        return []
    pictures = []
    for each in classified.mistakes:
        told = f"{each.label}, taken for {each.predicted}\nposterior {each.posterior:.3f}, #{each.index}"
        pictures.append(single(each.pixels, f"Image {each.index}", told))
    return [Section("Most confident mistakes", "# is the index in the data set.", "pictures", pictures)]
