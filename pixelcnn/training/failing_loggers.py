"""Logger failures do not end a run: each is one warning, and training continues."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from pytorch_lightning.loggers import Logger
from pytorch_lightning.loggers.logger import DummyExperiment

from pixelcnn.training.dashboard import Dashboard

log = logging.getLogger(__name__)

TOLERATED = "_failures_are_tolerated"
Kind = TypeVar("Kind", bound=Logger)


def tolerated(logger: Kind, remedy: str = "") -> Kind:
    """``logger`` itself, whose logging methods and ``experiment`` no longer raise.

    The first failure is a warning that ends with ``remedy``; later ones are logged at debug level. Any exception
    counts: libraries have their own classes, and pass on those of sockets, files and servers.
    """
    kind, failures = type(logger), 0
    if getattr(kind, TOLERATED, False):
        return logger

    def guarded(name: str, method: Callable[..., Any], instead: Any) -> Callable[..., Any]:
        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal failures
            try:
                return method(*args, **kwargs)
            except Exception as error:
                told = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
                log.log(
                    logging.DEBUG if failures else logging.WARNING,
                    "%s.%s failed (%s). Training continues; this logger may lack what is logged from here on.%s",
                    *(kind.__name__, name, told, remedy and f" {remedy}"),
                )
                failures += 1
                return instead

        return call

    members: dict[str, Any] = {TOLERATED: True} | {
        name: guarded(name, getattr(kind, name), None)
        for name in dir(kind)
        if not name.startswith("_") and callable(getattr(kind, name))
        if name.startswith("log_") or hasattr(Logger, name) or hasattr(Dashboard, name)
    }
    experiment = getattr(kind, "experiment", None)
    if isinstance(experiment, property) and experiment.fget is not None:  # the library's object for the run
        members["experiment"] = property(guarded("experiment", experiment.fget, DummyExperiment()))
    logger.__class__ = type(kind.__name__, (kind,), members)
    return logger
