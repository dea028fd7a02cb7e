"""What can be chosen of a model: plain dataclasses, the types and ranges of the Hydra groups that bear their names.

The values a run uses stand in ``conf/``; the checkpoint stores them as plain dictionaries, so that a model can be
rebuilt from its checkpoint alone. This module imports nothing heavy: Hydra needs it for tab completion.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from pixelcnn.errors import OutOfRangeError, UserError
from pixelcnn.typed import misfit

NONLINEARITIES = ("concat_elu", "elu", "relu")
TAILS = ("exact", "original")


def require(condition: bool, key: str, value: object, remedy: str) -> None:
    """Raise UserError naming ``key``, its ``value`` and what it should be, unless ``condition`` holds."""
    if not condition:
        raise OutOfRangeError(f"{key}={value} is out of range: {remedy}.")


@dataclass(frozen=True)
class ImageShape:
    """What a data set says of its images: integers 0 .. levels-1 of shape (channels, height, width)."""

    channels: int
    height: int
    width: int
    levels: int = 256

    def __post_init__(self) -> None:
        require(self.channels in (1, 3), "channels", self.channels, "images have 1 or 3 channels")
        require(self.height > 0 and self.width > 0, "image size", f"{self.height}x{self.width}", "it must be positive")
        require(2 <= self.levels <= 256, "levels", self.levels, "uint8 images have 2 to 256 grey levels")

    @property
    def dimensions(self) -> int:
        """Number of sub-pixels per image, the denominator of bits per dimension."""
        return self.channels * self.height * self.width


@dataclass(frozen=True)
class PixelCNNPPOptions:
    """``model=pixelcnn_pp``, the network of Salimans et al. 2017."""

    num_filters: int
    num_resnet_blocks: int  # per stage
    num_stages: int  # resolutions, each half the size of the one before
    nonlinearity: str
    dropout: float
    # The paper's values where a stored model does not say.
    short_cuts: bool = True  # from the up pass to the down pass
    block_init_scale: float = 0.1  # what data-dependent initialisation scales a block's second convolution to
    output_init_scale: float = 1.0
    name: str = "pixelcnn_pp"
    masked_channels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(self.num_filters >= 1, "model.num_filters", self.num_filters, "use a positive number of filters")
        _require_positive(self, "block_init_scale", "output_init_scale")
        require(
            self.num_resnet_blocks >= 1, "model.num_resnet_blocks", self.num_resnet_blocks, "use at least one per stage"
        )
        require(self.num_stages >= 1, "model.num_stages", self.num_stages, "use at least one resolution")
        require(
            self.nonlinearity in NONLINEARITIES,
            "model.nonlinearity",
            self.nonlinearity,
            f"choose one of {', '.join(NONLINEARITIES)}",
        )
        require(0 <= self.dropout < 1, "model.dropout", self.dropout, "use a probability below 1")


@dataclass(frozen=True)
class GatedPixelCNNOptions:
    """``model=gated_pixelcnn``, the network of van den Oord et al. 2016b ("Conditional Image Generation ...")."""

    num_filters: int  # of each stack; a gated unit computes twice as many
    num_layers: int
    first_kernel_size: int  # of the layer that sees the image
    kernel_size: int
    num_output_features: int  # of the layer before the output
    dropout: float = 0.0
    name: str = "gated_pixelcnn"
    masked_channels: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _require_masked_network(self, "num_layers")


@dataclass(frozen=True)
class PixelCNNOptions:
    """``model=pixelcnn``, the convolutional network of van den Oord et al. 2016a ("Pixel Recurrent ...")."""

    num_filters: int  # h; the residual stream has 2 h
    num_blocks: int
    first_kernel_size: int  # of the layer that sees the image
    kernel_size: int
    num_output_features: int  # of the layer before the output
    dropout: float = 0.0
    name: str = "pixelcnn"
    masked_channels: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _require_masked_network(self, "num_blocks")


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a network is computed (`pixelcnn.execution`), which is no part of a model's description."""

    compile: bool
    channels_last: bool
    activation_checkpointing: bool


def _require_positive(options: Any, *keys: str) -> None:
    for key in keys:
        value = getattr(options, key)
        require(0 < value < math.inf, f"model.{key}", value, "use a positive number")


def _require_masked_network(options: Any, depth: str) -> None:
    _require_positive(options, "num_filters", depth, "num_output_features")
    for key in ("first_kernel_size", "kernel_size"):
        size = getattr(options, key)
        require(size >= 3 and size % 2 == 1, f"model.{key}", size, "use an odd number from 3 on")
    require(0 <= options.dropout < 1, "model.dropout", options.dropout, "use a probability below 1")


