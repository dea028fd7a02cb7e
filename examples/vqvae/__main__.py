"""Trains a VQ-VAE on Fashion-MNIST and a prior over its codes, draws from it and measures both: one command.

    python examples/vqvae                              # minutes on two cores; writes to outputs/vqvae
    python examples/vqvae --images train.npz test.npz  # other images: uint8 (N, H, W) and labels

Run it where `pixelcnn` is installed, or in a checkout of its repository.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
import vqvae
from torch import Tensor

HERE = Path(__file__).parent
SHOWN = 16  # test images beside their reconstructions
SMOOTHING = 1.0  # added to every count of the baselines


def images_of(files: list[Path] | None, root: Path) -> list[tuple[Tensor, Tensor]]:
    """Training and test images uint8 (N, 1, H, W) with labels (N,): of ``files``, or Fashion-MNIST in ``root``."""
    if files is not None:
        stored = [np.load(file) for file in files]
        return [(torch.from_numpy(one["images"])[:, None], torch.from_numpy(one["labels"])) for one in stored]
    from torchvision.datasets import FashionMNIST

    sets = (FashionMNIST(str(root), train, download=True) for train in (True, False))
    return [(one.data[:, None], one.targets) for one in sets]


def baselines(train: Tensor, test: Tensor, labels: tuple[Tensor, Tensor], num_codes: int) -> dict[str, float]:
    """Bits per code of test codes (M, h, w) under the frequencies of the training codes (N, h, w), as if codes were
    independent: over all positions, at each position, and at each position given the label."""

    def bits(group: Tensor, group_of_test: Tensor) -> float:
        counts = torch.full((int(group.max()) + 1, num_codes), SMOOTHING, dtype=torch.float64)
        counts.index_put_((group.flatten(), train.flatten()), torch.ones(1, dtype=torch.float64), accumulate=True)
        frequencies = counts / counts.sum(dim=1, keepdim=True)
        return float(-frequencies[group_of_test.flatten(), test.flatten()].log2().mean())

    place = torch.arange(train[0].numel()).view(train.shape[1:])
    places = [place.expand(codes.shape) for codes in (train, test)]
    classes = [len(place.flatten()) * label[:, None, None] + of for label, of in zip(labels, places, strict=True)]
    return {
        "independent": bits(torch.zeros_like(train), torch.zeros_like(test)),
        "independent_by_position": bits(*places),
        "independent_by_position_and_label": bits(*classes),
    }


def pixelcnn(*arguments: str, weights: Path) -> None:
    """`pixelcnn` with this folder's options, and the decode hook's weights."""
    command = [sys.executable, "-m", "pixelcnn", "--config-dir", str(HERE / "conf"), *arguments]
    print("$ pixelcnn", *arguments, flush=True)
    subprocess.run(command, check=True, env={**os.environ, "VQVAE": str(weights.resolve())})


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, default=Path("outputs/vqvae"), help="where everything is left")
    parser.add_argument("--images", type=Path, nargs=2, help=".npz files in place of Fashion-MNIST")
    parser.add_argument("--root", type=Path, default=Path("data"), help="where Fashion-MNIST is, or is downloaded to")
    parser.add_argument("--steps", type=int, default=300, help="of the VQ-VAE")
    parser.add_argument("--codes", type=int, default=128, help="in its codebook")
    parser.add_argument("overrides", nargs="*", help="of the prior's training, such as trainer.max_steps=200")
    options = parser.parse_args()
    directory, weights, since = options.directory, options.directory / "vqvae.pt", time.monotonic()
    directory.mkdir(parents=True, exist_ok=True)
    (images, labels), (test_images, test_labels) = images_of(options.images, options.root)
    model = vqvae.train(images, options.steps, options.codes, on_step=told)
    vqvae.save(model, weights)

    codes, test_codes = model.encode(images), model.encode(test_images)
    for name, of, label in (("train", codes, labels), ("test", test_codes, test_labels)):
        np.savez(directory / f"{name}.npz", codes=of.numpy(), labels=label.numpy(), levels=options.codes)
    back = model.decode(test_codes)
    error = ((back.float() - test_images.float()) / 255).square().mean()
    spread = ((test_images.float() - images.float().mean(dim=0)) / 255).square().mean()
    beside = torch.cat([test_images[:SHOWN], back[:SHOWN]])
    show(beside, directory / "reconstructions.png", SHOWN)

    data = ("experiment=clothes", *(f"data.{name}={directory}/{name}.npz" for name in ("train", "test")))
    decode = "task.decode=vqvae:pictures"
    runs = {name: directory / name for name in ("prior", "scores", "samples", "completions")}
    pixelcnn(*data, decode, f"hydra.run.dir={runs['prior']}", *options.overrides, weights=weights)
    checkpoint = f"checkpoint={runs['prior']}"
    pixelcnn("task=evaluate", checkpoint, f"hydra.run.dir={runs['scores']}", weights=weights)
    drawn = ("task.label=all", "task.num_samples=8", "seed=1", f"hydra.run.dir={runs['samples']}")
    pixelcnn("task=sample", checkpoint, decode, *drawn, weights=weights)
    halves = ("task.mask=top:0.57", "task.num_images=6", f"hydra.run.dir={runs['completions']}")
    pixelcnn("task=complete", checkpoint, decode, *halves, weights=weights)

    scores = json.loads((runs["scores"] / "metrics.json").read_text())
    numbers = {
        "reconstruction_mse": float(error),
        "mse_of_the_mean_image": float(spread),
        "bits_per_code": scores["test/bits_per_dim"],
        "bits_of_a_code": float(np.log2(options.codes)),
        **baselines(codes, test_codes, (labels, test_labels), options.codes),
        "codes_in_use": len(codes.unique()),
        "minutes": (time.monotonic() - since) / 60,
        "minutes_of_cpu": sum(os.times()[:4]) / 60,
    }
    (directory / "numbers.json").write_text(json.dumps(numbers, indent=1))
    for name, value in numbers.items():
        print(f"{name:>34} {value:.4f}")


def told(step: int, error: float) -> None:
    """Print the error now and then."""
    if step % 100 == 0:
        print(f"VQ-VAE, step {step}: mean squared error {error:.4f}", flush=True)


def show(images: Tensor, path: Path, columns: int) -> None:
    """A grid of ``images`` uint8 (N, 1, H, W)."""
    from torchvision.utils import make_grid, save_image

    save_image(make_grid(images.float() / 255, columns, pad_value=1.0), path)


if __name__ == "__main__":
    main()
