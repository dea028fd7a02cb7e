"""PixelCNN++ and its family: autoregressive distributions over images."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixelcnn.checkpoint import load
    from pixelcnn.errors import UserError
    from pixelcnn.model import PixelModel

__all__ = ["PixelModel", "UserError", "load"]

_HOME = {"load": "pixelcnn.checkpoint", "PixelModel": "pixelcnn.model", "UserError": "pixelcnn.errors"}


def __getattr__(name: str) -> Any:
    # torch takes seconds to import, and tab completion of run.py must not wait for it.
    if name not in _HOME:
        raise AttributeError(f"module 'pixelcnn' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
