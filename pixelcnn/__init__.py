"""PixelCNN++ and its family: autoregressive distributions over images."""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers; everyone else imports by `__getattr__`
    from pixelcnn.causality import check_causal
    from pixelcnn.checkpoint import load, save
    from pixelcnn.compression import compress, decompress
    from pixelcnn.conditioning import ClassLabels, CoarseCodes, Encoder, Maps, Unconditional, Vectors
    from pixelcnn.errors import UserError
    from pixelcnn.image_shape import ImageShape
    from pixelcnn.likelihood import Categorical, DiscretizedLogisticMixture, Implicit, LogisticMixture
    from pixelcnn.model import PixelModel
    from pixelcnn.network import GatedPixelCNN, Network, PixelCNN, PixelCNNPP, PixelSNAIL
    from pixelcnn.sampling.sampler import Temperature
    from pixelcnn.training.module import DensityEstimation

HOMES = {
    "pixelcnn.causality": ["check_causal"],
    "pixelcnn.checkpoint": ["load", "save"],
    "pixelcnn.compression": ["compress", "decompress"],
    "pixelcnn.conditioning": ["ClassLabels", "CoarseCodes", "Encoder", "Maps", "Unconditional", "Vectors"],
    "pixelcnn.errors": ["UserError"],
    "pixelcnn.image_shape": ["ImageShape"],
    "pixelcnn.likelihood": ["Categorical", "DiscretizedLogisticMixture", "Implicit", "LogisticMixture"],
    "pixelcnn.model": ["PixelModel"],
    "pixelcnn.network": ["GatedPixelCNN", "Network", "PixelCNN", "PixelCNNPP", "PixelSNAIL"],
    "pixelcnn.sampling.sampler": ["Temperature"],
    "pixelcnn.training.module": ["DensityEstimation"],
}
_HOME = {name: module for module, names in HOMES.items() for name in names}

__all__ = ["__version__", *_HOME]

try:
    __version__ = version("pixelcnn")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "unknown"


def __getattr__(name: str) -> Any:
    # torch takes seconds to import, and tab completion must not wait for it.
    if name not in _HOME:
        raise AttributeError(f"module 'pixelcnn' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
