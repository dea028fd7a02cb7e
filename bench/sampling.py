"""Benchmark sampling: cached, against one forward pass and against one pass per pixel.

    python -m bench.sampling                     the paper's model at batch 1, 4, 16 and 64
    python -m bench.sampling --batch 1 --repeat 3

All times are of this process, on the same threads. The ratio to naive sampling is (pixels x one forward pass) / cached;
"first call" includes one-time setup: the walk's copy of the weights and, on a GPU, its graphs. "caches" is the memory
of all cached rows, "memory" the peak resident memory of the process so far (on a GPU: allocated), including weights and
the forward pass.
"""

import argparse
import platform
from collections.abc import Callable
from functools import partial

import torch

from bench.measuring import memory, seconds
from pixelcnn.conditioning import Unconditional
from pixelcnn.description import ModelDescription
from pixelcnn.execution import full_float32
from pixelcnn.image_shape import ImageShape
from pixelcnn.likelihood import DiscretizedLogisticMixture
from pixelcnn.model import PixelModel, build
from pixelcnn.network import PixelCNNPP
from pixelcnn.sampling.incremental import IncrementalWalk


def papers_model(num_filters: int, num_resnet_blocks: int, side: int = 32) -> PixelModel:
    """The paper's architecture for images of side x side, with random weights, which are as fast as trained ones."""
    torch.manual_seed(0)
    description = ModelDescription(
        ImageShape(3, side, side),
        partial(
            PixelCNNPP,
            num_filters=num_filters,
            num_resnet_blocks=num_resnet_blocks,
            num_stages=3,
            nonlinearity="concat_elu",
            dropout=0.5,
        ),
        partial(DiscretizedLogisticMixture, num_mixtures=10, tails="exact"),
        partial(Unconditional),
    )
    return build(description).eval()


def main() -> None:
    """Print one row per batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--repeat", type=int, default=2, help="repetitions; the fastest is shown")
    parser.add_argument("--num-filters", type=int, default=160)
    parser.add_argument("--num-resnet-blocks", type=int, default=5)
    arguments = parser.parse_args()
    full_float32()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = papers_model(arguments.num_filters, arguments.num_resnet_blocks).to(device)

    def shortest(call: Callable[[], object]) -> float:
        return min(seconds(call, device) for _ in range(arguments.repeat))

    pixels = model.image.height * model.image.width
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print("batch  forward pass  first call    cached  forward passes  against naive      caches   memory")
    for batch in arguments.batch:
        images = torch.randint(0, 256, (batch, 3, 32, 32), device=device).to(torch.uint8)
        sample = partial(model.sample, batch, batch_size=batch)
        with torch.no_grad():
            model.pixel_parameters(images[:1])
            forward = shortest(partial(model.pixel_parameters, images))
        first, cached = seconds(sample, device), shortest(sample)
        caches = IncrementalWalk(model.network, 3, batch, model.image.height, model.image.width).num_bytes
        print(
            f"{batch:5d} {forward:11.2f} s {first:9.2f} s {cached:7.2f} s {cached / forward:15.1f} "
            f"{pixels * forward / cached:13.0f}x {caches / 1e6:8.0f} MB {memory(device) / 1e9:5.2f} GB",
            flush=True,
        )


if __name__ == "__main__":
    main()
