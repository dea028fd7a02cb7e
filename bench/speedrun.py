"""The best bits/dim that some minutes of one GPU buy: trains for a fixed time, then validates, saves and draws.

    python -m bench.speedrun --minutes 6 --data train.npz test.npz
    python -m bench.speedrun --minutes 1 --num-filters 8 --num-resnet-blocks 1 --batch 16 --test-images 64 --samples 4 \
        --data train.npz test.npz                     to see that it runs, on a CPU

The files hold ``images`` uint8 (N, H, W, 3), as ``data=arrays`` takes them. The model's size is chosen for the time
(`SIZES`), unless it is given. The minutes are those of training alone; reading, capturing, scoring and drawing
take about one more, compiling several. Leaves in ``--output``: curve.csv (and curve.png where
matplotlib is installed), model_float32 and model_bf16 (folders for ``pixelcnn.load``, with the average of the weights),
samples.png and result.json. It needs neither Hydra nor Weights & Biases nor a network.
"""

import argparse
import csv
import json
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.timed_training import TimedTraining, bits_per_dim
from pixelcnn import pictures
from pixelcnn.checkpoint import export
from pixelcnn.data.arrays import Arrays
from pixelcnn.likelihood import DiscretizedLogisticMixture
from pixelcnn.model import PixelModel
from pixelcnn.network import PixelCNNPP
from pixelcnn.training.arithmetic import matmul_peak, training_flops

# Filters and blocks per stage. The largest that sees the images often enough in the time is taken.
SIZES = [(160, 5), (160, 3), (128, 3), (96, 3), (96, 2), (64, 2), (64, 1), (32, 1), (16, 1)]
EPOCHS = 15
SHARE = 0.2  # of the matmul peak, expected in training


def new_model(num_filters: int, num_resnet_blocks: int, dropout: float, side: int) -> PixelModel:
    """PixelCNN++ with the recipe's likelihood."""
    torch.manual_seed(0)
    network = partial(
        PixelCNNPP, num_filters=num_filters, num_resnet_blocks=num_resnet_blocks, num_stages=3, dropout=dropout
    )
    likelihood = partial(DiscretizedLogisticMixture, num_mixtures=10, residual="neighbours", spread=True)
    return PixelModel((3, side, side), network, likelihood)


def size_for(seconds: float, images: int, side: int, device: torch.device) -> tuple[int, int]:
    """The largest of `SIZES` that sees all ``images`` `EPOCHS` times in that time, else the last."""
    affordable = SHARE * matmul_peak(device, torch.bfloat16, 0.3) * seconds / (EPOCHS * images)
    fitting = (size for size in SIZES if training_flops(new_model(*size, 0.0, side)) <= affordable)
    return next(fitting, SIZES[-1])


def read(train: str, test: str) -> tuple[Tensor, Tensor]:
    """The images of both files, uint8 (N, C, H, W); UserError if they are not as they should be."""
    data = Arrays(train, test, batch_size=1, val_size=0, num_workers=0, seed=0)
    splits = (data.load(split).images for split in ("train", "test"))
    both = [torch.from_numpy(np.ascontiguousarray(images)) for images in splits]
    return both[0], both[1]


