"""How a network is executed: compiled, channels-last, or with activation checkpointing.

None of it changes what is computed, beyond the rounding of floats, or what a checkpoint holds.
"""

import os
import shutil
from dataclasses import dataclass

import torch

from pixelcnn.errors import UserError
from pixelcnn.model import PixelModel
from pixelcnn.network import Network

COMPILERS = ("g++", "clang++")
# A layer's code is compiled once for each kind and number of its inputs, their sizes, training and evaluation.
RECOMPILATIONS = 64


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a network is executed, which is not part of a model's description."""

    compile: bool = False
    channels_last: bool = False
    activation_checkpointing: bool = False


def full_float32(full: bool = True) -> None:
    """Have GPUs multiply float32 in full, or by TF32, of ten bits of mantissa.

    TF32 is several times faster and moves bits/dim in the third decimal: it is for the steps of training alone.
    """
    torch.backends.cudnn.allow_tf32 = not full
    torch.backends.cuda.matmul.allow_tf32 = not full


def execute(model: PixelModel, execution: Execution) -> None:
    """Execute ``model``'s network as ``execution`` says, from the next forward pass on.

    After data-dependent initialisation, which looks inside layers. UserError where a compiler is missing.
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
        torch._dynamo.config.recompile_limit = RECOMPILATIONS
        for layer in network.layers.values() if isinstance(network, Network) else [network]:
            layer.compile()
