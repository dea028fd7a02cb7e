"""What sampling costs: cached against one forward pass, and against one pass for each pixel.

    python -m bench.sampling                     the paper's model at batch 1, 4, 16 and 64
    python -m bench.sampling --batch 1 --repeat 3

All times are of this process, on the same threads. The ratio to naive sampling is (pixels x one forward pass) / cached;
"first call" includes what is set up once for a batch size. "caches" is the memory of all rows kept.
"""

import argparse
import platform
import time
from collections.abc import Callable

import torch

from pixelcnn.incremental import IncrementalWalk
from pixelcnn.model import PixelModel, build
from pixelcnn.options import (
    DiscretizedLogisticMixtureOptions,
    ImageShape,
    ModelDescription,
    PixelCNNPPOptions,
    UnconditionalOptions,
)


def papers_model(num_filters: int, num_resnet_blocks: int) -> PixelModel:
    """The paper's architecture with random weights, which cost what trained ones do."""
    torch.manual_seed(0)
    description = ModelDescription(
        ImageShape(3, 32, 32),
        PixelCNNPPOptions(num_filters, num_resnet_blocks, num_stages=3, nonlinearity="concat_elu", dropout=0.5),
        DiscretizedLogisticMixtureOptions(num_mixtures=10, tails="exact"),
        UnconditionalOptions(),
    )
    return build(description).eval()


def seconds(call: Callable[[], object], repeat: int) -> float:
    """The shortest of ``repeat`` calls."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print one row a batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--repeat", type=int, default=2, help="the shortest of so many is shown")
    parser.add_argument("--num-filters", type=int, default=160)
    parser.add_argument("--num-resnet-blocks", type=int, default=5)
    arguments = parser.parse_args()
    model = papers_model(arguments.num_filters, arguments.num_resnet_blocks)
    pixels = model.image.height * model.image.width
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print("batch  forward pass  first call    cached  forward passes  against naive      caches")
    for batch in arguments.batch:
        images = torch.randint(0, 256, (batch, 3, 32, 32)).to(torch.uint8)
        with torch.no_grad():
            model.pixel_parameters(images[:1])
            forward = seconds(lambda images=images: model.pixel_parameters(images), arguments.repeat)
        first = seconds(lambda batch=batch: model.sample(batch, batch_size=batch), 1)
        cached = seconds(lambda batch=batch: model.sample(batch, batch_size=batch), arguments.repeat)
        caches = IncrementalWalk(model.network, 3, batch, model.image.width).num_bytes
        print(
            f"{batch:5d} {forward:11.2f} s {first:9.2f} s {cached:7.2f} s {cached / forward:15.1f} "
            f"{pixels * forward / cached:13.0f}x {caches / 1e6:8.0f} MB",
            flush=True,
        )


if __name__ == "__main__":
    main()
