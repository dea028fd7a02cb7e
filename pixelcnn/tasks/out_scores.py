"""Scores of the group ``scores``: bound to the model and its images, and applied to the images of a set."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from pixelcnn.conditioning import Condition
from pixelcnn.conditioning.condition import expanded, on_device
from pixelcnn.configuration.groups import bound_parts
from pixelcnn.data.base import ImageDataModule
from pixelcnn.errors import UserError, require
from pixelcnn.model import PixelModel
from pixelcnn.ood import of_images, reference_of
from pixelcnn.signature import arguments_of, refusal


@dataclass(frozen=True, eq=False)
class Score:
    """A score by its name in ``scores``; ``batch`` and ``two_sided`` as in `pixelcnn.ood.of_batches`."""

    name: str
    function: partial[Any]
    batch: int
    two_sided: bool

    @property
    def needs_reference(self) -> bool:
        """Whether it compares with training images."""
        return "reference" in arguments_of(self.function.func)

    def __call__(self, **given: Any) -> Tensor:
        """Maps, (N, …), or scores, (N,), from those of ``given`` that it takes."""
        known = arguments_of(self.function.func)
        try:
            maps = self.function(**{name: value for name, value in given.items() if name in known})
        except UserError as error:
            raise refusal(error, self.function.func, self.function.keywords, f"scores.{self.name}.") from error
        count = len(given["images"])
        if not isinstance(maps, Tensor) or maps.shape[:1] != (count,):
            told = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
            raise UserError(f"scores.{self.name} returned {told} for {count} images: return a tensor ({count}, …).")
        return maps


def scores_of(config: DictConfig) -> list[Score]:
    """The scores of ``config``."""
    scores = []
    for name, function in bound_parts(config, "scores"):
        keys = config.scores[name]
        require(keys.batch >= 1, f"scores.{name}.batch", keys.batch, "use at least one image")
        scores.append(Score(name, function, keys.batch, keys.two_sided))
    return scores


def _once(bits: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """``bits``, keeping its last result for calls with the very same tensors."""
    latest: tuple[Tensor, Condition, Tensor] | None = None

    def kept(images: Tensor, condition: Condition = None) -> Tensor:
        nonlocal latest
        if latest is None or latest[0] is not images or latest[1] is not condition:
            latest = images, condition, bits(images, condition)
        return latest[2]

    return kept


class ScoringOfSets:
    """``scores`` of images under ``model``, on its device, all given ``condition``, whose first axis is 1, if any."""

    def __init__(self, model: PixelModel, scores: list[Score], condition: Condition, batch_size: int) -> None:
        self.model = model
        self.scores = scores
        self.device = next(model.parameters()).device
        self.condition = on_device(condition, self.device)
        self.batch_size = batch_size
        self._expanded: tuple[int, Condition] | None = None  # one object for all scores of a batch, see `_once`
        self.given: dict[str, Any] = {"model": model}  # further arguments of scores, beside images and condition
        # All scores of a batch share one pass of the model.
        model.bits = _once(model.bits)  # type: ignore[method-assign]

    def compare_with(self, data: ImageDataModule, num_images: int) -> None:
        """Give the scores the mean bits of up to ``num_images`` training images of ``data`` to compare with."""
        places = data.evenly_spaced("train", num_images)
        self.given["reference"] = reference_of(self.model, self._images(data, "train", places), self.condition)

    def scored(
        self, data: ImageDataModule, places: np.ndarray, on_batch: Callable[[], object]
    ) -> dict[str, np.ndarray]:
        """The scores, float64 (N,), by name, of the test images at ``places``; calls ``on_batch`` after each batch."""
        found: dict[str, list[Tensor]] = {score.name: [] for score in self.scores}
        for images in self._images(data, "test", places):
            for score in self.scores:
                found[score.name].append(of_images(self._maps(score, images)).cpu())
            on_batch()
        return {name: torch.cat(parts).numpy() for name, parts in found.items()}

    def maps(self, score: Score, data: ImageDataModule, places: np.ndarray) -> np.ndarray | None:
        """The map of ``score`` for the test images at ``places``, (N, H, W), or None if it has no map."""
        maps = torch.cat([self._maps(score, images) for images in self._images(data, "test", places)]).cpu()
        if maps.ndim == 1:
            return None
        return (maps.mean(dim=1) if maps.ndim == 4 else maps).numpy()

    def _maps(self, score: Score, images: Tensor) -> Tensor:
        if self._expanded is None or self._expanded[0] != len(images):
            self._expanded = len(images), expanded(self.condition, len(images))
        with torch.no_grad():
            return score(images=images, condition=self._expanded[1], **self.given)

    def _images(self, data: ImageDataModule, part: str, places: np.ndarray) -> Iterator[Tensor]:
        for first in range(0, len(places), self.batch_size):
            yield data.at(part, places[first : first + self.batch_size])["images"].to(self.device)
