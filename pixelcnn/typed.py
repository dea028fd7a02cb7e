"""Whether plain values match a type annotation, without conversions; imports nothing heavy."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

MOST_SHOWN = 60  # characters of a value in a message


def misfit(value: Any, kind: Any, where: str) -> str | None:
    """Which part of ``value``, called ``where``, is not of the type ``kind``, and why; None if all of it is.

    ``kind``: a class; float, which includes whole numbers; a union; a list, tuple or dict of such; a TypedDict, which
    may have further keys; or a dataclass for a dictionary of its fields, of which those with defaults are optional.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return None
    if origin in (Union, UnionType):
        found = [misfit(value, one, where) for one in arguments]
        return None if None in found else f"{where}={shown(value)} is of the wrong type"
    if is_typeddict(kind):
        return _of_entries(value, get_type_hints(kind), kind.__required_keys__, True, where)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        entries = {field.name: hints[field.name] for field in fields(kind)}
        needed = {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}
        return _of_entries(value, entries, needed, False, where)
    if origin in (list, tuple, dict) and not isinstance(value, origin):
        return f"{where}={shown(value)} is not a {origin.__name__}"
    if origin is dict:
        keys = (f"{where} has the key {shown(key)}" for key in value if type(key) is not arguments[0])
        return next(keys, None) or _first(value, lambda key: arguments[1], where)
    if origin is list or (origin is tuple and arguments[-1] is Ellipsis):
        return _first(dict(enumerate(value)), lambda place: arguments[0], where)
    if origin is tuple:
        if len(value) != len(arguments):
            return f"{where}={shown(value)} has {len(value)} entries, not {len(arguments)}"
        return _first(dict(enumerate(value)), lambda place: arguments[place], where)
    fits = type(value) in (int, float) if kind is float else type(value) is kind
    return None if fits else f"{where}={shown(value)} is of the wrong type"


def shown(value: Any) -> str:
    """``value`` for a message, in short."""
    if isinstance(value, dict | list | tuple | set):
        return f"a {type(value).__name__} of {len(value)}"
    if type(value) not in (bool, int, float, str, type(None)):
        return f"a {type(value).__name__}"
    told = str(value)
    return told if len(told) <= MOST_SHOWN else f"{told[:MOST_SHOWN]}…"


def _of_entries(value: Any, kinds: Mapping[str, Any], needed: Any, open_: bool, where: str) -> str | None:
    if not isinstance(value, dict):
        return f"{where}={shown(value)} is not a dict"
    for key in sorted(set(needed) - value.keys()):
        return f"{where} lacks {key}"
    for key in value:
        if key not in kinds and not open_:
            return f"{where} has the unknown key {shown(key)}"
    known = {key: entry for key, entry in value.items() if key in kinds}
    return _first(known, lambda key: kinds[key], where)


def _first(entries: dict[Any, Any], kind_of: Callable[[Any], Any], where: str) -> str | None:
    found = (misfit(entry, kind_of(key), f"{where}.{key}") for key, entry in entries.items())
    return next((one for one in found if one is not None), None)
