"""Training for a fixed time: the recipe of ``conf/experiment/recipe.yaml``, its schedule by the clock."""

import copy
import math
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from bench.captured import Gradient, captured_gradient, gradient_of
from pixelcnn.execution import Execution, execute, full_float32
from pixelcnn.model import PixelModel
from pixelcnn.optim import Muon, build_optimizer
from pixelcnn.training.nonfinite import gradient_norm

WARM_UP, COOL_DOWN = 0.03, 0.4  # fractions of the time
HORIZON = 0.05  # of the average of the weights, a fraction of the time
SHOWN = 50  # times that a line is printed


def factor_at(position: float) -> float:
    """The learning rate's factor when the fraction ``position`` of the time is over: rises, stays, falls linearly to
    0."""
    return max(0.0, min(1.0, position / WARM_UP, (1 - position) / COOL_DOWN))


class TimedTraining:
    """Trains ``model``, on its device in bf16, with ``averaged`` the moving average of its weights.

    images: uint8 (N, C, H, W), kept on the device. ``position`` is the fraction of ``seconds`` that is over; the clock
    stands still while ``on_line`` runs, called from time to time with a row of the curve.
    """

    def __init__(
        self, model: PixelModel, images: Tensor, batch: int, seconds: float, lr: float = 0.01, compiled: bool = False
    ) -> None:
        execute(model, Execution(channels_last=True))
        self.model = model
        self.averaged = copy.deepcopy(model).eval()
        self.device = next(model.parameters()).device
        self.images, self.batch, self.seconds = images.to(self.device), batch, seconds
        self.optimizer = build_optimizer(partial(Muon, lr=lr, adam_lr=0.3 * lr), model)
        self._rates = [group["lr"] for group in self.optimizer.param_groups]
        self._order = torch.Generator(device=self.device).manual_seed(0)
        self._compiled = compiled
        self._spent, self._since = 0.0, 0.0
        self.steps = self.skipped = 0

    @property
    def position(self) -> float:
        """The fraction of the time that is over."""
        return (self._spent + time.monotonic() - self._since) / self.seconds

    def run(self, on_line: Callable[[dict[str, float]], None]) -> None:
        """Train until the time is over; compiling and capturing come before it."""
        full_float32(False)
        torch.backends.cudnn.benchmark = True
        self.model.train()
        execute(self.model, Execution(channels_last=True, compile=self._compiled))  # what is averaged is not compiled
        batch = self.images[: self.batch].clone()
        gradient = self._gradient(batch)
        gradient()  # which compiles where nothing was captured
        self.model.zero_grad()
        self._since = time.monotonic()
        remaining = self._shuffled()
        losses: list[Tensor] = []
        lines = 0
        while (position := self.position) < 1:
            if len(remaining) < self.batch:
                remaining = self._shuffled()
            batch.copy_(self.images[remaining[: self.batch]])
            remaining = remaining[self.batch :]
            for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
                group["lr"] = rate * factor_at(position)
            losses.append(gradient().clone())
            self._step(position)
            if self.position * SHOWN >= lines + 1:
                lines = int(self.position * SHOWN)
                self._show(on_line, losses)
                losses = []

    def _gradient(self, batch: Tensor) -> Gradient:
        if self.device.type == "cpu":
            return gradient_of(self.model, batch, torch.bfloat16)
        try:
            return captured_gradient(self.model, batch, torch.bfloat16)
        except RuntimeError as error:  # of CUDA's: a slower run is better than none
            print(f"Not replayed as a CUDA graph: {str(error).splitlines()[0]}", flush=True)
            torch.cuda.synchronize()
            self.model.zero_grad()  # partial ones that the capture may have left
            return gradient_of(self.model, batch, torch.bfloat16)

    def _shuffled(self) -> Tensor:
        return torch.randperm(len(self.images), generator=self._order, device=self.device)

    @torch.no_grad()
    def _step(self, position: float) -> None:
        weights: list[Tensor] = list(self.model.parameters())
        averaged: list[Tensor] = list(self.averaged.parameters())
        self.steps += 1
        if gradient_norm([weight.grad for weight in weights if weight.grad is not None]).isfinite():
            self.optimizer.step()
            of_step = position / self.steps  # a step's fraction of the time, so far
            decay = min(1 - min(1.0, of_step / HORIZON), (1 + self.steps) / (10 + self.steps))
            torch._foreach_lerp_(averaged, weights, 1 - decay)
        else:
            self.skipped += 1
        self.optimizer.zero_grad()

    def _show(self, on_line: Callable[[dict[str, float]], None], losses: list[Tensor]) -> None:
        self._spent += time.monotonic() - self._since
        bits = float(torch.stack(losses).mean()) / (self.batch * self.images[0].numel() * math.log(2))
        on_line(
            {
                "seconds": self._spent,
                "step": self.steps,
                "images": self.steps * self.batch,
                "train_bits_per_dim": bits,
                "lr": self.optimizer.param_groups[0]["lr"],
            }
        )
        full_float32(False)
        self._since = time.monotonic()


@torch.no_grad()
def bits_per_dim(model: PixelModel, images: Tensor, batch: int = 128) -> float:
    """The mean over ``images``, each counted once, in full float32."""
    full_float32()
    device = next(model.parameters()).device
    scores = [model.bits_per_dim(part.to(device)).double().cpu() for part in images.split(batch)]
    return float(torch.cat(scores).mean())
