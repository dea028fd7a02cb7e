"""What the page shows: images while they are drawn, completions of a painted image, and where the bits go."""

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import cast

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from pixelcnn.conditioning import Condition
from pixelcnn.conditioning.condition import on_device
from pixelcnn.conditioning.several import gathered, kinds_of
from pixelcnn.data.base import ImageDataModule
from pixelcnn.data.batches import Batch
from pixelcnn.errors import UserError
from pixelcnn.image_shape import ImageShape
from pixelcnn.likelihood import Categorical, Implicit
from pixelcnn.model import PixelModel
from pixelcnn.orders import Order
from pixelcnn.pictures import black_to_white, grid
from pixelcnn.report.maps import maps_beside
from pixelcnn.sampling.sampler import Temperature
from pixelcnn.scores import as_label

NOT_DRAWN = 0.5  # grey, as a fraction of the highest level
PAINTED = 0.25  # fraction of a pixel's area that has to be painted over
SIDE = 512  # of pictures on the page

Draw = Callable[[Callable[[Tensor], object]], Tensor]


@dataclass(frozen=True)
class Choice:
    """The values of the page's controls."""

    seed: int
    mixture_temperature: float
    scale_temperature: float
    label: int | None  # of a class; None: the classes in turn
    place: int  # place in the test set of the image whose condition is used


class Explorer:
    """One model on the page, called ``name``. ``data`` provides the images to condition it on."""

    def __init__(self, name: str, model: PixelModel, data: ImageDataModule | None) -> None:
        self.name, self.model, self.data = name, model, data

    @property
    def takes_temperatures(self) -> tuple[bool, bool]:
        """Whether its likelihood has a temperature of components, and one of scales."""
        likelihood = self.model.likelihood
        return not isinstance(likelihood, Implicit), not isinstance(likelihood, Implicit | Categorical)

    def drawn(self, n: int, choice: Choice) -> Iterator[Tensor]:
        """Yield n samples, uint8 (n, C, H, W), after each row; pixels not drawn yet are grey."""
        shape = self.model.image
        condition = self._condition(n, choice)
        known = torch.zeros(shape.height, shape.width, dtype=torch.bool)
        return self._by_line(
            known,
            self.model.orders.chosen(None),
            lambda on_row: self.model.sample(n, condition, on_row=on_row, batch_size=n, **self._arguments(choice)),
        )

    def completed(self, image: Tensor, known: Tensor, n: int, choice: Choice) -> Iterator[Tensor]:
        """Yield n completions of ``image`` uint8 (1, C, H, W) where ``known`` (H, W) is False, after each row."""
        images = image.to(self._device).repeat(n, 1, 1, 1)
        condition = self._condition(n, choice, images)
        return self._by_line(
            known,
            self.model.completion_order(known),
            lambda on_row: self.model.complete(
                images, known, condition, on_row=on_row, batch_size=n, **self._arguments(choice)
            )[0],
        )

    @torch.no_grad()
    def score_map(self, image: Tensor, choice: Choice) -> Tensor:
        """`PixelModel.score_map` of ``image`` uint8 (1, C, H, W): (C, H, W) on the CPU."""
        image = image.to(self._device)
        return self.model.score_map(image, self._condition(1, choice, image))[0].cpu()

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _arguments(self, choice: Choice) -> dict:
        mixture, scale = self.takes_temperatures
        temperature = Temperature(
            choice.mixture_temperature if mixture else 1.0, choice.scale_temperature if scale else 1.0
        )
        return {"seed": choice.seed, "temperature": temperature}

    def _condition(self, n: int, choice: Choice, images: Tensor | None = None) -> Condition:
        """The condition of n images: the chosen class, the code of the image, or the condition of a test image."""
        model, conditions = self.model, {}
        for key, kind in kinds_of(model.conditioning).items():
            if key == "labels":
                turns = kind.examples(n) if choice.label is None else torch.full((n,), choice.label)
                conditions[key] = cast(Tensor, turns)
            elif kind.sees_the_image and images is not None:
                conditions[key] = images
            else:
                batch = image_at(self.data, choice.place)
                if key not in batch:
                    model.condition_in(batch)  # says so
                conditions[key] = batch[key].repeat(n, *[1] * (batch[key].ndim - 1))
        return on_device(gathered(model.conditioning, conditions), self._device)

    def _by_line(self, known: Tensor, order: Order, draw: Draw) -> Iterator[Tensor]:
        grey = round(NOT_DRAWN * (self.model.image.levels - 1))
        for line, images in enumerate(by_row(draw), start=1):
            unknown = order.shown(~known).clone()
            unknown[:line] = False
            yield images.masked_fill(order.back(unknown), grey)


