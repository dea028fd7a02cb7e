"""Drawing any number of images in batches, by samplers that later calls can use again."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pixelcnn.likelihood import Likelihood
from pixelcnn.sampling.sampler import Capture, Sampler, Temperature, uniforms_of


class BatchedSampling:
    """Draws images some at a time.

    On a GPU the sampler is kept for the next call, since capturing its graphs takes seconds: a call with the same size
    of batches, mask and temperature reads the weights again and replays them. A last, smaller batch is filled up for
    the same reason. Calls may overlap, in threads. Copies, as of the model that it belongs to, keep nothing.
    ``capture`` replaces what captures.
    """

    def __init__(self, capture: Capture | None = None) -> None:
        self._capture = capture
        self._kept: dict[Any, Sampler] = {}  # one at most, which a call takes out while it draws

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._capture,)

    def draw(
        self,
        network: nn.Module,
        likelihood: Likelihood,
        images: Tensor,
        known: Tensor,
        h: Tensor | None,
        seed: int,
        numbers: Sequence[int],
        temperature: Temperature,
        batch_size: int,
        on_pixel: Callable[[], object],
        on_row: Callable[[Tensor], object] = lambda images: None,
    ) -> None:
        """Fill in ``images`` uint8 (N, C, H, W) where ``known`` bool (H, W) is False, as `Sampler.draw` does.

        h: the condition as the network takes it, or None. Image k has the random numbers of (seed, numbers[k]).
        """
        total, weight = len(images), next(network.parameters())
        channels, height, width = images.shape[1:]
        keeps = images.is_cuda or self._capture is not None
        mask = tuple(map(tuple, known.tolist()))
        for first in range(0, total, batch_size):
            part = slice(first, min(first + batch_size, total))
            n = min(batch_size, total) if keeps else part.stop - first
            key = (network, n, channels, height, width, mask, temperature, weight.device, weight.dtype)
            sampler = self._kept.pop(key, None)
            if sampler is None:
                self._kept.clear()  # frees its caches first
                sampler = Sampler(network, likelihood, n, channels, height, width, temperature, self._capture)
            elif first == 0:
                sampler.walk.take_weights(network)
            uniforms = uniforms_of(seed, numbers[part], (likelihood.num_uniforms, height, width)).to(images.device)
            batch = _filled(images[part], n)
            of_batch = None if h is None else _filled(h[part], n)

            def so_far(drawn: Tensor, count: int = part.stop - first) -> None:
                on_row(drawn[:count])

            try:
                sampler.draw(batch, known, of_batch, _filled(uniforms, n), on_pixel, so_far)
            finally:
                self._kept = {key: sampler}
            images[part] = batch[: part.stop - first]
        if not keeps:
            self._kept.clear()


def _filled(batch: Tensor, n: int) -> Tensor:
    """``batch`` with its last entry repeated up to n of them; itself where it has as many."""
    missing = n - len(batch)
    return torch.cat([batch, batch[-1:].expand(missing, *batch.shape[1:])]) if missing else batch
