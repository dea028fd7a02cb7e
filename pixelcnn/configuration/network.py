"""The keys of the group ``model``: a network's options, which describe it, and how it is computed, which does not."""

from dataclasses import dataclass, fields
from typing import Any

from omegaconf import DictConfig

from pixelcnn.options import MODELS, Execution, GatedPixelCNNOptions, PixelCNNOptions, PixelCNNPPOptions

EXECUTION = tuple(field.name for field in fields(Execution))


@dataclass(frozen=True)
class PixelCNNPP(Execution, PixelCNNPPOptions):
    """``model=pixelcnn_pp``."""


@dataclass(frozen=True)
class GatedPixelCNN(Execution, GatedPixelCNNOptions):
    """``model=gated_pixelcnn``."""


@dataclass(frozen=True)
class PixelCNN(Execution, PixelCNNOptions):
    """``model=pixelcnn``."""


NETWORKS = {"pixelcnn_pp": PixelCNNPP, "gated_pixelcnn": GatedPixelCNN, "pixelcnn": PixelCNN}


def network_options(model: Any) -> Any:
    """The options, one of `pixelcnn.options.MODELS`, in an object of one of ``NETWORKS``."""
    options = MODELS[model.name]
    return options(**{field.name: getattr(model, field.name) for field in fields(options)})


def execution_of(config: DictConfig) -> Execution:
    """How a composed configuration wants its network computed."""
    return Execution(**{key: config.model[key] for key in EXECUTION})
