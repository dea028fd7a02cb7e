"""What a training step costs: images a second, FLOP/s, and their share of the machine's matrix products.

    python -m bench.training                                    the paper's model on 4 images, float32
    python -m bench.training --precision bf16 --channels-last
    python -m bench.training --batch 16 --steps 1 --activation-checkpointing

A step is forward and backward pass, the gradient's norm, Adam and the moving average. The peak is that of matrix
products in the same process and precision; FLOPs are those of the network's convolutions. Memory is the most that the
process has had resident (on a GPU: allocated).
"""

import argparse
import platform
import resource
import time

import torch

from bench.sampling import papers_model
from pixelcnn.execution import execute
from pixelcnn.options import Execution
from pixelcnn.training.adam import FusedAdam
from pixelcnn.training.arithmetic import matmul_peak, training_flops
from pixelcnn.training.memory import keep_freed_memory
from pixelcnn.training.nonfinite import gradient_norm

DTYPES = {"32": torch.float32, "bf16": torch.bfloat16}


def main() -> None:
    """Print each step's seconds and what the fastest comes to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=8, help="after a first one, which is shown apart")
    parser.add_argument("--precision", choices=DTYPES, default="32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--activation-checkpointing", action="store_true")
    parser.add_argument("--num-filters", type=int, default=160)
    parser.add_argument("--num-resnet-blocks", type=int, default=5)
    arguments = parser.parse_args()
    keep_freed_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = DTYPES[arguments.precision]
    model = papers_model(arguments.num_filters, arguments.num_resnet_blocks).train().to(device)
    execute(
        model,
        Execution(
            compile=arguments.compile,
            channels_last=arguments.channels_last,
            activation_checkpointing=arguments.activation_checkpointing,
        ),
    )
    images = torch.randint(0, 256, (arguments.batch, 3, 32, 32), device=device).to(torch.uint8)
    weights = list(model.parameters())
    average = [weight.detach().clone() for weight in weights]
    optimizer = FusedAdam(weights, lr=1e-3, betas=(0.95, 0.9995))

    def step() -> float:
        start = time.perf_counter()
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            loss = -model.log_prob(images).sum()
        loss.backward()
        finite = gradient_norm([weight.grad for weight in weights if weight.grad is not None]).isfinite()
        if finite:
            optimizer.step()
            with torch.no_grad():
                torch._foreach_lerp_(average, weights, 1 - 0.9995)
        optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    flops = arguments.batch * training_flops(model)
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{flops / arguments.batch / 1e9:.1f} GFLOP an image; first step {step():.2f} s")
    # The clock of a shared machine changes: the peak is measured before and after.
    peaks = [matmul_peak(device, dtype, seconds=0.5)]
    seconds = [step() for _ in range(arguments.steps)]
    peaks.append(matmul_peak(device, dtype, seconds=0.5))
    best, rate = min(seconds), flops / min(seconds)
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated()
    else:
        memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print("steps " + " ".join(f"{value:.2f}" for value in seconds) + " s")
    print(
        f"fastest {best:.2f} s: {arguments.batch / best:.2f} images/s, {rate / 1e9:.0f} GFLOP/s, "
        f"{rate / max(peaks):.0%} of the peak ({peaks[0] / 1e9:.0f} before, {peaks[1] / 1e9:.0f} after); "
        f"{memory / 1e9:.2f} GB"
    )


if __name__ == "__main__":
    main()
