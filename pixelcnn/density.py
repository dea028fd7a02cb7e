"""The density of images: a network, a likelihood and a conditioning.

log p(x | condition) = sum over pixels of log p(x_ij | x before (i, j), condition)      (equation 1 of the paper)
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pixelcnn.combination import require_compatible, require_members, start
from pixelcnn.conditioning import Condition, Conditioning, Several, Unconditional
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
from pixelcnn.sampling.walk import pixel_parameters_incrementally


class Density(nn.Module):
    """log p(images | condition) and scores derived from it. `PixelModel` documents the arguments."""

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
        self.class_names: tuple[str, ...] | None = None  # names of the labels 0, 1, … of its training data set
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
        """log of the mean of p(image | condition, order) over ``orders``, nats, (N,): a mixture, so it sums to one too.

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

        Channels follow the likelihood's chain rule. If the score is a bound, only the map's sum is a bound.
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
        """``images`` and their h in the form that the network takes, and the order in which it reads them."""
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
        # In the images' memory format, whatever the network's: the likelihood combines the two.
        precise = torch.promote_types(parameters.dtype, torch.float32)
        parameters = parameters.to(precise, memory_format=torch.contiguous_format)
        if not self.likelihood.sees_neighbours:
            return parameters
        exact = self.likelihood.scale(images.to(parameters.dtype))  # which half-precision weights do not see
        return self.likelihood.given_neighbours(parameters, neighbours_of(exact))

    def condition_in(self, batch: Mapping[str, Tensor]) -> Condition:
        """The model's condition from a data set's batch; UserError if the data set lacks it."""
        for key in kinds_of(self.conditioning):
            if key not in batch:
                raise UserError(
                    f"conditioning={self.description.conditioning.name} needs {key}, which the data set does not have: "
                    "choose another data set or conditioning=none."
                )
        return gathered(self.conditioning, {key: batch[key] for key in kinds_of(self.conditioning)})

    def require_images(self, images: Tensor) -> None:
        """Raise UserError for images of a type, shape, size or number of levels that this model does not take."""
        shape = self.image
        if not shape.has_form_of(images):
            raise UserError(
                f"images of {images.dtype} and shape {tuple(images.shape)} do not fit this model: it takes integers "
                f"(N, {shape.channels}, H, W) of 0..{shape.levels - 1}, such as {shape.dtype}."
            )
        self._check_size(*images.shape[2:])
        # Not in training on a GPU nor compiled, where reading a value synchronises: data sets have checked theirs.
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
                f"height and width divisible by {self.stride}: use a smaller model.num_stages, or crop or resize the "
                "images, where possible by data.crop or data.size."
            )

    def condition_features(self, condition: Condition, images: Tensor) -> Tensor | None:
        """h of ``images`` (N, C, H, W), before an order flips it: (N, D) or (N, D, H, W); None without a condition."""
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
