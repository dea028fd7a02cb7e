"""The order of an optimiser's state in memory."""

import torch
from torch import Tensor
from torch.optim import Optimizer


def order_as_parameters(optimizer: Optimizer) -> None:
    """Lay out all state of a parameter's shape in memory as the parameter is.

    A hook after ``load_state_dict``, which keeps the checkpoint's memory format. Fused Adam reads the memory of
    parameters, gradients and moments in parallel: resumed with channels_last switched on or off, it would silently pair
    each weight with another weight's moments.
    """
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.stride() != parameter.stride():
                state[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
