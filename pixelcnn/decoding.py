"""The decode hook: a user's function that turns images, such as the codes of a VQ-VAE, into pictures to look at."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from pixelcnn.errors import UserError

Decode = Callable[[Tensor], Tensor]
AT_ONCE = 64  # images decoded at once, to bound memory


class Decoder:
    """Decodes with the function named by ``decode``, "package.module:function".

    The function takes images int64 (N, C, H, W), on the CPU, and returns pictures uint8 (N, C', H', W') with C' 1 or 3.
    UserError if there is no such function.
    """

    def __init__(self, decode: str) -> None:
        self.named = f"decode={decode}"
        module, _, name = decode.partition(":")
        try:
            function = getattr(import_module(module), name, None)
        except (ModuleNotFoundError, ValueError) as error:
            # If the module exists but its own imports fail, that is a bug with a traceback.
            if isinstance(error, ModuleNotFoundError) and not f"{module}.".startswith(f"{error.name}."):
                raise
            raise UserError(f"{self.named} cannot be imported ({error}): write package.module:function.") from error
        if not callable(function):
            raise UserError(f"{self.named} is not a function: write package.module:function.")
        self.function: Decode = function

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Pictures uint8 (N, C', H', W') of ``images`` (N, C, H, W); UserError if it returns anything else."""
        parts = [self._checked(self.function(part.cpu().long()), len(part)) for part in images.split(AT_ONCE)]
        return torch.cat(parts)

    def _checked(self, pictures: Any, count: int) -> Tensor:
        found = type(pictures).__name__
        if isinstance(pictures, Tensor):
            found = f"{pictures.dtype} of shape {tuple(pictures.shape)}"
            fits = pictures.ndim == 4 and len(pictures) == count and pictures.shape[1] in (1, 3)
            if fits and pictures.dtype == torch.uint8:
                return pictures.cpu()
        raise UserError(
            f"{self.named} returned {found} for {count} images: return torch.uint8 ({count}, 1 or 3, height, width)."
        )


def decoder_of(decode: str | None) -> Decoder | None:
    """The named `Decoder`; None if none is named."""
    return None if decode is None else Decoder(decode)
