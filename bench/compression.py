"""Compare a model's archive with PNG, WebP and JPEG XL on the same images, and the time of coding with sampling's.

    python -m bench.compression                      cifar10_small on 256 test images of CIFAR-10
    python -m bench.compression --images 64 data=arrays data.train=train.npz data.test=test.npz
    python -m bench.compression --checkpoint RUN

Overrides are those of the data set. Prints two tables in Markdown and writes compression.json and a chart of the sizes,
compression.png, to --directory. Codecs are lossless, at their greatest effort, by imagecodecs: each image as a file of
its own, and all in one picture. Times are CPU seconds of this process, which does not count other programs.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

import pixelcnn
from pixelcnn.cli import CONF
from pixelcnn.compression.coding import Encoder
from pixelcnn.configuration.checks import check
from pixelcnn.configuration.groups import instantiated
from pixelcnn.errors import UserError
from pixelcnn.model import PixelModel

try:
    import imagecodecs
except ImportError as error:
    raise SystemExit("imagecodecs is not installed: pip install -r requirements-compression.txt.") from error

CODECS: dict[str, Callable[..., bytes | bytearray]] = {
    "PNG": partial(imagecodecs.png_encode, level=9),
    "WebP": partial(imagecodecs.webp_encode, lossless=True, level=100),
    "JPEG XL": partial(imagecodecs.jpegxl_encode, lossless=True, effort=9),
}


def images_of(overrides: list[str], count: int) -> Tensor:
    """The first ``count`` test images of the data set, uint8 (N, C, H, W)."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides)
    check(config)
    data = instantiated(config, "data")
    data.prepare_data()
    data.setup("test")
    return data.first("test", count)["images"]


def sizes(model: PixelModel, archive: bytes, images: Tensor, batch_size: int) -> dict[str, dict[str, float]]:
    """Bits/dim of each codec: of files of one image each, and of all images in one."""
    nats = 0.0
    with torch.no_grad():
        for part in images.split(batch_size):
            nats -= float(model.likelihood.log_mass(model.pixel_parameters(part), part).double().sum())
    pixels = np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())
    columns = next(count for count in range(math.isqrt(len(pixels)), 0, -1) if len(pixels) % count == 0)
    tiled = np.concatenate([np.concatenate(list(row), axis=1) for row in np.split(pixels, len(pixels) // columns)])
    found = {
        "-log2 p of the model": {"all": nats / math.log(2) / images.numel()},
        "archive of the model": {"all": 8 * len(archive) / images.numel()},
    }
    for name, encode in CODECS.items():
        each = sum(len(encode(image.squeeze())) for image in pixels)
        found[name] = {"each": 8 * each / images.numel(), "all": 8 * len(encode(tiled.squeeze())) / tiled.size}
    return found


def times(model: PixelModel, images: Tensor, repeat: int) -> dict[str, float]:
    """CPU seconds of one batch: sampled, its walk alone, encoded, the range coder's part of that, and decoded."""
    spent = [0.0]

    def timed(self: Encoder, before: np.ndarray, own: np.ndarray) -> None:
        start = time.process_time()
        symbols(self, before, own)
        spent[0] += time.process_time() - start

    def once(call: Callable[[], Any]) -> float:
        start = time.process_time()
        call()
        return time.process_time() - start

    n, symbols = len(images), Encoder.symbols
    encode = partial(pixelcnn.compress, model, images, batch_size=n, verify=False)
    archive = encode()
    calls: dict[str, Callable[[], Any]] = {
        "sampling": lambda: model.sample(n, batch_size=n),
        "the walk alone": lambda: model.pixel_parameters(images, incremental=True),
        "encoding": encode,
        "decoding": lambda: pixelcnn.decompress(model, archive),
    }
    # In turn, so that what else the machine does slows all of them.
    rounds = [{name: once(call) for name, call in calls.items()} for _ in range(repeat)]
    found = {name: min(each[name] for each in rounds) for name in calls}
    Encoder.symbols = timed  # type: ignore[method-assign]
    encode()
    Encoder.symbols = symbols  # type: ignore[method-assign]
    return {**found, "of encoding, the range coder": spent[0]}


def picture(found: dict[str, dict[str, float]], path: Path) -> None:
    """A bar for each entry, by its bits/dim with all images in one file; a mark where those of single files end."""
    names = sorted(found, key=lambda name: found[name]["all"], reverse=True)
    figure, axes = plt.subplots(figsize=(7, 2.4), layout="constrained")
    sized = [found[name]["all"] for name in names]
    bars = axes.barh(names, sized, color=["#cf5b16" if "model" in name else "#6ba3e8" for name in names])
    axes.bar_label(bars, fmt="%.3f", label_type="center", color="white")
    each = [(found[name]["each"], name) for name in names if "each" in found[name]]
    axes.plot(*zip(*each, strict=True), "|", color="#333333", markersize=14, label="a file each")
    axes.set_xlabel("bits/dim, all images in one file")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper right")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="cifar10_small", help="an unconditional model")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=3, help="repetitions; the fastest is shown")
    parser.add_argument("--directory", type=Path, default=Path("outputs/compression"))
    parser.add_argument("overrides", nargs="*", help="of the data set, such as data=cifar10 data.root=DIR")
    arguments = parser.parse_args()
    try:
        model, images = pixelcnn.load(arguments.checkpoint), images_of(arguments.overrides, arguments.images)
        archive = pixelcnn.compress(model, images, batch_size=arguments.batch, verify=False)
    except UserError as error:
        raise SystemExit(str(error)) from error
    same = torch.equal(pixelcnn.decompress(model, archive), images)
    found = sizes(model, archive, images, arguments.batch)
    print(f"{len(images)} images of {model.image}; the archive gives back {'every' if same else 'NOT every'} pixel\n")
    print("| | bits/dim, all in one file | a file each |\n|---|---|---|")
    for name, sized in sorted(found.items(), key=lambda item: item[1]["all"]):
        print(f"| {name} | {sized['all']:.3f} | {format(sized['each'], '.3f') if 'each' in sized else ''} |")
    spent = times(model, images[: arguments.batch], arguments.repeat)
    print(f"\n| batch of {arguments.batch} | CPU s | of sampling |\n|---|---|---|")
    for name, each in spent.items():
        print(f"| {name} | {each:.2f} | {each / spent['sampling']:.0%} |")
    arguments.directory.mkdir(parents=True, exist_ok=True)
    picture(found, arguments.directory / "compression.png")
    record = {"images": len(images), "same": same, "bits_per_dim": found, "cpu_seconds": spent}
    (arguments.directory / "compression.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
