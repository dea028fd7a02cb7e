"""Range coding of a batch of images, site by site, with the probabilities of a model.

Encoder and decoder run the same code on the same batches: the incremental walk, whose rounding depends on the size of
the batch, and the likelihood's distribution functions in float64.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from pixelcnn.errors import UserError
from pixelcnn.likelihood import Likelihood
from pixelcnn.likelihood.protocol import DistributionFunction
from pixelcnn.sampling.scan import Scan

try:
    import constriction
except ImportError as error:
    raise UserError(
        "constriction is not installed, but compression needs it: pip install -r requirements-compression.txt, or "
        "pip install 'pixelcnn[compression]'."
    ) from error

# A level is coded in two steps: first the stretch of levels it is in, then its place there. Tables of 16 cost a
# sixteenth of those of 256, and masses down to 2^-48 keep their code length, while the coder's smallest mass is 2^-24.
# Above 256 levels the two steps have about equally many symbols.
STRETCH = 16
FEW = 2 * STRETCH  # up to this many levels are coded in one step
LEAST = 1e-30  # above rounding below zero, and below any mass that matters: a table must not be all zeros
FAMILY = constriction.stream.model.Categorical(perfect=False)


class Encoder:
    """Encodes symbols into a stream."""

    def __init__(self) -> None:
        self.coder = constriction.stream.queue.RangeEncoder()

    def symbols(self, masses: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Encode ``known`` int32 (N,) with the probabilities ``masses`` float64 (N, K), and return it."""
        self.coder.encode(known, FAMILY, masses)
        return known

    def labels(self, known: np.ndarray, count: int) -> None:
        """Encode ``known`` (N,), uniform over 0 .. count-1."""
        self.coder.encode(known.astype(np.int32), _alike(count))

    def to_bytes(self) -> bytes:
        """The stream, for `Decoder`."""
        return self.coder.get_compressed().astype("<u4").tobytes()


class Decoder:
    """Decodes the symbols of a stream."""

    def __init__(self, stream: bytes) -> None:
        self.coder = constriction.stream.queue.RangeDecoder(np.frombuffer(stream, "<u4").astype(np.uint32))

    def symbols(self, masses: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Decode int32 (N,). ``known`` is ignored."""
        return self.coder.decode(FAMILY, masses)

    def labels(self, n: int, count: int) -> np.ndarray:
        """Decode int64 (n,)."""
        return self.coder.decode(_alike(count), n).astype(np.int64)


def _alike(count: int) -> constriction.stream.model.Uniform:
    return constriction.stream.model.Uniform(max(count, 2))  # which does not accept a single symbol


class Coding(Scan):
    """Codes batches of n images of one size."""

    def __init__(
        self, network: nn.Module, likelihood: Likelihood, n: int, channels: int, height: int, width: int
    ) -> None:
        super().__init__(network, likelihood, n, channels, height, width)
        levels, device = likelihood.levels, self.levels.device
        self.stretch = levels if levels <= FEW else max(STRETCH, math.isqrt(levels))
        self.starts = torch.arange(0, levels + self.stretch, self.stretch, device=device).clamp_max(levels)[None]
        self.within = np.arange(self.stretch + 1)[None]

    def code(self, images: Tensor, h: Tensor | None, coder: Encoder | Decoder, on_pixel: Callable[[], object]) -> None:
        """Encode ``images`` (N, C, H, W), or overwrite them with the decoded images."""

        def row(i: int) -> None:
            self.decide_row(i, partial(self._code_site, coder))

        try:
            self.scan(images, h, row, on_pixel)
        except ValueError as error:
            raise UserError(
                "the model gives probabilities that are not numbers for one of the images: use another checkpoint."
            ) from error

    def _code_site(self, coder: Encoder | Decoder, j: int, group: int, parameters: Tensor, levels: Tensor) -> None:
        conditionals = self.likelihood.conditionals(self.given_past(j, parameters)[:, :, 0, 0])
        known, below = levels.cpu().numpy().astype(np.int32), next(conditionals)
        for channel in range(levels.shape[1]):
            coded = self._code_level(coder, below, known[:, channel])
            if isinstance(coder, Decoder):
                levels[:, channel] = torch.from_numpy(coded).to(levels.device)
            if channel + 1 < levels.shape[1]:
                below = conditionals.send(levels[:, channel].long())

    def _code_level(self, coder: Encoder | Decoder, below: DistributionFunction, known: np.ndarray) -> np.ndarray:
        """Code one level of each image, int32 (N,); ``known`` are the levels to encode, ignored in decoding."""
        first, rest = np.divmod(known, self.stretch)
        if self.starts.shape[1] > 2:
            first = coder.symbols(_masses(below(self.starts)), first)
        bounds = np.minimum(self.within + first[:, None] * self.stretch, self.likelihood.levels)
        return first * self.stretch + coder.symbols(
            _masses(below(torch.from_numpy(bounds).to(self.starts.device))), rest
        )


def _masses(below: Tensor) -> np.ndarray:
    cumulative = below.cpu().numpy()
    return np.maximum(cumulative[:, 1:] - cumulative[:, :-1], LEAST)
