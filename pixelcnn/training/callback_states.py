"""Checks of the callbacks' states in checkpoints."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypedDict

from pytorch_lightning import Callback
from torch import Tensor

from pixelcnn.errors import UserError
from pixelcnn.report.training import Start
from pixelcnn.training.checkpoints import ValidatedCheckpoint, checkpoint_callbacks
from pixelcnn.training.ema import ExponentialMovingAverage
from pixelcnn.training.history import History
from pixelcnn.training.skip_limit import SkipLimit
from pixelcnn.typed import misfit, shown


class _EMAState(TypedDict):
    latest_update_step: int


class _SkipLimitState(TypedDict):
    skipped: list[int]


class _CurveState(TypedDict):
    values_per_point: int
    points: list[tuple[float, float]]
    begun: list[tuple[float, float]]


class _HistoryState(TypedDict):
    curves: dict[str, _CurveState]
    starts: list[Start]
    best: tuple[int, float] | None
    last: tuple[int, float] | None
    seconds: float


class _BestState(TypedDict):
    dirpath: str
    best_model_score: Tensor | None


STATES: dict[type[Callback], Any] = {
    ExponentialMovingAverage: _EMAState,
    SkipLimit: _SkipLimitState,
    History: _HistoryState,
    ValidatedCheckpoint: _BestState,
}


def require_states(states: dict[str, Any], callbacks: Sequence[Callback], named: str) -> None:
    """Raise UserError if the state of one of the user's ``callbacks`` in the file ``named`` differs in type from the
    callback's initial state, such as text instead of a number. Keys that the initial state lacks may be anything,
    except in Lightning's own callbacks."""
    for callback in callbacks:
        key, own = callback.state_key, callback.state_dict()
        if type(callback) in STATES or not states.get(key):
            continue
        odd = states[key].keys() ^ own.keys() if _is_lightnings(callback) else set()
        for name in odd:
            raise UserError(
                f"{named} has a different state of {type(callback).__name__} ({shown(name)}): leave that callback out."
            )
        for name, value in states[key].items():
            if value is not None and own.get(name) is not None and _sort(value) is not _sort(own[name]):
                raise UserError(
                    f"{named} has a different state of {type(callback).__name__} ({shown(name)}={shown(value)}, not "
                    f"{shown(own[name])}): leave that callback out."
                )


def _is_lightnings(callback: Callback) -> bool:
    return type(callback).__module__.partition(".")[0] == Callback.__module__.partition(".")[0]


def _sort(value: Any) -> type:
    return float if type(value) is int else type(value)


def keys_of(callbacks: Sequence[type[Callback]], monitor: str) -> set[str]:
    """The keys under which Lightning stores the states of ``callbacks``."""
    keys = {callback.__qualname__ for callback in callbacks if callback is not ValidatedCheckpoint}
    several = checkpoint_callbacks(Path(), monitor) if ValidatedCheckpoint in callbacks else []
    return keys | {callback.state_key for callback in several}


def faults_of_states(states: dict[str, Any], needed: set[str], steps: int) -> Iterator[str | None]:
    """What is wrong with each of ``states``, None where nothing is."""
    kinds = {callback.__qualname__: kind for callback, kind in STATES.items()}
    for key in sorted(needed - states.keys()):
        yield f"callbacks lacks {key}"
    for key, state in states.items():
        name = key.partition("{")[0]  # followed by the options of one of several
        if name in kinds:
            yield misfit(state, kinds[name], f"callbacks.{name}")
            yield from _faults_of_values(state, f"callbacks.{name}", steps)


def _faults_of_values(entry: Any, where: str, steps: int) -> Iterator[str]:
    """The project's own callbacks store steps, counts of steps, and scores."""
    if type(entry) is int and not 0 <= entry <= max(1, steps):
        yield f"{where}={entry} after {steps} steps"
    if isinstance(entry, Tensor) and (entry.ndim or not entry.is_floating_point()):
        yield f"{where} is a tensor of {tuple(entry.shape)}, not a score"
    entries = entry.items() if isinstance(entry, dict) else enumerate(entry) if isinstance(entry, list | tuple) else ()
    for key, value in entries:
        yield from _faults_of_values(value, f"{where}.{shown(key)}", steps)
