"""Names, shapes and types of a model's weights, found without memory for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from pixelcnn.model import PixelModel
from pixelcnn.options import ModelDescription


class TooLargeError(Exception):
    """The weights take more bytes than allowed."""


def weights_of(description: ModelDescription, most: float = float("inf")) -> dict[str, Tensor]:
    """The state_dict of a model of ``description``, of meta tensors.

    TooLargeError as soon as its parameters take more than ``most`` bytes; UserError where its parts do not combine.
    """
    try:
        with _counting(most), torch.device("meta"), _WithoutDraws():
            return PixelModel(description).state_dict()
    except (RuntimeError, TypeError) as error:  # TypeError from integers of more than 64 bits
        if "overflow" not in str(error).lower():
            raise
        raise TooLargeError from error


@contextmanager
def _counting(most: float) -> Iterator[None]:
    total = 0

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal total
        total += 0 if parameter is None else parameter.numel() * parameter.element_size()
        if total > most:
            raise TooLargeError

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


class _WithoutDraws(TorchFunctionMode):
    """Leaves random initial values out: on the meta device they would only import torch's decompositions, for 2 s."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if func in (Tensor.normal_, Tensor.uniform_) else func(*args, **(kwargs or {}))
