"""Training steps of the paper's model, made and measured in several ways."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from bench.captured import captured_gradient
from bench.gpu.models import random_images
from bench.gpu.worker import Options
from bench.measuring import memory, seconds
from bench.sampling import papers_model
from bench.training import our_step
from pixelcnn.execution import Execution, execute, full_float32
from pixelcnn.model import PixelModel
from pixelcnn.training.arithmetic import training_flops

Step = Callable[[], None]
Make = Callable[[PixelModel, Tensor], Step]


def eager(
    model: PixelModel, images: Tensor, channels_last: bool = True, search: bool = False, compiled: bool = False
) -> Step:
    """A step as training takes it; ``search``: cuDNN tries its algorithms first."""
    torch.backends.cudnn.benchmark = search
    execute(model, Execution(compile=compiled, channels_last=channels_last))
    return our_step(model, images, torch.bfloat16)


def captured(model: PixelModel, images: Tensor, compiled: bool = False) -> Step:
    """Forward and backward pass replayed as one CUDA graph; then norm, Adam and average as in training."""
    torch.backends.cudnn.benchmark = True
    execute(model, Execution(compile=compiled, channels_last=True))
    return our_step(model, images, torch.bfloat16, captured_gradient(model, images, torch.bfloat16))


def ways() -> dict[str, Make]:
    """Of executing a step without compiling it."""
    return {
        "contiguous": partial(eager, channels_last=False),
        "channels-last": eager,
        "channels-last, cuDNN's search": partial(eager, search=True),
    }


@dataclass(frozen=True)
class Measured:
    """A step's times, on its batch."""

    first: float  # seconds
    fastest: float
    batch: int
    share: float
    gigabytes: float
    kernels: int | None

    @classmethod
    def of(cls, make: Make, batch: int, options: Options, peak: float) -> "Measured":
        """The step that ``make`` makes for a new model and noise."""
        device = torch.device(options.device)
        full_float32(False)  # as training does
        model = papers_model(**options.size, side=options.side).train().to(device)
        images = random_images(batch, options.side, options.side).to(device)
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        made: list[Step] = []
        first = seconds(lambda: made.append(make(model, images)), device) + seconds(lambda: made[0](), device)
        step = made[0]
        step()
        fastest = min(seconds(step, device) for _ in range(2 if options.cpu else 6))
        share = batch * flops_of(options) / fastest / peak
        return cls(first, fastest, batch, share, memory(device) / 1e9, kernels_of(step, device))

    def line(self) -> str:
        """All of it in words."""
        kernels = "" if self.kernels is None else f", {self.kernels} kernels"
        return (
            f"{1000 * self.fastest:.1f} ms, {self.batch / self.fastest:.0f} images/s, {self.share:.1%} of the peak, "
            f"{self.gigabytes:.1f} GB{kernels}; first step {self.first:.1f} s"
        )


@cache
def flops_of(options: Options) -> int:
    """FLOPs of an image."""
    return training_flops(papers_model(**options.size, side=options.side))


def kernels_of(call: Callable[[], object], device: torch.device) -> int | None:
    """How many kernels a call starts; None on a CPU."""
    if device.type != "cuda":
        return None
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        call()
        torch.cuda.synchronize()
    return sum(event.count for event in profiled.key_averages() if event.device_type == DeviceType.CUDA)
