"""The order in memory of what an optimiser keeps for each parameter."""

import torch
from torch.optim import Optimizer


def keep_order_of_parameters(optimizer: Optimizer) -> None:
    """Have whatever ``optimizer`` loads that is shaped like its parameter lie in memory as the parameter does.

    A checkpoint keeps the order of the run that wrote it, which may have been another (``model.channels_last``), and
    fused kernels pair the elements of parameter and state by their places in memory.
    """
    optimizer.register_load_state_dict_post_hook(_reorder)


def _reorder(optimizer: Optimizer) -> None:
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                state[name] = torch.empty_like(parameter, dtype=value.dtype, device=value.device).copy_(value)
