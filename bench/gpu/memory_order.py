"""Optimisers resumed with the weights in another order in memory: moments must follow the weights."""

import copy
from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import nn
from torch.optim import Optimizer

from bench.gpu.worker import Options, Report
from pixelcnn.optim import Adam, Muon
from pixelcnn.optim.memory import order_as_parameters

ALLOWED = 1e-4  # steps move weights by a thousandth or more; Muon rounds to bfloat16 on a GPU
ORDERS = (torch.contiguous_format, torch.channels_last)
OPTIMIZERS: dict[str, Callable[[Iterable], Optimizer]] = {
    "Adam": Adam,
    "Adam, epsilon inside the root": partial(Adam, epsilon_inside_root=True),
    "torch's AdamW, fused": partial(torch.optim.AdamW, fused=True),
    "torch's SGD with momentum, fused": partial(torch.optim.SGD, lr=0.1, momentum=0.9, fused=True),
    "Muon": Muon,
}


def run(report: Report, options: Options) -> None:
    """Steps after resuming, against steps of what was never stopped."""
    for name, make in OPTIMIZERS.items():
        for before, after in (ORDERS, ORDERS[::-1]):
            old, new = _weight(before, options.device), _weight(after, options.device)
            first, second = make([old]), make([new])
            second.register_load_state_dict_post_hook(order_as_parameters)
            _step(first, old, 1)
            new.data.copy_(old.data)
            second.load_state_dict(copy.deepcopy(first.state_dict()))
            for seed in (2, 3):
                _step(first, old, seed)
                _step(second, new, seed)
            error = float((new - old).detach().abs().max())
            report.check(f"{name}, from {before} to {after}", error < ALLOWED, f"difference {error:.1e}")


def _weight(order: torch.memory_format, device: str) -> nn.Parameter:
    values = torch.randn(8, 6, 2, 3, generator=torch.Generator().manual_seed(0)).to(device)
    return nn.Parameter(values.contiguous(memory_format=order))


def _step(optimizer: Optimizer, weight: nn.Parameter, seed: int) -> None:
    gradient = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed))
    weight.grad = torch.empty_like(weight).copy_(gradient.to(weight.device))
    optimizer.step()
