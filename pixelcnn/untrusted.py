"""Sanitises the content of files: plain values and dense tensors pass, as copies; nothing else does.

`opened` is called once for each file, where it is read. Code behind it may rely on

- containers that are exactly ``dict``, ``list`` or ``tuple``, of bounded depth and number of entries, without cycles;
- keys that are ``str`` or ``int``; values that are ``str``, ``int`` of at most 53 bits, ``float``, ``bool`` or None;
- tensors that are exactly ``torch.Tensor``: dense, on the CPU, of real numbers, without attributes or gradients.
"""

from typing import Any

import torch
from torch import Tensor

from pixelcnn.errors import UserError
from pixelcnn.typed import shown

DEPTH = 32  # real checkpoints need less than ten
ENTRIES = 500_000  # of all containers together, counting repeated ones each time
LARGEST = 2**53
DTYPES = (
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
)


def opened(value: Any, named: str, without_tensors: tuple[str, ...] = ()) -> Any:
    """A copy of ``value``, read from the file ``named``, whose tensors share its memory; UserError for anything else.

    ``without_tensors``: entries that may contain plain values only.
    """
    return _Door(named, without_tensors).copied(value, "", 0)


class _Door:
    def __init__(self, named: str, without_tensors: tuple[str, ...]) -> None:
        self.named = named
        self.without_tensors = tuple(f".{key}" for key in without_tensors)
        self.entries = 0

    def copied(self, value: Any, where: str, depth: int) -> Any:
        kind = type(value)
        if kind in (str, bool, float, type(None)):
            return value
        if kind is int and abs(value) <= LARGEST:
            return value
        if kind is Tensor:
            return self._copied_tensor(value, where)
        if kind not in (dict, list, tuple) and not issubclass(kind, dict):  # torch makes OrderedDicts
            raise self._refused(where, f"is {shown(value)}" if kind is int else f"is a {kind.__name__}")
        self.entries += dict.__len__(value) if issubclass(kind, dict) else len(value)
        if depth == DEPTH or self.entries > ENTRIES:
            raise self._refused(where, f"is nested more than {DEPTH} deep or has more than {ENTRIES:,} entries")
        if kind in (list, tuple):
            return kind(self.copied(entry, f"{where}[{place}]", depth + 1) for place, entry in enumerate(value))
        for key in dict.keys(value):
            if type(key) is not str and not (type(key) is int and abs(key) <= LARGEST):
                raise self._refused(where, f"has a key of type {type(key).__name__}")
        return {key: self.copied(entry, f"{where}.{key}", depth + 1) for key, entry in dict.items(value)}

    def _copied_tensor(self, value: Tensor, where: str) -> Tensor:
        if where.startswith(self.without_tensors):
            raise self._refused(where, "is a tensor")
        # These are data descriptors of Tensor, which attributes set by a file cannot shadow.
        if value.layout != torch.strided or value.device.type != "cpu" or value.dtype not in DTYPES:
            raise self._refused(where, f"is a tensor of {value.dtype}, {value.layout}, on {value.device}")
        plain = Tensor.detach(value)
        if plain.is_neg() or not _has_memory_for_each_entry(plain):
            raise self._refused(where, "is a tensor whose entries share memory")
        return plain

    def _refused(self, where: str, fault: str) -> UserError:
        place = where.lstrip(".")
        place = f"{place[:150]}…" if len(place) > 150 else place or "content"
        return UserError(
            f"{self.named} is forged or not from this project ({place} {fault}, which no checkpoint holds): "
            "use another one."
        )


def _has_memory_for_each_entry(tensor: Tensor) -> bool:
    reach = 1
    dimensions = sorted(zip(tensor.stride(), tensor.shape, strict=True))
    for stride, size in () if tensor.numel() == 0 else dimensions:
        if size > 1 and stride < reach:
            return False
        reach = stride * (size - 1) + reach
    return True
