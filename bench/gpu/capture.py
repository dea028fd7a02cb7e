"""Whether rows that are captured and replayed draw what single launches draw, bit for bit."""

import copy

import torch
from torch import Tensor

from bench.gpu.models import CONDITIONINGS, NETWORKS, condition_for, random_images, small_model
from bench.gpu.recording import recorded
from bench.gpu.worker import Options, Report
from pixelcnn.model import PixelModel
from pixelcnn.sampling.batches import BatchedSampling

N = 3  # images, in batches of two: the last one is filled up


def run(report: Report, options: Options) -> None:
    """Every network given every kind of condition, with masks, neighbours, new weights; against the CPU as well."""
    height = 8 if options.cpu else 24
    few = [("pixelcnn_pp of 2 stages", "spatial"), ("gated_pixelcnn", "class"), ("pixelsnail", "none")]
    every = [(network, conditioning) for network in NETWORKS for conditioning in CONDITIONINGS]
    for network, conditioning in few if options.cpu else every:
        model = small_model(network, conditioning, height=height)
        report.attempt(f"{network}, {conditioning}", _compare, report, options, f"{network}, {conditioning}", model)
    for residual in ("left", "neighbours"):
        model = small_model("pixelcnn_pp of 3 stages", residual=residual, height=height)
        report.attempt(f"residual {residual}", _compare, report, options, f"residual {residual}", model)


def _compare(report: Report, options: Options, name: str, model: PixelModel) -> None:
    height, width = model.image.height, model.image.width
    condition, images = condition_for(model, N), random_images(N, height, width)
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    masks = {"samples": rows + columns < 0, "completions": (rows >= 3) & (rows < height - 3) & (columns < 2)}
    on_cpu = {mask: _drawn(model, images, known, condition) for mask, known in masks.items()}
    model.to(options.device)
    graphs, eager = copy.deepcopy(model), copy.deepcopy(model)
    # On a GPU the default, which are CUDA graphs; on a CPU a recording like them.
    graphs.sampling = BatchedSampling(recorded if options.cpu else None)
    eager.sampling = BatchedSampling(lambda work: work)
    for mask, known in masks.items():
        launched = _drawn(eager, images, known, condition)
        for call in ("first", "second"):
            equal = torch.equal(_drawn(graphs, images, known, condition), launched)
            report.check(f"{name}: {mask}, {call} call", equal)
        # Not bit for bit: exp and tanh of a GPU and of a CPU differ in a last digit.
        alike = float((launched == on_cpu[mask]).flatten(1).all(1).double().mean())
        report.check(f"{name}: {mask} as on the CPU", alike > 0.5, f"{alike:.0%} of the images")
    with torch.no_grad():
        for other in (graphs, eager):
            for parameter in other.parameters():
                parameter.mul_(1.25)
    known = masks["completions"]
    report.check(
        f"{name}: graphs with new weights",
        torch.equal(_drawn(graphs, images, known, condition), _drawn(eager, images, known, condition)),
    )


def _drawn(model: PixelModel, images: Tensor, known: Tensor, condition: Tensor | None) -> Tensor:
    device = next(model.parameters()).device
    given = None if condition is None else condition.to(device)
    return model.complete(images.to(device), known, given, seed=3, batch_size=2)[0].cpu()
