"""Log-probabilities, gradients and the initialisation against the CPU's in float64, by precision and memory order."""

import copy
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bench.gpu.models import condition_for, random_images, small_model
from bench.gpu.worker import Options, Report
from pixelcnn.execution import Execution, execute, full_float32
from pixelcnn.initialisation import data_dependent_initialisation
from pixelcnn.model import PixelModel
from pixelcnn.network import PixelCNNPP
from pixelcnn.network.nonlinearities import Padding, concat_elu

N = 4
DROPOUT, PADDING = 0.3, Padding(1, 0, 1, 0)
# Relative errors that are allowed, of log-probabilities and of the gradient of all weights.
ALLOWED = {"float64": (1e-10, 1e-8), "float32": (1e-4, 1e-3), "tf32": (1e-2, 5e-2), "bf16": (3e-2, 2e-1)}


def run(report: Report, options: Options) -> None:
    """A PixelCNN++ in all precisions, the other networks in float64, the initialisation, dropout."""
    size: dict[str, Any] = {"num_filters": 4 if options.cpu else 32, "num_resnet_blocks": 1 if options.cpu else 2}
    torch.manual_seed(0)
    network = partial(PixelCNNPP, num_stages=3, dropout=0.0, **size)
    model = PixelModel((3, options.side, options.side), network).double()
    images = random_images(N, options.side, options.side)
    initialised = copy.deepcopy(model).to(options.device)
    data_dependent_initialisation(initialised, images.to(options.device))
    data_dependent_initialisation(model, images)
    error = max(
        float((a.cpu() - b).detach().abs().max())
        for a, b in zip(initialised.parameters(), model.parameters(), strict=True)
    )
    report.check("data-dependent initialisation", error < 1e-6, f"largest difference {error:.1e}")
    for dtype in (torch.float32, torch.bfloat16):
        for memory_format in (torch.contiguous_format, torch.channels_last):
            _compare_dropout(report, options, dtype, memory_format)
    expected = _log_prob_and_gradient(model, images, None, "float64")
    for precision in ALLOWED:
        for channels_last in (False, True):
            other = copy.deepcopy(model).to(options.device, torch.float64 if precision == "float64" else torch.float32)
            execute(other, Execution(channels_last=channels_last))
            found = _log_prob_and_gradient(other, images.to(options.device), None, precision)
            order = "channels-last" if channels_last else "contiguous"
            _compare(report, f"{precision}, {order}", precision, found, expected)
    for name in ("gated_pixelcnn", "pixelcnn", "pixelsnail", "pixelcnn_pp of 3 stages"):
        model = small_model(name, "spatial", height=8)
        some, condition = random_images(N, model.image.height, model.image.width), condition_for(model, N)
        expected = _log_prob_and_gradient(model, some, condition, "float64")
        moved, given = model.to(options.device), None if condition is None else condition.to(options.device)
        found = _log_prob_and_gradient(moved, some.to(options.device), given, "float64")
        _compare(report, f"float64, {name}, spatial", "float64", found, expected)


def _compare_dropout(report: Report, options: Options, dtype: torch.dtype, order: torch.memory_format) -> None:
    """concat_elu, whose kernel on a GPU drops by random numbers of its own, with itself without dropout."""
    x = torch.randn(8, 16, 16, 16, device=options.device).to(dtype).to(memory_format=order).requires_grad_()
    y, without = concat_elu(x, DROPOUT, PADDING), concat_elu(x, padding=PADDING)
    dropped = y == 0
    (found,) = torch.autograd.grad(y, x, torch.ones_like(y))
    (expected,) = torch.autograd.grad(without, x, (~dropped / (1 - DROPOUT)).to(dtype))
    errors = (y - without / (1 - DROPOUT)).masked_fill(dropped, 0), found - expected
    value, gradient = (float(error.detach().abs().max()) for error in errors)
    rate = float(dropped[:, :, PADDING.above :, PADDING.left :].double().mean())
    allowed = 16 * torch.finfo(dtype).eps
    report.check(
        f"dropout of {dtype}, {order}",
        max(value, gradient) < allowed and abs(rate - DROPOUT) < 0.01,
        f"{rate:.1%} dropped, errors {value:.1e} and {gradient:.1e}",
    )


def _log_prob_and_gradient(
    model: PixelModel, images: Tensor, condition: Tensor | None, precision: str
) -> tuple[Tensor, Tensor]:
    """float64 on the CPU: (N,), and all weights' gradient of the sum in one."""
    full_float32(precision != "tf32")
    autocast = torch.autocast(images.device.type, torch.bfloat16) if precision == "bf16" else nullcontext()
    model.zero_grad()
    with autocast:
        log_prob = model.log_prob(images, condition)
    log_prob.sum().backward()
    full_float32()
    gradients = [weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]
    return log_prob.detach().double().cpu(), torch.cat(gradients).double().cpu()


def _compare(
    report: Report, name: str, precision: str, found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]
) -> None:
    errors = [float((a - b).norm() / b.norm()) for a, b in zip(found, expected, strict=True)]
    passed = all(error < allowed for error, allowed in zip(errors, ALLOWED[precision], strict=True))
    report.check(name, passed, f"relative errors {errors[0]:.1e} and, of the gradient, {errors[1]:.1e}")
