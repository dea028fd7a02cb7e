"""The training step with ``model.compile=true``: its numbers, how long the first takes, and the following ones."""

import copy
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import torch

from bench.gpu.models import random_images
from bench.gpu.steps import Measured, Step, captured, eager
from bench.gpu.training import GOALS
from bench.gpu.worker import Options, Report
from pixelcnn.execution import Execution, execute
from pixelcnn.model import PixelModel
from pixelcnn.network import PixelCNNPP
from pixelcnn.training.arithmetic import matmul_peak

WAYS: dict[str, Callable[..., Step]] = {"compiled": eager, "compiled, captured": captured}
ALLOWED = 1e-3  # relative difference of a loss in float32


def run(report: Report, options: Options) -> None:
    """A small model for its numbers; the paper's for its speed, also with the passes replayed as a CUDA graph.

    On the CPU, where compiling takes minutes, the code that would be compiled runs as it is.
    """
    stance = torch.compiler.set_stance("force_eager") if options.cpu else nullcontext()
    with stance:
        _agreement(report, options)
        device = torch.device(options.device)
        peak = matmul_peak(device, torch.bfloat16, 0.001 if options.cpu else 0.5)
        for batch in (2,) if options.cpu else (256, 16):
            for way, make in WAYS.items():
                if (options.cpu and make is captured) or not report.has(40):
                    continue
                name = f"batch {batch}, {way}"
                measured = report.attempt(name, Measured.of, partial(make, compiled=True), batch, options, peak)
                if measured is None:
                    continue
                report.value(name, measured.line())
                if batch in GOALS:
                    goal = f"goal: {name}, {GOALS[batch]:.0%} of the peak"
                    report.check(goal, measured.share >= GOALS[batch], f"{measured.share:.1%}")


def _agreement(report: Report, options: Options) -> None:
    torch.manual_seed(0)
    network = partial(PixelCNNPP, num_filters=4 if options.cpu else 16, num_resnet_blocks=1, num_stages=3, dropout=0.0)
    plain = PixelModel((3, options.side, options.side), network).to(options.device)
    compiled = copy.deepcopy(plain)
    execute(compiled, Execution(compile=True))
    images = random_images(2, options.side, options.side).to(options.device)
    losses = []
    for model in (plain, compiled):
        loss = -model(images).sum()
        loss.backward()
        losses.append(loss.item())
    difference = abs(losses[1] / losses[0] - 1)
    report.check("the compiled loss is the eager one", difference < ALLOWED, f"relative difference {difference:.1e}")
    gradients = [torch.cat([w.grad.flatten() for w in model.parameters()]) for model in (plain, compiled)]  # type: ignore[union-attr]
    error = float((gradients[1] - gradients[0]).norm() / gradients[0].norm())
    report.check("and so is its gradient", error < 10 * ALLOWED, f"relative difference {error:.1e}")
