"""How a network is executed: compiled, channels-last, or with activation checkpointing.

None of this changes the results, apart from rounding, or what a checkpoint holds.
"""

import os
import shutil
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pixelcnn.errors import UserError
from pixelcnn.model import PixelModel
from pixelcnn.network import Network

COMPILERS = ("g++", "clang++")
BACKEND = "inductor"


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a network is executed, which is not part of a model's description."""

    compile: bool = False
    channels_last: bool = False
    activation_checkpointing: bool = False


def full_float32(full: bool = True) -> None:
    """Make GPUs multiply float32 in full precision, or with ``full=False`` in TF32, with ten bits of mantissa.

    TF32 is several times faster and changes bits/dim in the third decimal: use it in training steps only.
    """
    torch.backends.cudnn.allow_tf32 = not full
    torch.backends.cuda.matmul.allow_tf32 = not full


def execute(model: PixelModel, execution: Execution) -> None:
    """Execute ``model``'s network as ``execution`` says, from the next forward pass on.

    ``compile`` affects training only: ``model(images, condition)`` with the likelihood, and the network by itself.

    Call it after data-dependent initialisation, which hooks into layers. UserError if a compiler is missing.
    """
    network = model.network
    if execution.channels_last:
        network.to(memory_format=torch.channels_last)
    if isinstance(network, Network):
        network.activation_checkpointing = execution.activation_checkpointing
    elif execution.activation_checkpointing:
        name = model.description.network.name
        raise UserError(
            f"model.activation_checkpointing=true needs a topology, which model={name} lacks: leave it out."
        )
    if execution.compile:
        compilers = (os.environ["CXX"],) if "CXX" in os.environ else COMPILERS
        if not any(map(shutil.which, compilers)):
            raise UserError(
                f"model.compile=true needs a C++ compiler, but {' or '.join(compilers)} is not installed: "
                "install one or leave model.compile out."
            )
        model.draw_order = torch.compiler.disable(model.draw_order)  # otherwise each order would be compiled separately
        # The network by itself, for objectives that call only the network.
        for module in (network, model):
            _compile_training(module)


def _compile_training(module: nn.Module) -> None:
    """Compile calls of ``module`` in training, where batches have one shape.

    Evaluation and sampling are not compiled: each of their sizes would take minutes.
    """
    module.compile(backend=BACKEND, dynamic=False)
    compiled, plain = module._compiled_call_impl, module._call_impl
    assert compiled is not None

    def call(*inputs: Any, **named: Any) -> Any:
        return (compiled if module.training and torch.is_grad_enabled() else plain)(*inputs, **named)

    module._compiled_call_impl = call  # which copies of the module do not inherit
