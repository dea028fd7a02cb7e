"""Forged checkpoints: a real one in which one entry, at any depth, is replaced by what does not belong there."""

import math
import random
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Path = tuple[Any, ...]


def drawn_entry(content: Any, rng: random.Random) -> Path:
    """An entry, drawn part by part, so that the many weights do not hide the rest."""
    path: Path = ()
    while isinstance(content, dict | list | tuple) and len(content) and (not path or rng.random() < 0.9):
        key = rng.choice(list(content) if isinstance(content, dict) else list(range(len(content))))
        content, path = content[key], (*path, key)
    return path


def cycle() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def nested() -> list[Any]:
    value: list[Any] = []
    for _ in range(100):
        value = [value]
    return value


ANYTHING = {
    "none": lambda: None,
    "true": lambda: True,
    "minus one": lambda: -1,
    "huge": lambda: 10**30,
    "large": lambda: 10**15,
    "float": lambda: 0.5,
    "nan": lambda: math.nan,
    "text": lambda: "text",
    "interpolation": lambda: "${oc.env:HOME}",
    "escapes": lambda: "\x1b[31mred\x1b]0;title\x07\u202e",
    "long text": lambda: "long" * 5000,
    "empty list": lambda: [],
    "empty dict": lambda: {},
    "list": lambda: [1, "a", None],
    "dict": lambda: {"a": {"b": 1}, 3: 4},
    "tuple": lambda: (1, 2),
    "ordered": lambda: OrderedDict(a=1),
    "set": lambda: {1, 2},
    "bytes": lambda: b"bytes",
    "complex": lambda: 1j,
    "dtype": lambda: torch.float32,
    "cycle": cycle,
    "nested": nested,
    "scalar": lambda: torch.tensor(1.0),
    "vector": lambda: torch.ones(7),
    "empty tensor": lambda: torch.ones(0),
    "matrix": lambda: torch.ones(100, 100),
    "booleans": lambda: torch.ones(3, dtype=torch.bool),
    "complex tensor": lambda: torch.ones(3, dtype=torch.complex64),
    "sparse": lambda: torch.eye(3).to_sparse(),
    "meta": lambda: torch.empty(3, 3, device="meta"),
    "expanded": lambda: torch.ones(1).expand(10**10),
    "parameter": lambda: torch.nn.Parameter(torch.ones(3)),
}
TENSORS = {
    "other shape": lambda value: torch.cat([value.flatten(), value.flatten()]),
    "one less": lambda value: value.flatten()[1:].clone(),
    "flat": lambda value: value.reshape(1, -1).clone(),
    "double": lambda value: value.double(),
    "half": lambda value: value.half(),
    "integers": lambda value: value.long(),
    "not finite": lambda value: torch.full_like(value, math.nan) if value.is_floating_point() else value - 10**6,
    "expanded like": lambda value: torch.ones((), dtype=value.dtype).expand(value.shape),
    "on meta": lambda value: value.to("meta"),
    "sparse like": lambda value: value.to_sparse() if value.ndim else torch.eye(2).to_sparse(),
}


def forged(content: dict[str, Any], rng: random.Random) -> tuple[dict[str, Any], str]:
    """``content`` with one entry replaced or missing, and what was done to which."""
    path = drawn_entry(content, rng)
    value = content
    for key in path:
        value = value[key]
    changes: dict[str, Callable[[Any], Any]] = {name: lambda _, make=make: make() for name, make in ANYTHING.items()}
    changes["wrapped"] = lambda value: [value]
    if isinstance(value, dict | list | tuple):
        changes["extra"] = _with_extra
    if isinstance(value, Tensor):
        changes |= TENSORS
    name = rng.choice(["missing", *changes])
    told = f"{'.'.join(map(str, path))}: {name}"
    if name == "missing":
        return replaced(content, path[:-1], lambda holder: _without(holder, path[-1])), told
    return replaced(content, path, changes[name]), told


def replaced(content: Any, path: Path, change: Callable[[Any], Any]) -> Any:
    """``content`` with ``change`` made to the entry at ``path``; all else is shared."""
    if not path:
        return change(content)
    key, *rest = path
    entry = replaced(content[key], tuple(rest), change)
    if isinstance(content, dict):
        return {**content, key: entry}
    return type(content)([entry if place == key else value for place, value in enumerate(content)])


def _with_extra(value: Any) -> Any:
    return {**value, "extra": 1} if isinstance(value, dict) else type(value)([*value, 1])


def _without(holder: Any, key: Any) -> Any:
    if isinstance(holder, dict):
        return {name: value for name, value in holder.items() if name != key}
    return type(holder)([value for place, value in enumerate(holder) if place != key])
