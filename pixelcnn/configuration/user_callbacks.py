"""Errors in a user's callbacks, found at start or by Lightning in a run."""

from collections.abc import Iterable, Mapping
from traceback import walk_tb
from types import FrameType
from typing import Any

from pixelcnn.errors import UserError

LIBRARIES = ("lightning_fabric", "pytorch_lightning", "torch")


def require_callbacks(callbacks: Iterable[Any]) -> None:
    """Raise UserError for the first of ``trainer.callbacks`` that is not a callback."""
    from pytorch_lightning import Callback

    for place, callback in enumerate(callbacks):
        if not isinstance(callback, Callback):
            name = f"trainer.callbacks[{place}]={type(callback).__name__}"
            raise UserError(f"{name} is not a callback: use a class derived from pytorch_lightning.Callback.")


def raised_by(error: Exception, targets: Mapping[str, str]) -> str | None:
    """The callback for which Lightning's code raised ``error``, as KEY=TARGET; None for other errors.

    ``targets`` are the callbacks' classes by their keys. Lightning's and torch's code count as Lightning's; an error
    raised in other code, such as the user's callback itself, does not count.
    """
    kinds: set[str] = set()
    for frame, _ in walk_tb(error.__traceback__):
        if _package(frame) not in LIBRARIES:
            kinds = set()
        elif _package(frame) != "torch":
            kinds.add(type(frame.f_locals.get("self")).__name__)
    named = (f"{key}={target}" for key, target in targets.items() if target.rpartition(".")[2] in kinds)
    return next(named, None)


def _package(frame: FrameType) -> str:
    return str(frame.f_globals["__name__"]).partition(".")[0]
