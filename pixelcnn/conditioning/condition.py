"""A condition of images: a tensor with a row for each image, or for several conditions a mapping of such tensors."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Condition = Tensor | Mapping[str, Tensor] | None


def in_each(condition: Condition, change: Callable[[Tensor], Tensor]) -> Condition:
    """``condition`` with ``change`` applied to its tensor, or to each of its tensors."""
    if isinstance(condition, Mapping):
        return {key: change(one) for key, one in condition.items()}
    return None if condition is None else change(condition)


def expanded(condition: Condition, n: int) -> Condition:
    """``condition``, first axis 1, for each of n images."""
    return in_each(condition, lambda one: one.expand(n, *one.shape[1:]))


def on_device(condition: Condition, device: torch.device) -> Condition:
    """``condition`` on ``device``."""
    return in_each(condition, lambda one: one.to(device))
