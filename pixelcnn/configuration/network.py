"""The keys of the group ``model``: a network's options, which describe it, and how it is computed, which does not."""

from dataclasses import fields, make_dataclass
from typing import Any

from omegaconf import DictConfig

from pixelcnn.options import MODELS, Execution

EXECUTION = tuple(field.name for field in fields(Execution))
NETWORKS = {
    name: make_dataclass(options.__name__, [], bases=(Execution, options), frozen=True)
    for name, options in MODELS.items()
}


def network_options(model: Any) -> Any:
    """The options, one of `pixelcnn.options.MODELS`, in an object of one of ``NETWORKS``."""
    options = MODELS[model.name]
    return options(**{field.name: getattr(model, field.name) for field in fields(options)})


def execution_of(config: DictConfig) -> Execution:
    """How a composed configuration wants its network computed."""
    return Execution(**{key: config.model[key] for key in EXECUTION})
