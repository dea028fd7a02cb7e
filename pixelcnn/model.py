"""A model is a distribution over images: a network, a likelihood and a conditioning.

log p(x | condition) = sum over pixels of log p(x_ij | x before (i, j), condition)      (equation 1 of the paper)
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pixelcnn.combination import require_compatible, require_members, start
from pixelcnn.conditioning import Condition, Conditioning, Several, Unconditional
from pixelcnn.conditioning.condition import in_each
from pixelcnn.conditioning.several import gathered, kinds_of
from pixelcnn.description import ModelDescription
from pixelcnn.errors import UserError
from pixelcnn.image_shape import ImageShape
from pixelcnn.likelihood import DiscretizedLogisticMixture, Likelihood
from pixelcnn.likelihood.prediction import neighbours_of
from pixelcnn.network import Network, PixelCNNPP
from pixelcnn.network.embedding import embedding_of, seen
from pixelcnn.orders import ALL, ORDERS, USUAL, ModelOrder, Order, Orders, averaged
from pixelcnn.sampling.batches import BatchedSampling
from pixelcnn.sampling.sampler import Temperature
from pixelcnn.sampling.walk import in_evaluation, pixel_parameters_incrementally

EXACT = Temperature()


class PixelModel(nn.Module):
    """p(images | condition), for images of integers (N, C, H, W).

    ``image``: the shape of an image, (C, H, W) with 256 levels, or an `ImageShape`. Images may be uint8, uint16 or
    signed integers of 0 .. levels-1; what is drawn is uint8, or int32 above 256 levels. Samples have its height and
    width; the networks are convolutional and score any size that their strides divide. Each part is a class or a
    ``functools.partial`` of one with its own keywords,

        PixelModel((3, 32, 32), partial(PixelCNNPP, num_filters=32), conditioning=partial(ClassLabels, num_classes=10))

    and receives the other arguments: see `pixelcnn.network`, `pixelcnn.likelihood` and `pixelcnn.conditioning`. The
    default is the paper's model. ``conditioning`` may be a mapping of several by what they are called; the model's
    condition is then a mapping too, see `pixelcnn.conditioning.Several`. V and hw are initialised from N(0, 0.05), g =
    1 and b = 0. Raises UserError if the parts do not combine.

    ``order``: the raster order of the pixels (`pixelcnn.orders`). A model of order "all" knows each of the eight, and
    its methods take the one to use as ``order``, by default the usual one; in training mode they draw one for each
    call, by torch's generator, as dropout does its masks.
    """

    def __init__(
        self,
        image: ImageShape | Sequence[int],
        network: Any = PixelCNNPP,
        likelihood: Any = DiscretizedLogisticMixture,
        conditioning: Any = Unconditional,
        order: ModelOrder = USUAL,
    ) -> None:
        super().__init__()
        self.description = description = ModelDescription(
            ImageShape.of(image), network, likelihood, conditioning, order
        )
        self.image, self.orders = description.image, Orders(description.order)
        self.draw_order = self.orders.drawn  # replaced where the model is compiled
        masked_channels = getattr(description.network.target, "masked_channels", False)
        self.likelihood = description.likelihood.build("likelihood.", image=self.image, masked_channels=masked_channels)
        require_members(self.likelihood, Likelihood, description.likelihood)
        self.conditioning = description.conditioning.build(
            "conditioning.",
            image=self.image,
            scale=self.likelihood.scale,
            embedding_features=description.embedding_features,
        )
        require_members(self.conditioning, Conditioning, description.conditioning)
        require_compatible(description, self.likelihood, self.conditioning)
        self.network = description.network.build(
            "model.",
            image_channels=self.image.channels,
            image_levels=self.image.levels,
            num_parameters=self.likelihood.num_parameters,
            num_groups=self.likelihood.num_groups,
            condition_features=self.conditioning.features + self.orders.features,
        )
        start(self.network, self.likelihood, description)
        self.class_names: tuple[str, ...] | None = None  # of labels 0, 1, …, of the data set that it is trained on
        self.sampling = BatchedSampling()
        # Any module may have an attribute of this name, as a convolution has.
        self.stride = self.network.stride if isinstance(self.network, Network) else 1
        self._check_size(self.image.height, self.image.width)

    def forward(self, images: Tensor, condition: Condition = None) -> Tensor:
        """`log_prob`, for wrappers that call the module, such as DistributedDataParallel and torch.compile."""
        return self.log_prob(images, condition)

    def log_prob(self, images: Tensor, condition: Condition = None, order: str | None = None) -> Tensor:
        """log p(image | condition) in nats, (N,); images (N, C, H, W)."""
        shown, h, _ = self._shown(images, condition, order)
        log_prob = self.likelihood.log_prob_spending if self.training else self.likelihood.log_prob
        return log_prob(self._parameters_as_read(shown, h), shown).sum(dim=(1, 2))

    def log_prob_over_orders(
        self, images: Tensor, condition: Condition = None, orders: Sequence[str] = ORDERS
    ) -> Tensor:
        """log of the mean of p(image | condition, order) over ``orders``, nats, (N,): a mixture, which sums to one too.

        UserError for an order that the model does not know.
        """
        return averaged(torch.stack([self.log_prob(images, condition, order) for order in orders]))

    def log_prob_by_channel(self, images: Tensor, condition: Condition = None, order: str | None = None) -> Tensor:
        """`log_prob` split by the chain rule into R, G given R, B given R and G: nats, (N, C)."""
        return self._log_prob_of_values(images, condition, order).sum(dim=(2, 3))

    def _log_prob_of_values(self, images: Tensor, condition: Condition, order: str | None) -> Tensor:
        shown, h, read = self._shown(images, condition, order)
        return read.back(self.likelihood.log_prob_by_channel(self._parameters_as_read(shown, h), shown))

    @property
    def score_name(self) -> str:
        """The name of `score`: bits_per_dim, or another if it is only a bound or given the image's code."""
        if self.conditioning.sees_the_image:
            return "bits_bound_given_code" if self.likelihood.is_bound else "bits_given_code"
        return "bits_upper_bound" if self.likelihood.is_bound else "bits_per_dim"

    def score(self, images: Tensor, condition: Condition = None, order: str | None = None) -> Tensor:
        """-log2 p(image | condition) per sub-pixel, from `log_prob`, (N,); named by `score_name`."""
        return -self.log_prob(images, condition, order) / (math.log(2) * math.prod(images.shape[1:]))

    def score_map(self, images: Tensor, condition: Condition = None, order: str | None = None) -> Tensor:
        """`score` of each sub-pixel given all before it, (N, C, H, W): its mean over an image is the image's `score`.

        The chain rule over channels is the likelihood's own. Where the score is a bound, only its sum is one.
        """
        return self._log_prob_of_values(images, condition, order) / -math.log(2)

    def bits_per_dim(self, images: Tensor, condition: Condition = None, order: str | None = None) -> Tensor:
        """-log2 p(image | condition) per sub-pixel, (N,); UserError for a model whose `score` is something else."""
        self._require_bits("bits_per_dim", "score")
        return self.score(images, condition, order)

    def bits(self, images: Tensor, condition: Condition = None, order: str | None = None) -> Tensor:
        """Where the bits go: -log2 p of each sub-pixel given all before it and the condition, (N, C, H, W).

        They sum to -log2 p(image | condition). UserError as from `bits_per_dim`.
        """
        self._require_bits("bits", "score_map")
        return self.score_map(images, condition, order)

    @property
    def num_classes(self) -> int | None:
        """K, how many classes a model that is conditioned on labels knows; None for others."""
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
        """log p(class | image) by Bayes' rule, in nats, float64 (N, K), of a model that is conditioned on class labels.

        Of a model with several conditions, ``condition`` has all others, which the classes are given too.

        ``prior``: weights of the classes (K,), uniform by default. Each image is scored given every class,
        ``batch_size`` of these pairs at a time, by the probability that `sample` draws it, even where `log_prob` is a
        bound. UserError for a model without classes or density, a prior that is not K positive numbers, or no batch.
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

    def _require_bits(self, called: str, instead: str) -> None:
        if self.score_name != "bits_per_dim":
            raise UserError(
                f"{called} is not defined for this model, whose score is {self.score_name}: call model.{instead}."
            )

    def pixel_parameters(
        self, images: Tensor, condition: Condition = None, incremental: bool = False, order: str | None = None
    ) -> Tensor:
        """The likelihood's parameters at every pixel given the pixels before it, (N, P, H, W), in float32 or better.

        ``incremental`` computes the same one pixel at a time, as sampling does, without gradients.
        """
        shown, h, read = self._shown(images, condition, order)
        return read.back(self._parameters_as_read(shown, h, incremental))

    def _shown(self, images: Tensor, condition: Condition, order: str | None) -> tuple[Tensor, Tensor | None, Order]:
        """``images`` and their h as the network takes them, and the order in which it reads them."""
        self.require_images(images)
        images = images.to(self.image.dtype)
        h = self.condition_features(condition, images)
        if order is None and self.training and self.orders.name == ALL:
            return self.draw_order(images, h, self._weight.dtype)
        read = self.orders.chosen(order)
        return *self.orders.shown(images, h, read, self._weight.dtype), read

    def _parameters_as_read(self, images: Tensor, h: Tensor | None, incremental: bool = False) -> Tensor:
        """`pixel_parameters` of images and features as the network takes them."""
        x = seen(images, embedding_of(self.network), self.likelihood.scale, self._weight.dtype)
        if incremental:
            parameters = pixel_parameters_incrementally(self.network, x, h, self.likelihood.num_groups)
        else:
            parameters = self.network(x, h)
        # In the images' order of memory, whatever the network's: the likelihood combines the two.
        precise = torch.promote_types(parameters.dtype, torch.float32)
        parameters = parameters.to(precise, memory_format=torch.contiguous_format)
        if not self.likelihood.sees_neighbours:
            return parameters
        exact = self.likelihood.scale(images.to(parameters.dtype))  # which half-precision weights do not see
        return self.likelihood.given_neighbours(parameters, neighbours_of(exact))

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

        ``temperature`` may be one number for both of its parts. Image k depends only on the random numbers of (seed,
        ``numbers[k]``); by default ``numbers`` is 0 .. n-1. ``batch_size``: images drawn at a time. ``on_pixel`` is
        called for each pixel of a batch, a line at a time, to show progress; then ``on_row`` with the batch so far,
        (n, C, H, W), to show it growing.
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
        These are exact log-probabilities at temperature 1, whatever ``temperature`` is and even if `log_prob` is a
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
        completed = self._drawn(
            images.to(self.image.dtype, copy=True),
            known,
            condition,
            seed,
            temperature,
            batch_size,
            on_pixel,
            numbers,
            on_row,
            read,
        )
        scores = [torch.empty(0, dtype=torch.float64, device=completed.device)]
        with torch.no_grad(), in_evaluation(self):  # as it has drawn
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

    def condition_in(self, batch: Mapping[str, Tensor]) -> Condition:
        """What of a data set's batch this model is conditioned on; UserError if the data set has none."""
        for key in kinds_of(self.conditioning):
            if key not in batch:
                raise UserError(
                    f"conditioning={self.description.conditioning.name} needs {key}, which the data set does not have: "
                    "choose another data set or conditioning=none."
                )
        return gathered(self.conditioning, {key: batch[key] for key in kinds_of(self.conditioning)})

    def require_images(self, images: Tensor) -> None:
        """Raise UserError for images that this model does not take: another type, shape, size or number of levels."""
        shape = self.image
        if not shape.has_form_of(images):
            raise UserError(
                f"images of {images.dtype} and shape {tuple(images.shape)} do not fit this model: it takes integers "
                f"(N, {shape.channels}, H, W) of 0..{shape.levels - 1}, such as {shape.dtype}."
            )
        self._check_size(*images.shape[2:])
        # Not in training on a GPU, nor compiled, where reading a value stops the others: data sets have checked theirs.
        looked_at = (images.is_cpu or not self.training) and not torch.compiler.is_compiling()
        outside = shape.out_of_range(images) if looked_at else None
        if outside is not None:
            raise UserError(
                f"images contain {outside}, but this model's levels are 0..{shape.levels - 1}: rescale them."
            )

    def _check_size(self, height: int, width: int) -> None:
        if not (height and width):
            raise UserError(f"images of {height}x{width} have no pixels: use a positive height and width.")
        if height % self.stride or width % self.stride:
            raise UserError(
                f"images of {height}x{width} do not fit model={self.description.network.name}, whose strides need a "
                f"height and width divisible by {self.stride}: use a smaller model.num_stages, or data.crop, data.size."
            )

    def condition_features(self, condition: Condition, images: Tensor) -> Tensor | None:
        """h of ``images`` (N, C, H, W), as they lie: (N, D) or (N, D, H, W); None without a condition."""
        several = isinstance(self.conditioning, Several) and isinstance(condition, Mapping)
        for one in condition.values() if several else [condition]:  # type: ignore[union-attr]
            if not isinstance(one, Tensor | None):
                told = "a tensor with a condition for each image"
                raise UserError(f"condition is of type {type(one).__name__}: give {told}.")
        h = self.conditioning.encode(condition, len(images), *images.shape[2:])
        return None if h is None else h.to(self._weight.dtype)

    @property
    def _weight(self) -> Tensor:
        """Any weight: all share its device and type."""
        return next(self.parameters())


def _require_positive(batch_size: int) -> None:
    if batch_size < 1:
        raise UserError(f"batch_size={batch_size} is out of range: use a positive number of images.")


def build(description: ModelDescription) -> PixelModel:
    """A new model of ``description``."""
    return PixelModel(
        description.image, description.network, description.likelihood, description.conditioning, description.order
    )
