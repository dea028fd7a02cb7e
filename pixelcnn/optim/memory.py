"""The order of an optimiser's state in memory."""

import torch
from torch import Tensor
from torch.optim import Optimizer


def order_as_parameters(optimizer: Optimizer) -> None:
    """Lay out all state of a parameter's shape in memory as the parameter is.

    A hook for after ``load_state_dict``, which keeps the order of the checkpoint. Fused Adam walks through the memory
    of parameters, gradients and moments side by side: resumed with channels_last switched on or off, it would pair each
    weight with another weight's moments, without an error.
    """
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.stride() != parameter.stride():
                state[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
