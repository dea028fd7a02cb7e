"""Pickles of plain values and numpy arrays, read without running anything that the file names.

A pickle may name any function of any module, to be called with arguments of its choice. This reader knows the few names
that numpy's arrays are pickled under, and puts stand-ins of its own in their places; any other name is refused. numpy's
own functions are not called either, since forged types would make them read pointers from the file.
"""

import pickle
import re
from typing import Any, BinaryIO

import numpy as np

# What a damaged or forged pickle makes of the reader, beside its own UnpicklingError.
DAMAGED = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    TypeError,
    ValueError,
)


def read_plain_pickle(file: BinaryIO) -> Any:
    """The lists, dictionaries, numbers, texts and arrays of numbers in ``file``, of Python 2 or 3.

    The arrays are stand-ins, turned into numpy's by ``plain``. Raises one of ``DAMAGED``, UnpicklingError where the
    file names anything else.
    """
    return _Unpickler(file, encoding="latin1").load()


def plain(value: Any) -> Any:
    """``value`` itself, or the read-only array that it stands for."""
    return value.array if isinstance(value, _Array) else value


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        # numpy 2 writes numpy._core where numpy 1 wrote numpy.core.
        place = module.replace("numpy._core", "numpy.core")
        if (place, name) not in STAND_INS:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is no plain data")
        return STAND_INS[place, name]


class _Type:
    """Of numbers, such as "u1", and their byte order."""

    __slots__ = ("dtype",)

    def __init__(self, name: str, *flags: bool) -> None:
        if not re.fullmatch("[buif][1248]", name):
            raise ValueError(f"it holds values of type {name}")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = np.dtype(self.dtype.str[1:]).newbyteorder("=" if state[1] == "|" else state[1])


class _Array:
    """numpy.ndarray while it is unpickled: empty first, then set to its state."""

    __slots__ = ("array",)

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Type, bool, bytes | str]) -> None:
        _, shape, kind, in_fortran_order, content = state
        # Strings of Python 2 are bytes.
        content = content.encode("latin1") if isinstance(content, str) else content
        self.array = np.frombuffer(content, kind.dtype).reshape(shape, order="F" if in_fortran_order else "C")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _from_buffer(content: bytes, kind: _Type, shape: tuple[int, ...], order: str) -> _Array:
    array = _Array()
    array.__setstate__((1, shape, kind, order == "F", content))
    return array


def _scalar(kind: _Type, content: bytes) -> int | float | bool:
    return np.frombuffer(content, kind.dtype)[0].item()


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ValueError(f"it encodes text as {encoding}")
    return text.encode("latin1")


STAND_INS = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _encode,
}
