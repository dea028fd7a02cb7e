"""Drawing any number of images in batches, with samplers that later calls can reuse."""

import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from pixelcnn.likelihood import Likelihood
from pixelcnn.network.embedding import embedding_of
from pixelcnn.sampling.sampler import Capture, Sampler, Temperature, uniforms_of


class BatchedSampling:
    """Draws images some at a time.

    On a GPU the sampler is kept for the next call, since capturing its graphs takes seconds: a call with the same batch
    size, mask and temperature reads the weights again and replays the graphs. A last, smaller batch is padded for the
    same reason. Copies, such as those of the model, do not keep a sampler. ``capture`` replaces the capturing function.
    Threads can draw at the same time; if a sampler is kept, they wait for each other.
    """

    def __init__(self, capture: Capture | None = None) -> None:
        self._capture = capture
        self._kept: tuple[Any, Sampler] | None = None
        self._lock = threading.RLock()

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
        """Fill in ``images`` (N, C, H, W) where ``known`` bool (H, W) is False, as `Sampler.draw` does.

        h: the condition as the network takes it, or None. Image k has the random numbers of (seed, numbers[k]).
        """
        channels, height, width = images.shape[1:]
        keeps = images.is_cuda or self._capture is not None
        with self._lock if keeps else nullcontext():
            kept, self._kept = self._kept, None  # in use: not for what ``on_row`` may draw
            try:
                for first in range(0, len(images), batch_size):
                    part = slice(first, min(first + batch_size, len(images)))
                    count = part.stop - first
                    n = min(batch_size, len(images)) if keeps else count
                    batch = _filled(images[part], n)
                    key = _key(network, likelihood, batch, known, temperature)
                    if kept is None or kept[0] != key:
                        kept = None  # frees its caches first
                        sampler = Sampler(network, likelihood, n, channels, height, width, temperature, self._capture)
                        kept = key, sampler
                    elif first == 0:
                        kept[1].walk.take_weights(network)
                    uniforms = uniforms_of(seed, numbers[part], (likelihood.num_uniforms, height, width))

                    def so_far(drawn: Tensor, count: int = count) -> None:
                        on_row(drawn[:count])

                    of_batch = None if h is None else _filled(h[part], n)
                    kept[1].draw(batch, known, of_batch, _filled(uniforms.to(images.device), n), on_pixel, so_far)
                    images[part] = batch[:count]
            finally:
                self._kept = kept if keeps else None


def _key(network: nn.Module, likelihood: Likelihood, batch: Tensor, known: Tensor, temperature: Temperature) -> Any:
    """What a sampler is made for; it reads the likelihood's weights and the embedding where they lie."""
    weight, mask = next(network.parameters()), tuple(map(tuple, known.tolist()))
    read = [module for module in (likelihood, embedding_of(network)) if isinstance(module, nn.Module)]
    places = tuple(tensor.data_ptr() for module in read for tensor in module.parameters())
    return network, batch.shape, mask, temperature, weight.device, weight.dtype, places


def _filled(batch: Tensor, n: int) -> Tensor:
    """``batch`` with its last entry repeated up to n of them; itself where it has as many."""
    missing = n - len(batch)
    return torch.cat([batch, batch[-1:].expand(missing, *batch.shape[1:])]) if missing else batch
