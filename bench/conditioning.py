"""Measure what conditions are worth on the embedded digits: trains a class-conditional model and an auto-encoder.

    python -m bench.conditioning                       two to eight minutes on one core
    python -m bench.conditioning --directory DIR       reuse the models that an earlier call left in DIR

Leaves in DIR (outputs/conditioning), beside the runs, the test images in test.npz and pictures: classes.png (a row per
class), autoencoder.png (test images above samples given their codes) and interpolation/interpolation.png.
"""

import argparse
import platform
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import torch
from sklearn.svm import SVC
from torch import Tensor

import pixelcnn
from pixelcnn import pictures
from pixelcnn.data.base import ImageArrays
from pixelcnn.data.digits import Digits
from pixelcnn.model import PixelModel

CLASSES = 10
SEED = 0
INTERPOLATED = 16, 10  # test images


def run(*overrides: str) -> None:
    """Run ``python run.py`` as a user would; exits if it fails."""
    status = subprocess.run([sys.executable, "run.py", *overrides]).returncode
    if status:
        raise SystemExit(status)


def trained(conditioning: str, directory: Path, overrides: list[str]) -> Path:
    """The checkpoint of ``experiment=digits`` with this conditioning; resumes an interrupted run."""
    to = directory / conditioning
    keys = (f"conditioning={conditioning}", "logger=none", f"hydra.run.dir={to}", "checkpoint=last")
    run("experiment=digits", *keys, *overrides)
    return to / "checkpoints/best.ckpt"


def tensors(arrays: ImageArrays) -> tuple[Tensor, Tensor]:
    """Images uint8 (N, C, H, W) and labels int64 (N,)."""
    assert arrays.labels is not None
    return torch.from_numpy(np.ascontiguousarray(arrays.images)), torch.from_numpy(arrays.labels)


def flat(images: Tensor) -> np.ndarray:
    """float64 (N, C H W)."""
    return images.flatten(1).double().numpy()


@torch.no_grad()
def recognised(model: PixelModel, train_set: ImageArrays, test_set: ImageArrays, per_class: int, to: Path) -> None:
    """Whether a classifier of real digits finds the label that a sample was drawn given."""
    (images, labels), (test_images, test_labels) = tensors(train_set), tensors(test_set)
    classifier = SVC(gamma=0.001).fit(flat(images), labels)
    given = torch.arange(CLASSES).repeat_interleave(per_class)
    samples = model.sample(len(given), given, seed=SEED)
    correct = (classifier.predict(flat(samples)) == given.numpy()).reshape(CLASSES, per_class)
    print(f"classifier: {classifier.score(flat(test_images), test_labels):.1%} of {len(test_images)} real test images")
    print(f"samples recognised as their label: {correct.mean():.1%} of {correct.size} (chance {1 / CLASSES:.0%})")
    print("by label: " + " ".join(f"{label}: {share:.0%}" for label, share in enumerate(correct.mean(axis=1))))
    shown = samples.unflatten(0, (CLASSES, per_class))[:, :12]
    pictures.save(pictures.grid(shown.flatten(0, 1), model.image.levels, columns=shown.shape[1]), to)


@torch.no_grad()
def scored(model: PixelModel, test_set: ImageArrays) -> None:
    """The test images given the right label and given each wrong one."""
    images, labels = tensors(test_set)
    bits = torch.stack([model.score(images, torch.full_like(labels, label)) for label in range(CLASSES)], dim=1)
    is_right = torch.arange(CLASSES) == labels[:, None]
    print(f"{model.score_name} given the right label: {bits[is_right].mean():.3f}")
    print(f"{model.score_name} given a wrong label: {bits[~is_right].mean():.3f} (mean of nine)")
    print(f"images that the right label scores best of all ten: {(bits.argmin(1) == labels).double().mean():.1%}")


@torch.no_grad()
def decoded(model: PixelModel, test_set: ImageArrays, to: Path) -> None:
    """Whether a sample given an image's code is closer to that image than to the others."""
    images, labels = tensors(test_set)
    samples = model.sample(len(images), images, seed=SEED)
    highest = model.image.levels - 1
    distances = (
        torch.cdist(samples.flatten(1).double(), images.flatten(1).double()) / highest / model.image.dimensions**0.5
    )
    own, others = distances.diagonal(), distances[~torch.eye(len(images), dtype=torch.bool)].view(len(images), -1)
    same_label = (labels[:, None] == labels) & ~torch.eye(len(images), dtype=torch.bool)
    closer = (own[:, None] < others).double().mean()
    print(f"{model.score_name} of the test images: {model.score(images, images).mean():.3f}")
    print(f"distance (root mean square, of 1) from a sample to its own image: {own.mean():.3f}")
    print(f"to the other images: {others.mean():.3f}, to those of the same label: {distances[same_label].mean():.3f}")
    print(
        f"its own image is closer than {closer:.1%} of the others, and closest of all {len(images)} for "
        f"{(distances.argmin(1) == torch.arange(len(images))).double().mean():.1%} (chance {1 / len(images):.1%})"
    )
    both = torch.stack([images[:16], samples[:16]])
    pictures.save(pictures.grid(both.flatten(0, 1), model.image.levels, columns=16), to)


def main() -> None:
    """Train the missing models and print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, default=Path("outputs/conditioning"))
    parser.add_argument("--per-class", type=int, default=20, help="samples of each label")
    parser.add_argument("overrides", nargs="*", help="of the training runs, such as trainer.max_epochs=5")
    arguments = parser.parse_args()
    directory = arguments.directory
    data = Digits(batch_size=64, val_size=100, num_workers=0, seed=SEED)
    train_set, test_set = data.arrays("train"), data.arrays("test")
    print(f"{date.today()}, {platform.processor() or platform.machine()}, {torch.get_num_threads()} threads")
    by_class = pixelcnn.load(trained("class", directory, arguments.overrides))
    print("conditioning=class")
    recognised(by_class, train_set, test_set, arguments.per_class, directory / "classes.png")
    scored(by_class, test_set)
    checkpoint = trained("encoder", directory, arguments.overrides)
    print("conditioning=encoder")
    decoded(pixelcnn.load(checkpoint), test_set, directory / "autoencoder.png")
    images, labels = tensors(test_set)
    np.savez(directory / "test.npz", images=images.permute(0, 2, 3, 1), labels=labels, levels=test_set.levels)
    zero, one = (f"{directory}/test.npz:{place}" for place in INTERPOLATED)
    shutil.rmtree(directory / "interpolation", ignore_errors=True)  # run.py would not overwrite it
    run(
        "task=sample",
        f"checkpoint={checkpoint}",
        f"task.condition={zero}",
        f"task.interpolate_to={one}",
        "task.num_samples=9",
        f"hydra.run.dir={directory}/interpolation",
    )


if __name__ == "__main__":
    main()
