"""Reads pickles of plain values and numpy arrays without running code from the file."""

import pickle
import re
from typing import Any

import numpy as np


class PlainUnpickler(pickle.Unpickler):
    """Reads lists, dictionaries, numbers, texts and arrays of numbers, of Python 2 or 3 with ``encoding="latin1"``.

    UnpicklingError if the file names anything else. Arrays are returned as stand-ins, which ``numpy.asarray`` converts:
    numpy's own reconstruction would follow pointers in a forged type.
    """

    def find_class(self, module: str, name: str) -> Any:
        # numpy 2 writes numpy._core where numpy 1 wrote numpy.core.
        place = f"{module.replace('numpy._core', 'numpy.core')}.{name}"
        if place not in STAND_INS:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not plain data")
        return STAND_INS[place]


class _Type:
    """numpy.dtype: made of a name such as "u1", then given its byte order."""

    def __init__(self, name: str, *_: bool) -> None:
        if not re.fullmatch("[buif][1248]", name):
            raise ValueError(f"it holds values of type {name}")
        self.name = name

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.name = state[1].strip("|") + self.name


class _Array:
    """numpy.ndarray: made empty, then given its content."""

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Type, bool, bytes | str]) -> None:
        _, shape, kind, in_fortran_order, content = state
        self.array = _numbers(content, kind).reshape(shape, order="F" if in_fortran_order else "C")

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        return self.array


def _numbers(content: bytes | str, kind: _Type) -> np.ndarray:
    # Python 2 strings are bytes.
    return np.frombuffer(content.encode("latin1") if isinstance(content, str) else content, kind.name)


STAND_INS = {
    "numpy.ndarray": _Array,
    "numpy.dtype": _Type,
    "numpy.core.multiarray._reconstruct": _Array,
    "numpy.core.multiarray.scalar": lambda kind, content: _numbers(content, kind)[0],
    "numpy.core.numeric._frombuffer": lambda content, kind, shape, order: _numbers(content, kind).reshape(
        shape, order=order
    ),
    "_codecs.encode": lambda text, _: text.encode("latin1"),
}
