"""Sampling from the paper's model: the first call, which captures, the following ones, and one pass per pixel."""

from functools import partial

import torch

from bench.gpu.models import random_images
from bench.gpu.recording import Recording
from bench.gpu.worker import Options, Report
from bench.measuring import memory, seconds
from bench.sampling import papers_model
from pixelcnn.execution import full_float32
from pixelcnn.model import PixelModel
from pixelcnn.sampling.sampler import Sampler, Temperature

GOALS = {64: 1.5, 256: 3.0}  # seconds, by batch; the second is 1,000 images in 12 s


def run(report: Report, options: Options) -> None:
    """By batch."""
    device = torch.device(options.device)
    full_float32()
    model = papers_model(**options.size, side=options.side).to(device)
    report.value("torch operations per pixel", operations_of_pixel(model))
    for batch in (1, 2) if options.cpu else (64, 256, 16, 1):
        if report.has(10):
            report.attempt(f"batch {batch}", _measure, report, options, model, batch)


def _measure(report: Report, options: Options, model: PixelModel, batch: int) -> None:
    device = torch.device(options.device)
    sample = partial(model.sample, batch, batch_size=batch)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()  # of training, which came before
    first, following = seconds(sample, device), min(seconds(sample, device) for _ in range(2))
    images = random_images(batch, options.side, options.side).to(device)
    with torch.no_grad():
        forward = min(seconds(lambda: model.pixel_parameters(images), device) for _ in range(2))
    naive = model.image.height * model.image.width * forward
    report.value(
        f"batch {batch}",
        f"first call {first:.2f} s, following {following:.3f} s ({batch / following:.1f} images/s), one pass per pixel "
        f"{naive:.1f} s ({naive / following:.0f}x), {memory(device) / 1e9:.2f} GB",
    )
    if batch in GOALS and not options.cpu:
        report.check(f"goal: {batch} images in {GOALS[batch]} s", following < GOALS[batch], f"{following:.2f} s")


@torch.inference_mode()
def operations_of_pixel(model: PixelModel) -> float:
    """How many operations of torch that compute something an image's second row takes, by pixel.

    Triton's kernels, which a GPU runs in place of most of them, do not count.
    """
    height, width = model.image.height, model.image.width
    sampler = Sampler(model.network, model.likelihood, 2, 3, height, width, Temperature(), lambda work: work)
    sampler.walk.begin_images(None)
    known = (False,) * width
    for i in range(2):
        sampler.walk.take_conditions_of_row(i)
        with Recording() as recording:
            sampler.draw_row(i, known)
    return sum(not function.is_view for function, *_ in recording.calls) / width
