"""A model is a distribution over images: it scores them, and draws, completes and classifies them."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from pixelcnn.conditioning import Condition
from pixelcnn.conditioning.condition import in_each
from pixelcnn.conditioning.several import gathered, kinds_of
from pixelcnn.density import Density
from pixelcnn.description import ModelDescription
from pixelcnn.errors import UserError
from pixelcnn.orders import Order
from pixelcnn.sampling.sampler import Temperature
from pixelcnn.sampling.walk import in_evaluation

EXACT = Temperature()


class PixelModel(Density):
    """p(images | condition), for images of integers (N, C, H, W).

    ``image``: the shape of an image, (C, H, W) with 256 levels, or an `ImageShape`. Images may be uint8, uint16 or
    signed integers of 0 .. levels-1. Samples have this height and width, and are uint8, or int32 above 256 levels. The
    networks are convolutional: they score images of any size that their strides divide.

    Each part is a class, or a ``functools.partial`` of one with its own keywords,

        PixelModel((3, 32, 32), partial(PixelCNNPP, num_filters=32), conditioning=partial(ClassLabels, num_classes=10))

    and receives its other arguments from the model: see `pixelcnn.network`, `pixelcnn.likelihood` and
    `pixelcnn.conditioning`. The default is the paper's model. ``conditioning`` may be a mapping from names to several
    conditionings; the model's condition is then a mapping too, see `pixelcnn.conditioning.Several`. Layers start with
    directions V from N(0, 0.05), gains g = 1 and biases b = 0, the weights hw of conditions from N(0, 0.05). Raises
    UserError if the parts do not combine.

    ``order``: the raster order of the pixels (`pixelcnn.orders`), or "all" for a model of all eight. The methods of
    such a model take the ``order`` to use, by default the usual one; in training mode each call draws one from torch's
    generator, as dropout draws its masks.
    """

    @property
    def num_classes(self) -> int | None:
        """K, the number of classes of a model conditioned on labels; None for others."""
        of_conditions = [part for role, part in self.description.parts.items() if role.startswith("conditioning")]
        kinds = kinds_of(self.conditioning)
        of_labels = dict(zip(kinds, of_conditions, strict=False)).get("labels")
        size_key = None if of_labels is None else kinds["labels"].size_key
        return None if of_labels is None or size_key is None else of_labels[size_key]

    def classify(
        self,
        images: Tensor,
        prior: Tensor | Sequence[float] | None = None,
        batch_size: int = 64,
        condition: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """log p(class | image) by Bayes' rule, in nats, float64 (N, K), for a model conditioned on class labels.

        ``prior``: weights of the classes (K,), uniform by default. ``condition``: all other conditions, if the model
        has several. Each image is scored given every class, ``batch_size`` of these pairs at a time. The score is the
        probability that `sample` draws the image, even if `log_prob` is a bound. UserError for a model without classes
        or density, a prior that is not K positive numbers, or no batch.
        """
        classes = self.num_classes
        if classes is None:
            name = self.description.conditioning.name
            raise UserError(f"conditioning={name} has no classes to choose from: use a model with conditioning=class.")
        weights = torch.ones(classes) if prior is None else torch.as_tensor(prior)
        if weights.shape != (classes,) or not (weights.isfinite() & (weights > 0)).all():
            raise UserError(f"prior={weights.tolist()} is not a positive number for each of {classes} classes: fix it.")
        _require_positive(batch_size)
        self.require_images(images)
        images = images.to(self.image.dtype)
        pairs = torch.arange(len(images) * classes, device=images.device)
        log_joint = []
        for part in pairs.split(batch_size):
            of = part // classes
            others = {key: one[of] for key, one in (condition or {}).items()}
            given = gathered(self.conditioning, {**others, "labels": part % classes})
            parameters = self.pixel_parameters(images[of], given)
            log_joint.append(self.likelihood.log_mass(parameters, images[of]).double().sum(dim=(1, 2)))
        joint = torch.cat(log_joint).view(-1, classes) + weights.to(images.device).double().log()
        return torch.log_softmax(joint, dim=1)

    def sample(
        self,
        n: int,
        condition: Condition = None,
        seed: int = 0,
        temperature: Temperature | float = EXACT,
        batch_size: int = 64,
        on_pixel: Callable[[], object] = lambda: None,
        numbers: Sequence[int] | None = None,
        on_row: Callable[[Tensor], object] = lambda images: None,
        order: str | None = None,
    ) -> Tensor:
        """Draw n images (n, C, H, W) from the distribution that `log_prob` scores (at temperature 1).

        ``temperature`` may be one number for both parts. Image k depends only on the random numbers of (seed,
        ``numbers[k]``); by default ``numbers`` is 0 .. n-1. ``batch_size``: images drawn at a time. To show progress,
        ``on_pixel`` is called for each pixel of a line when the line is drawn, then ``on_row`` with the batch so far,
        (n, C, H, W).
        """
        if n < 0:
            raise UserError(f"n={n} is out of range: use 0 or more images.")
        size = (n, self.image.channels, self.image.height, self.image.width)
        nothing = torch.zeros(size, dtype=self.image.dtype, device=self._weight.device)
        known = torch.zeros(size[2:], dtype=torch.bool)
        read = self.orders.chosen(order)
        return self._drawn(nothing, known, condition, seed, temperature, batch_size, on_pixel, numbers, on_row, read)

    def complete(
        self,
        images: Tensor,
        known: Tensor,
        condition: Condition = None,
        seed: int = 0,
        temperature: Temperature | float = EXACT,
        batch_size: int = 64,
        on_pixel: Callable[[], object] = lambda: None,
        numbers: Sequence[int] | None = None,
        on_row: Callable[[Tensor], object] = lambda images: None,
        order: str | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Draw the pixels of ``images`` (N, C, H, W) where ``known`` bool (H, W) is False, otherwise as `sample`.

        Returns the completed images and, float64 (N,), log p in nats of the drawn pixels, each given all before it.
        These are exact log-probabilities at temperature 1, whatever ``temperature`` is, and even if `log_prob` is a
        bound. Completions are exact if the known pixels come first in ``order``, by default `completion_order`;
        otherwise a pixel is not conditioned on known ones after it. An auto-encoder conditioned on the originals has
        seen the unknown pixels. Raises UserError for a likelihood without density.
        """
        self.require_images(images)
        if known.dtype != torch.bool or known.shape != images.shape[2:]:
            raise UserError(
                f"known of {known.dtype} and shape {tuple(known.shape)} is not one mask for images of "
                f"{images.shape[2]}x{images.shape[3]}: give torch.bool (H, W)."
            )
        if not self.likelihood.has_density:
            name = self.description.likelihood.name
            raise UserError(f"likelihood={name} has no density to score completions by: draw samples instead.")
        read = self.completion_order(known) if order is None else self.orders.chosen(order)
        begun = images.to(self.image.dtype, copy=True)
        completed = self._drawn(begun, known, condition, seed, temperature, batch_size, on_pixel, numbers, on_row, read)
        scores = [torch.empty(0, dtype=torch.float64, device=completed.device)]
        with torch.no_grad(), in_evaluation(self):  # in the order of drawing
            for first in range(0, len(images), batch_size):
                part = slice(first, first + batch_size)
                given = in_each(condition, lambda one, part=part: one[part])  # type: ignore[misc]
                parameters = self.pixel_parameters(completed[part], given, order=read.name)
                log_prob = self.likelihood.log_mass(parameters, completed[part])
                scores.append(log_prob.double().masked_fill(known.to(log_prob.device), 0).sum(dim=(1, 2)))
        return completed, torch.cat(scores)

    def completion_order(self, known: Tensor) -> Order:
        """The order in which `complete` draws: one with the ``known`` pixels first, where the model knows one."""
        return self.orders.with_first(known) or self.orders.chosen(None)

    def _drawn(
        self,
        images: Tensor,
        known: Tensor,
        condition: Condition,
        seed: int,
        temperature: Temperature | float,
        batch_size: int,
        on_pixel: Callable[[], object],
        numbers: Sequence[int] | None,
        on_row: Callable[[Tensor], object],
        read: Order,
    ) -> Tensor:
        if seed < 0:
            raise UserError(f"seed={seed} is out of range: use 0 or more.")
        _require_positive(batch_size)
        n = len(images)
        numbers = range(n) if numbers is None else numbers
        if len(numbers) != n or min(numbers, default=0) < 0:
            raise UserError(f"numbers={list(numbers)} are not one for each of {n} images: give {n} of 0 or more.")
        with torch.no_grad():
            h = self.condition_features(condition, images)
        if h is not None and not h.isfinite().all():
            # A score would be NaN too, but samples would look valid.
            raise UserError("condition contains NaN or inf: fix it.")
        shown, h = self.orders.shown(images, h, read, self._weight.dtype)
        self.sampling.draw(
            self.network,
            self.likelihood,
            shown,
            read.shown(known),
            h,
            seed,
            numbers,
            Temperature.of(temperature),
            batch_size,
            on_pixel,
            lambda drawn: on_row(read.back(drawn)),
        )
        return read.back(shown)


def _require_positive(batch_size: int) -> None:
    if batch_size < 1:
        raise UserError(f"batch_size={batch_size} is out of range: use a positive number of images.")


def build(description: ModelDescription) -> PixelModel:
    """A new model of ``description``."""
    return PixelModel(
        description.image, description.network, description.likelihood, description.conditioning, description.order
    )
