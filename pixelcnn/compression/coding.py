"""Range coding of a batch of images, site by site, with the probabilities of a model.

Encoder and decoder see the same floats: those of the incremental walk, whose rounding depends on the size of the batch,
and of the likelihood's distribution functions in float64. A decoder needs these functions at all bounds of a table,
site by site. An encoder needs them at the bounds of the encoded levels only, for many sites at once.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from pixelcnn.errors import UserError
from pixelcnn.likelihood import Likelihood
from pixelcnn.likelihood.prediction import Neighbours
from pixelcnn.likelihood.protocol import Conditionals, DistributionFunction
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
AT_ONCE = 2**18  # parameters of the sites that are encoded at once
FAMILY = constriction.stream.model.Categorical(perfect=False)
# The number of units that the coder divides among the symbols of a table. It gives each symbol one, and the rest in
# proportion to the table. Tables here are integers that sum to this rest, so nothing is rounded.
UNITS = 2**24
# The part of each symbol in what a table divides. It exceeds the rounding of distribution functions, which may fall by
# that much where they should rise.
LEAST = 2.0**-48


class Encoder:
    """Encodes symbols into a stream."""

    def __init__(self) -> None:
        self.coder = constriction.stream.queue.RangeEncoder()

    def symbols(self, before: np.ndarray, own: np.ndarray) -> None:
        """Encode symbols (N,). In its table each has ``own`` + 1 units, and the symbols before it, with the unused
        first one, have ``before`` + 1 together: integers in float64 (N,)."""
        tables = np.stack([before, own, UNITS - 3 - before - own], axis=1)
        self.coder.encode(np.ones(len(own), np.int32), FAMILY, tables)

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

    def symbols(self, shares: np.ndarray) -> np.ndarray:
        """Decode int32 (N,), of K symbols each, by the `shares` of all their bounds (N, K + 1).

        The table has an unused symbol at each end, so the units of every other one are the difference of two shares.
        """
        count = shares.shape[1] - 1
        table = np.empty((len(shares), count + 2))
        table[:, 0], table[:, -1] = 0, UNITS - (count + 2) - shares[:, -1]
        np.subtract(shares[:, 1:], shares[:, :-1], out=table[:, 1:-1])
        return (self.coder.decode(FAMILY, table) - 1).clip(0, count - 1)

    def labels(self, n: int, count: int) -> np.ndarray:
        """Decode int64 (n,)."""
        return self.coder.decode(_alike(count), n).astype(np.int64)


def _alike(count: int) -> constriction.stream.model.Uniform:
    return constriction.stream.model.Uniform(max(count, 2))  # which does not accept a single symbol


def shares(
    below: np.ndarray, places: np.ndarray, first: np.ndarray | float, width: np.ndarray | float, count: int
) -> np.ndarray:
    """The units of all symbols before bounds number ``places`` in tables of ``count``, without the one that each has
    anyway.

    ``below`` is the distribution function at these bounds. It is ``first`` at bound 0 and rises by ``width`` to the
    last one. Returns integers in float64, which rise from 0. Each depends on its own bound only, so an encoder needs no
    table.
    """
    return np.floor((below - first + LEAST * places) * ((UNITS - (count + 2)) / (width + LEAST * count)))


class Coding(Scan):
    """Codes batches of n images of one size."""

    def __init__(
        self, network: nn.Module, likelihood: Likelihood, n: int, channels: int, height: int, width: int
    ) -> None:
        super().__init__(network, likelihood, n, channels, height, width)
        levels, device = likelihood.levels, self.levels.device
        self.stretch = levels if levels <= FEW else max(STRETCH, math.isqrt(levels))
        self.stretches = -(-levels // self.stretch)
        self.starts = torch.arange(self.stretches + 1, device=device).mul_(self.stretch).clamp_max_(levels)[None]
        self.within = np.arange(self.stretch + 1)[None]
        numbers = likelihood.num_parameters // likelihood.num_groups
        # Sums on a GPU may depend on how many there are.
        many = likelihood.sites_apart and device.type == "cpu"
        at_once = min(max(1, AT_ONCE // (n * numbers)), width * likelihood.num_groups) if many else 1
        # The network's, of the sites that are encoded next.
        self.parameters = torch.zeros(at_once, n, numbers, dtype=self.dtype, device=device)
        self._waiting: list[tuple[Tensor, Neighbours | None]] = []  # their levels and neighbours

    def code(self, images: Tensor, h: Tensor | None, coder: Encoder | Decoder, on_pixel: Callable[[], object]) -> None:
        """Encode ``images`` (N, C, H, W), or overwrite them with the decoded images."""

        def row(i: int) -> None:
            if isinstance(coder, Decoder):
                self.decide_row(i, partial(self._decode_site, coder))
            else:
                self.decide_row(i, partial(self._encode_later, coder))
                self._encode_waiting(coder)

        try:
            self.scan(images, h, row, on_pixel)
        except ValueError as error:
            raise UserError(
                "the model gives probabilities that are negative or not numbers for one of the images: "
                "use another checkpoint."
            ) from error

    def _decode_site(self, decoder: Decoder, j: int, group: int, parameters: Tensor, levels: Tensor) -> None:
        conditionals = self._conditionals(parameters, self.neighbours(j))
        below = next(conditionals)
        for channel in range(levels.shape[1]):
            levels[:, channel] = torch.from_numpy(self._decoded(decoder, below)).to(levels.device)
            if channel + 1 < levels.shape[1]:
                below = conditionals.send(levels[:, channel].long())

    def _decoded(self, decoder: Decoder, below: DistributionFunction) -> np.ndarray:
        """The level of a channel at each site, integers (N,)."""
        last = self.likelihood.levels
        first = np.zeros(self.n, np.int32)
        if self.stretches > 1:
            places = np.arange(self.stretches + 1)
            first = decoder.symbols(shares(below(self.starts).cpu().numpy(), places, 0.0, 1.0, self.stretches))
        bounds = np.minimum(self.within + first[:, None] * self.stretch, last)
        values = below(torch.from_numpy(bounds).to(self.starts.device)).cpu().numpy()
        width = values[:, -1:] - values[:, :1]
        rest = decoder.symbols(shares(values, self.within, values[:, :1], width, self.stretch))
        return np.minimum(first * self.stretch + rest, last - 1)

    def _conditionals(self, parameters: Tensor, neighbours: Neighbours | None) -> Conditionals:
        return self.likelihood.conditionals(self.given_past(parameters.contiguous(), neighbours)[:, :, 0, 0])

    def _encode_later(self, encoder: Encoder, j: int, group: int, parameters: Tensor, levels: Tensor) -> None:
        self.parameters[len(self._waiting)] = parameters
        self._waiting.append((levels, self.neighbours(j)))
        if len(self._waiting) == len(self.parameters):
            self._encode_waiting(encoder)

    def _encode_waiting(self, encoder: Encoder) -> None:
        """Encode the waiting sites, first all images' first channel of the first site as the decoder needs it."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        of_sites, neighbours = zip(*waiting, strict=True)
        levels = torch.cat(of_sites).long()  # S * N, C / groups
        beside = None if neighbours[0] is None else Neighbours(*map(torch.cat, zip(*neighbours, strict=True)))
        conditionals = self._conditionals(self.parameters[: len(waiting)].flatten(0, 1), beside)
        below, steps = next(conditionals), []
        for channel in range(levels.shape[1]):
            steps += self._steps(below, levels[:, channel])
            if channel + 1 < levels.shape[1]:
                below = conditionals.send(levels[:, channel])
        symbols = np.stack(steps).reshape(len(steps), 2, len(waiting), self.n)
        encoder.symbols(*symbols.transpose(1, 2, 0, 3).reshape(2, -1))

    def _steps(self, below: DistributionFunction, levels: Tensor) -> list[np.ndarray]:
        """For each step of coding ``levels`` (S * N,), what `Encoder.symbols` takes of them, (2, S * N)."""
        first = levels.div(self.stretch, rounding_mode="floor")
        start = first * self.stretch
        bounds = torch.stack([start, (start + self.stretch).clamp_max(self.likelihood.levels), levels, levels + 1], 1)
        values = below(bounds).cpu().numpy().T
        place, width = (levels - start).cpu().numpy(), values[1] - values[0]
        steps = [_symbol(values[2:], place, values[0], width, self.stretch)]
        if self.stretches > 1:
            steps.insert(0, _symbol(values[:2], first.cpu().numpy(), 0.0, 1.0, self.stretches))
        return steps


def _symbol(
    below: np.ndarray, place: np.ndarray, first: np.ndarray | float, width: np.ndarray | float, count: int
) -> np.ndarray:
    """Symbols number ``place`` (N,) of their tables for `Encoder.symbols`, by ``below`` at both their bounds (2, N)."""
    low, high = (shares(below[end], place + end, first, width, count) for end in (0, 1))
    if not (high >= low).all():
        raise ValueError("a distribution function falls or is not a number")
    return np.stack([low + place, high - low])
