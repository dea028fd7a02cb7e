"""Benchmark a training step: images/s and FLOP/s, also as a fraction of peak matmul throughput.

    python -m bench.training                                    the paper's model on 4 images, float32
    python -m bench.training --precision bf16 --channels-last
    python -m bench.training --batch 16 --steps 1 --activation-checkpointing
    python -m bench.training --port DIR                         beside a checkout of github.com/pclucas14/pixel-cnn-pp

A step is forward and backward pass, gradient norm, Adam and EMA. The peak is that of matrix products in the same
process and precision; FLOPs are those of the network's convolutions. Memory is the process's peak resident memory (on a
GPU: allocated). The port's step is forward and backward pass and its Adam, with as many filters and blocks; it has no
EMA and its dropout drops whole channels. Its steps alternate with ours.
"""

import argparse
import platform
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from bench.captured import Gradient, gradient_of
from bench.measuring import memory, seconds
from bench.sampling import papers_model
from pixelcnn.execution import Execution, execute
from pixelcnn.model import PixelModel
from pixelcnn.optim import Adam
from pixelcnn.training.arithmetic import matmul_peak, training_flops
from pixelcnn.training.memory import keep_freed_memory
from pixelcnn.training.nonfinite import gradient_norm

DTYPES = {"32": torch.float32, "bf16": torch.bfloat16}
EMA_DECAY = 0.9995

Step = Callable[[], None]


def our_step(model: PixelModel, images: Tensor, dtype: torch.dtype, gradient: Gradient | None = None) -> Step:
    """A step of training as `pixelcnn.training` takes it. images: uint8 (N, C, H, W).

    ``gradient``: what leaves the gradient in the weights, by default by launching it.
    """
    weights: list[Tensor] = list(model.parameters())
    average = [weight.detach().clone() for weight in weights]
    optimizer = Adam(weights, lr=1e-3, betas=(0.95, 0.9995))

    gradient = gradient or gradient_of(model, images, dtype)

    def step() -> None:
        gradient()
        if gradient_norm([weight.grad for weight in weights if weight.grad is not None]).isfinite():
            optimizer.step()
            with torch.no_grad():
                torch._foreach_lerp_(average, weights, 1 - EMA_DECAY)
        optimizer.zero_grad()

    return step


def modules_of_port(directory: Path) -> dict[str, ModuleType]:
    """The port's ``utils``, ``layers`` and ``model``, each importing those before it; print statements become calls,
    since one line is Python 2.
    """
    made = {name: ModuleType(name) for name in ("utils", "layers", "model")}
    for name, module in made.items():
        file = directory / f"{name}.py"
        source = re.sub(r"^(\s*)print ([^(].*)$", r"\1print(\2)", file.read_text(), flags=re.MULTILINE)
        sys.modules[name] = module
        exec(compile(source, file, "exec"), vars(module))
    return made


def step_of_port(directory: Path, options: dict[str, int], images: Tensor, dtype: torch.dtype) -> Step:
    """A step of the port whose checkout is ``directory``."""
    port = modules_of_port(directory)
    if images.device.type == "cpu":
        Tensor.cuda = Tensor.cpu  # type: ignore[method-assign,assignment]  # its loss is written for a GPU
    network = port["model"].PixelCNN(nr_resnet=options["num_resnet_blocks"], nr_filters=options["num_filters"])
    network.to(images.device)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-4)
    x = images / 127.5 - 1

    def step() -> None:
        with torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
            output = network(x)
        loss = port["utils"].discretized_mix_logistic_loss(x, output.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def show(name: str, times: list[float], batch: int, flops: int, peaks: list[float]) -> None:
    """Print the steps and the rates of the fastest."""
    best = min(times)
    print(f"{name} " + " ".join(f"{value:.2f}" for value in times) + " s")
    print(
        f"    fastest {best:.2f} s: {batch / best:.2f} images/s, {batch * flops / best / 1e9:.0f} GFLOP/s, "
        f"{batch * flops / best / max(peaks):.0%} of the peak"
    )


def main() -> None:
    """Print each step's seconds and the rates of the fastest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=8, help="steps to time, after a first one")
    parser.add_argument("--precision", choices=DTYPES, default="32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--activation-checkpointing", action="store_true")
    parser.add_argument("--num-filters", type=int, default=160)
    parser.add_argument("--num-resnet-blocks", type=int, default=5)
    parser.add_argument("--port", metavar="DIR", type=Path, help="checkout of the port to compare with")
    arguments = parser.parse_args()
    if not arguments.activation_checkpointing:
        keep_freed_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = DTYPES[arguments.precision]
    size = {"num_filters": arguments.num_filters, "num_resnet_blocks": arguments.num_resnet_blocks}
    model = papers_model(**size).train().to(device)
    ways = ("compile", "channels_last", "activation_checkpointing")
    execute(model, Execution(**{way: getattr(arguments, way) for way in ways}))
    images = torch.randint(0, 256, (arguments.batch, 3, 32, 32), device=device).to(torch.uint8)
    steps = {"ours": our_step(model, images, dtype)}
    flops = training_flops(model)
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{flops / 1e9:.1f} GFLOP per image; first step {seconds(steps['ours'], device):.2f} s")
    if arguments.port:
        steps["port"] = step_of_port(arguments.port, size, images, dtype)
        seconds(steps["port"], device)
    # The clock of a shared machine changes: the peak is measured before and after.
    peaks = [matmul_peak(device, dtype, seconds=0.5)]
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(arguments.steps):
        for name, step in steps.items():
            times[name].append(seconds(step, device))
    most = memory(device)  # before matrices of half a gigabyte
    peaks.append(matmul_peak(device, dtype, seconds=0.5))
    print(f"peak {peaks[0] / 1e9:.0f} GFLOP/s before, {peaks[1] / 1e9:.0f} after; {most / 1e9:.2f} GB")
    for name, series in times.items():
        show(name, series, arguments.batch, flops, peaks)
    if arguments.port:
        print(f"{min(times['port']) / min(times['ours']):.2f} times as fast as the port")


if __name__ == "__main__":
    main()