def by_row(draw: Draw) -> Iterator[Tensor]:
    """Yield the images of ``draw(on_row)`` each time it calls ``on_row``, and raise what it raises.

    ``draw`` runs in a thread. Closing the iterator ends it after the current row.
    """
    rows: SimpleQueue[Tensor | BaseException | None] = SimpleQueue()
    closed = threading.Event()

    def on_row(images: Tensor) -> None:
        if closed.is_set():
            raise GeneratorExit
        rows.put(images.cpu().clone())

    def work() -> None:
        try:
            draw(on_row)
            rows.put(None)
        except BaseException as error:
            rows.put(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        while (found := rows.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            yield found
    finally:
        closed.set()


def image_at(data: ImageDataModule | None, place: int) -> Batch:
    """A batch of one test image with its conditions. UserError if there is no such image."""
    if data is None:
        raise UserError("There are no test images, since the data set was not found: give data= or upload an image.")
    count = data.num_images_of("test")
    if not 0 <= place < count:
        raise UserError(f"test image {place} does not exist: use 0 to {count - 1}.")
    return data.at("test", np.array([place]))


def picture(images: Tensor, levels: int) -> np.ndarray:
    """All ``images`` in a grid, enlarged pixel by pixel: uint8 (height, width, 3)."""
    return enlarged(grid(images, levels))


def enlarged(image: Tensor) -> np.ndarray:
    """``image`` uint8 (3, H, W), a whole factor larger, about as large as the editor: (height, width, 3)."""
    pixels = image.permute(1, 2, 0).numpy()
    factor = max(1, SIDE // max(pixels.shape[:2]))
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def fitted(image: np.ndarray, shape: ImageShape) -> Tensor:
    """Convert a picture, uint8 (height, width, 3 or 4), to an image of the model, (1, C, H, W): centre-cropped,
    resized, and rounded to the model's levels. UserError for a model of other channels than pictures have."""
    if shape.channels not in (1, 3):
        raise UserError(
            f"The model's images have {shape.channels} channels, which cannot be painted: use task=complete."
        )
    if shape.levels > 256:
        raise UserError(
            f"The model's images have {shape.levels} levels, which pictures on this page do not keep: use "
            "task=complete, or task=evaluate task.maps=N."
        )
    of_channels = Image.fromarray(image).convert("L" if shape.channels == 1 else "RGB")
    pixels = np.asarray(ImageOps.fit(of_channels, (shape.width, shape.height), Image.Resampling.BOX))
    levels = torch.from_numpy((pixels.astype(np.int64) * (shape.levels - 1) + 127) // 255).to(shape.dtype)
    return levels.view(1, shape.height, shape.width, shape.channels).permute(0, 3, 1, 2).contiguous()


def unpainted(layers: list[np.ndarray], shape: ImageShape) -> Tensor:
    """The mask, bool (H, W), of pixels that none of the ``layers``, uint8 (height, width, 4), paints over.

    Layers are cropped and resized like their picture in `fitted`. UserError if nothing is painted over.
    """
    painted = torch.zeros(shape.height, shape.width, dtype=torch.bool)
    for layer in layers:
        paint = Image.fromarray(np.where(layer[..., 3] > 0, 255, 0).astype(np.uint8))
        area = np.asarray(ImageOps.fit(paint, (shape.width, shape.height), Image.Resampling.BOX))
        painted |= torch.from_numpy(area >= 255 * PAINTED)
    if not painted.any():
        raise UserError("Nothing is painted over: paint the pixels to draw again, or give a mask such as top:0.5.")
    return ~painted


def mapped(image: Tensor, explorers: list[Explorer], choice: Choice) -> Image.Image:
    """``image`` uint8 (1, C, H, W) beside the map of its score under each of ``explorers``, on one colour scale."""
    maps: dict[str, np.ndarray] = {}
    names = {explorer.model.score_name for explorer in explorers}
    for explorer in explorers:
        of_image = explorer.score_map(image, choice)
        maps[f"{explorer.name}: {float(of_image.mean()):.3f}"] = of_image.mean(dim=0).numpy()
    pixels = black_to_white(image, explorers[0].model.image.levels)[0].numpy()
    plot = maps_beside(pixels, maps, " or ".join(sorted(map(as_label, names))))
    return Image.open(io.BytesIO(plot.png)).convert("RGB")
