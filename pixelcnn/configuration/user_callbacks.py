"""What is wrong with the callbacks in ``trainer.callbacks``, found at start or by Lightning in a run."""

from collections.abc import Iterable
from traceback import walk_tb
from typing import Any

from pixelcnn.errors import UserError


def require_callbacks(callbacks: Iterable[Any], given: Iterable[dict[str, Any]]) -> None:
    """Raise UserError for what is not a callback, or changes what a run records; ``given`` are their keys."""
    from pytorch_lightning import Callback
    from pytorch_lightning.callbacks import BatchSizeFinder, LearningRateFinder

    remedies = {
        BatchSizeFinder: "set data.batch_size (task=info counts the memory that it needs)",
        LearningRateFinder: "set optim.lr, or search for it by sweep=optuna",
    }
    for place, (callback, keys) in enumerate(zip(callbacks, given, strict=True)):
        name = f"trainer.callbacks[{place}]={keys['_target_']}"
        if not isinstance(callback, Callback):
            raise UserError(f"{name} is not a callback: use a class derived from pytorch_lightning.Callback.")
        for kind, remedy in remedies.items():
            if isinstance(callback, kind):
                raise UserError(f"{name} is not supported, as it replaces a value that the run records: {remedy}.")


def raised_by(error: Exception, callbacks: Iterable[dict[str, Any]]) -> str | None:
    """Which of ``callbacks`` Lightning's code has raised ``error`` for; None if none, as for a bug of ours."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    if not frames[-1].f_globals["__name__"].startswith("pytorch_lightning."):
        return None
    kinds = {type(frame.f_locals.get("self")).__name__ for frame in frames}
    return next((each["_target_"] for each in callbacks if each["_target_"].rpartition(".")[2] in kinds), None)
