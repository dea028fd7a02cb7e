"""Errors in a user's callbacks, found at start or by Lightning in a run."""

from collections.abc import Iterable, Mapping
from traceback import walk_tb
from typing import Any

from pixelcnn.errors import UserError


def require_callbacks(callbacks: Iterable[Any]) -> None:
    """Raise UserError for the first of ``trainer.callbacks`` that is not a callback."""
    from pytorch_lightning import Callback

    for place, callback in enumerate(callbacks):
        if not isinstance(callback, Callback):
            name = f"trainer.callbacks[{place}]={type(callback).__name__}"
            raise UserError(f"{name} is not a callback: use a class derived from pytorch_lightning.Callback.")


def raised_by(error: Exception, targets: Mapping[str, str]) -> str | None:
    """For which callback Lightning's code has raised ``error``, as KEY=TARGET; None if none, as for a bug of ours.

    ``targets`` are the callbacks' classes by their keys.
    """
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    if not frames[-1].f_globals["__name__"].startswith("pytorch_lightning."):
        return None
    kinds = {type(frame.f_locals.get("self")).__name__ for frame in frames}
    named = (f"{key}={target}" for key, target in targets.items() if target.rpartition(".")[2] in kinds)
    return next(named, None)