class Curve:
    """Rows of numbers, printed and kept in curve.csv as they come, some with the score of held-out images."""

    def __init__(self, output: Path, training: TimedTraining, held_out: Tensor, every: int) -> None:
        self.output, self.training, self.held_out, self.every = output, training, held_out, every
        self.rows: list[dict[str, float]] = []

    def add(self, row: dict[str, float]) -> None:
        """One more."""
        if len(self.rows) % self.every == self.every - 1:
            row["val_bits_per_dim"] = bits_per_dim(self.training.averaged, self.held_out)
        self.rows.append(row)
        print(", ".join(f"{name} {value:.5g}" for name, value in row.items()), flush=True)
        with (self.output / "curve.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ["seconds", "step", "images", "train_bits_per_dim", "lr", "val_bits_per_dim"])
            writer.writeheader()
            writer.writerows(self.rows)

    def plot(self) -> None:
        """As curve.png, where matplotlib is installed."""
        if find_spec("matplotlib") is None:
            return
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
        for name, style in (("train_bits_per_dim", "-"), ("val_bits_per_dim", "o-")):
            points = [(row["seconds"], row[name]) for row in self.rows if name in row]
            if points:
                axes.plot(*zip(*points, strict=True), style, label=name, linewidth=1, markersize=3)
        axes.set(xlabel="seconds", ylabel="bits/dim")
        axes.legend()
        axes.grid(alpha=0.3)
        figure.savefig(self.output / "curve.png", dpi=110)


def main() -> None:
    """Choose a size, train, save, score and draw: most important results first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--data", nargs=2, metavar=("TRAIN", "TEST"), required=True)
    parser.add_argument("--output", type=Path, default=Path("speedrun"))
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.01, help="Muon's; Adam has 0.3 of it")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--num-filters", type=int, help="with --num-resnet-blocks; default: chosen for the time")
    parser.add_argument("--num-resnet-blocks", type=int)
    parser.add_argument("--compile", action="store_true", help="compile the network first, before the time")
    parser.add_argument("--val-images", type=int, default=1000, help="of the training images, held out")
    parser.add_argument("--test-images", type=int, help="the first so many (default: all)")
    parser.add_argument("--samples", type=int, default=64)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images, test = read(*arguments.data)
    held_out, images, test = (
        images[: arguments.val_images],
        images[arguments.val_images :],
        test[: arguments.test_images],
    )
    seconds, side = 60 * arguments.minutes, images.shape[-1]
    given = arguments.num_filters is not None and arguments.num_resnet_blocks is not None
    chosen = size_for(seconds, len(images), side, device) if not given else None
    filters, blocks = chosen or (arguments.num_filters, arguments.num_resnet_blocks)
    model = new_model(filters, blocks, arguments.dropout, side)
    flops, weights = training_flops(model), sum(weight.numel() for weight in model.parameters())
    print(
        f"{filters} filters, {blocks} blocks per stage: {weights / 1e6:.1f}M weights, {flops / 1e9:.1f} GFLOP per image"
    )
    model.to(device)
    training = TimedTraining(model, images, arguments.batch, seconds, arguments.lr, arguments.compile)
    curve = Curve(arguments.output, training, held_out, every=5)
    training.run(curve.add)
    averaged = training.averaged
    config: dict[str, Any] = {"speedrun": {key: str(value) for key, value in vars(arguments).items()}}
    for name, dtype in (("model_float32", None), ("model_bf16", torch.bfloat16)):
        export(averaged, config, arguments.output / name, dtype=dtype)
    seen = training.steps * arguments.batch
    result: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "minutes": arguments.minutes,
        "num_filters": filters,
        "num_resnet_blocks": blocks,
        "weights": weights,
        "steps": training.steps,
        "skipped_steps": training.skipped,
        "images": seen,
        "epochs": seen / len(images),
        "flops": seen * flops,
        "flops_per_second": seen * flops / seconds,
        "date": time.strftime("%Y-%m-%d"),
    }
    for name, split in (("val", held_out), ("test", test)):
        result[f"{name}/bits_per_dim"] = bits_per_dim(averaged, split)
        result[f"{name}/num_images"] = len(split)
        (arguments.output / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result), flush=True)
    curve.plot()
    with torch.no_grad():
        drawn = averaged.sample(arguments.samples, batch_size=min(256, arguments.samples))
    pictures.save(pictures.grid(drawn, averaged.image.levels), arguments.output / "samples.png")
    print(f"{result['test/bits_per_dim']:.4f} bits/dim on {len(test)} test images; {arguments.output}")


if __name__ == "__main__":
    main()
