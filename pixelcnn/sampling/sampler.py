"""Sampling and completing images pixel by pixel, in raster order."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from pixelcnn.errors import UserError
from pixelcnn.likelihood import Likelihood
from pixelcnn.sampling.capture import Work, cuda_graphs
from pixelcnn.sampling.incremental import IncrementalWalk
from pixelcnn.sampling.scan import Scan

Capture = Callable[[Work], Work]


@dataclass(frozen=True)
class Temperature:
    """Temperatures of sampling. Below 1, samples prefer likely components and stay closer to their means."""

    mixture: float = 1.0  # divides the components' logits
    scale: float = 1.0  # multiplies the components' scales

    @classmethod
    def of(cls, temperature: "Temperature | float") -> "Temperature":
        """``temperature`` itself, or the same number for both."""
        return temperature if isinstance(temperature, cls) else cls(temperature, temperature)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        if not (0 < self.mixture < math.inf and 0 < self.scale < math.inf):
            raise UserError(f"temperature of {self.mixture} and {self.scale} is out of range: use positive numbers.")


class Sampler(Scan):
    """Draws batches of n images of a size, or completes them.

    On a GPU each kind of row is captured once, at one ``temperature``, and replayed for all batches. ``capture``
    replaces the capturing function.
    """

    def __init__(
        self,
        network: nn.Module,
        likelihood: Likelihood,
        n: int,
        channels: int,
        height: int,
        width: int,
        temperature: Temperature,
        capture: Capture | None = None,
    ) -> None:
        super().__init__(network, likelihood, n, channels, height, width)
        self.temperature, device = temperature, self.levels.device
        # The uniform numbers that the current row's pixels are drawn by.
        self.uniforms = torch.zeros(n, likelihood.num_uniforms, width, dtype=torch.float64, device=device)
        self._uniforms_by_group = self.uniforms.unflatten(1, (self.walk.num_groups, -1))
        on_gpu = device.type == "cuda" and isinstance(self.walk, IncrementalWalk)
        self._capture = cuda_graphs(device) if capture is None and on_gpu else capture
        self._replays: dict[tuple[int, tuple[bool, ...]], Work] = {}

    def draw(
        self,
        images: Tensor,
        known: Tensor,
        h: Tensor | None,
        uniforms: Tensor,
        on_pixel: Callable[[], object],
        on_row: Callable[[Tensor], object] = lambda images: None,
    ) -> None:
        """Fill in the pixels of ``images`` (N, C, H, W) where ``known`` bool (H, W) is False.

        Each is drawn given all pixels before it, known or drawn; known pixels after it are ignored. uniforms: float64
        (N, likelihood.num_uniforms, H, W). When a row is done, ``on_pixel`` is called for each of its pixels, then
        ``on_row`` with the images so far.
        """
        rows = known.tolist()

        def draw_row(i: int) -> None:
            self.uniforms.copy_(uniforms[:, :, i])
            self._row(i, tuple(rows[i]))

        self.scan(images, h, draw_row, on_pixel, on_row)

    def _row(self, i: int, known: tuple[bool, ...]) -> None:
        if self._capture is None:
            self.draw_row(i, known)
            return
        # Rows do the same work if their values are kept in the same places; row 0 has none above it.
        kind = (i if i == 0 else 1 + (i - 1) % self.walk.period, known)
        if kind not in self._replays:
            self._replays[kind] = self._capture(lambda: self.draw_row(i, known))
        self._replays[kind]()

    def draw_row(self, i: int, known: tuple[bool, ...]) -> None:
        """Draw the unknown pixels of ``levels``, row i of the images, from ``uniforms``."""

        def draw(j: int, group: int, parameters: Tensor, levels: Tensor) -> None:
            if not known[j]:
                drawn = self.likelihood.sample_levels(
                    self.given_past(parameters, self.neighbours(j)),
                    self._uniforms_by_group[:, group, :, j, None, None],
                    self.temperature.mixture,
                    self.temperature.scale,
                )
                levels.copy_(drawn[:, :, 0, 0])

        self.decide_row(i, draw)


def uniforms_of(seed: int, numbers: Sequence[int], shape: tuple[int, int, int]) -> Tensor:
    """Uniform numbers float64 (n, *shape) for n images, each from (seed, its number) alone."""
    return torch.stack([_uniforms(seed, k, shape) for k in numbers])


def _uniforms(seed: int, k: int, shape: tuple[int, int, int]) -> Tensor:
    state = np.random.SeedSequence((seed, k)).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(state >> 1))
    return torch.rand(shape, generator=generator, dtype=torch.float64)