@dataclass(frozen=True)
class DiscretizedLogisticMixtureOptions:
    """``likelihood=discretized_logistic_mixture``, section 2.1 of the paper."""

    num_mixtures: int
    tails: str
    name: str = "discretized_logistic_mixture"
    has_density: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(
            self.num_mixtures >= 1, "likelihood.num_mixtures", self.num_mixtures, "use at least one mixture component"
        )
        require(self.tails in TAILS, "likelihood.tails", self.tails, f"choose one of {', '.join(TAILS)}")


@dataclass(frozen=True)
class CategoricalOptions:
    """``likelihood=categorical``, a softmax over the levels of each channel (van den Oord et al. 2016a)."""

    name: str = "categorical"
    has_density: ClassVar[bool] = True


@dataclass(frozen=True)
class LogisticMixtureOptions:
    """``likelihood=logistic_mixture``, a density on dequantised data: what it scores is a bound."""

    num_mixtures: int
    name: str = "logistic_mixture"
    has_density: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(
            self.num_mixtures >= 1, "likelihood.num_mixtures", self.num_mixtures, "use at least one mixture component"
        )


@dataclass(frozen=True)
class ImplicitOptions:
    """``likelihood=implicit``, a network of noise that draws pixels but has no density (the original's ``-ed``)."""

    num_features: int
    num_noise: int
    name: str = "implicit"
    has_density: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for key in ("num_features", "num_noise"):
            require(getattr(self, key) >= 1, f"likelihood.{key}", getattr(self, key), "use a positive number")


@dataclass(frozen=True)
class UnconditionalOptions:
    """``conditioning=none``."""

    name: str = "none"


@dataclass(frozen=True)
class ClassOptions:
    """``conditioning=class``: the label enters every gated block, as in the original's class-conditional model."""

    num_classes: int | None  # None until the data set has said
    name: str = "class"

    def __post_init__(self) -> None:
        count = self.num_classes
        require(count is None or count >= 1, "conditioning.num_classes", count, "use a positive number, or null")


@dataclass(frozen=True)
class _GivenFeaturesOptions:
    num_features: int | None  # None until the data set has said

    def __post_init__(self) -> None:
        count = self.num_features
        require(count is None or count >= 1, "conditioning.num_features", count, "use a positive number, or null")


@dataclass(frozen=True)
class VectorOptions(_GivenFeaturesOptions):
    """``conditioning=vector``: an embedding of each image, given with the data, enters every gated block."""

    name: str = "vector"


@dataclass(frozen=True)
class SpatialOptions(_GivenFeaturesOptions):
    """``conditioning=spatial``: a map of features for each pixel, given with the data (section 2.3 of 2016b)."""

    name: str = "spatial"


@dataclass(frozen=True)
class EncoderOptions:
    """``conditioning=encoder``: a code of the image itself, by an encoder trained along (section 2.4 of 2016b)."""

    code_size: int
    num_filters: int  # of the encoder's first layer
    name: str = "encoder"

    def __post_init__(self) -> None:
        for key in ("code_size", "num_filters"):
            require(getattr(self, key) >= 1, f"conditioning.{key}", getattr(self, key), "use a positive number")


MODELS = {"pixelcnn_pp": PixelCNNPPOptions, "gated_pixelcnn": GatedPixelCNNOptions, "pixelcnn": PixelCNNOptions}
LIKELIHOODS = {
    "discretized_logistic_mixture": DiscretizedLogisticMixtureOptions,
    "categorical": CategoricalOptions,
    "logistic_mixture": LogisticMixtureOptions,
    "implicit": ImplicitOptions,
}
CONDITIONINGS = {
    "none": UnconditionalOptions,
    "class": ClassOptions,
    "vector": VectorOptions,
    "spatial": SpatialOptions,
    "encoder": EncoderOptions,
}


@dataclass(frozen=True)
class ModelDescription:
    """Everything needed to rebuild a distribution over images, weights apart."""

    image: ImageShape
    model: Any
    likelihood: Any
    conditioning: Any

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Plain dictionaries of plain values, as a checkpoint stores them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: dict[str, dict[str, Any]]) -> "ModelDescription":
        """The inverse of ``to_dict``; raises UserError on a name that this version does not know."""
        return cls(
            image=_typed(ImageShape, "image", stored["image"]),
            model=_chosen(MODELS, "model", stored["model"]),
            likelihood=_chosen(LIKELIHOODS, "likelihood", stored["likelihood"]),
            conditioning=_chosen(CONDITIONINGS, "conditioning", stored["conditioning"]),
        )


def _chosen(known: Mapping[str, type], group: str, stored: dict[str, Any]) -> Any:
    name = stored["name"]
    if name not in known:
        raise UserError(f"{group}={name} is not known: choose one of {', '.join(known)}.")
    return _typed(known[name], group, stored)


def _typed(options: type, group: str, stored: dict[str, Any]) -> Any:
    wrong = misfit(stored, options, group)
    if wrong is not None:
        raise UserError(f"{wrong}.")
    return options(**stored)
