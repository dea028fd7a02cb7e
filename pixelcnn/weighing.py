"""Names, shapes and types of a model's weights, without allocating them."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from pixelcnn.description import OWN_PACKAGES, ModelDescription
from pixelcnn.model import build


class TooLargeError(Exception):
    """The weights take more bytes than allowed."""


def weights_of(description: ModelDescription, most: float = math.inf) -> dict[str, Tensor]:
    """The state_dict of a model of ``description``; of meta tensors if all parts are the project's or torch's.

    In that case TooLargeError as soon as parameters take more than ``most`` bytes; other packages' constructors may
    allocate what they like. UserError if the parts do not combine.
    """
    packages = {part.target.__module__.partition(".")[0] for part in description.parts.values()}
    if not packages <= set(OWN_PACKAGES):
        return build(description).state_dict()
    with weightless(most):
        return build(description).state_dict()


@contextmanager
def weightless(most: float = math.inf) -> Iterator[None]:
    """Within it, modules have their weights on the meta device; TooLargeError above ``most`` bytes."""
    total = 0

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal total
        total += 0 if parameter is None else parameter.numel() * parameter.element_size()
        if total > most:
            raise TooLargeError

    handle = register_module_parameter_registration_hook(count)
    try:
        with torch.device("meta"), _WithoutDraws():
            yield
    except (RuntimeError, TypeError) as error:  # TypeError from integers of more than 64 bits
        if "overflow" not in str(error).lower():
            raise
        raise TooLargeError from error
    finally:
        handle.remove()


class _WithoutDraws(TorchFunctionMode):
    """Skips random initial values: on the meta device they only import torch's decompositions, which takes 2 s."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if func in (Tensor.normal_, Tensor.uniform_) else func(*args, **(kwargs or {}))
