"""A run can be resumed with another order of its weights in memory, whatever its optimiser."""

import copy

import pytest
import torch
from torch import nn

from pixelcnn.execution import Execution, execute
from pixelcnn.optim.memory import order_as_parameters
from pixelcnn.training.adam import FusedAdam, OriginalAdam
from tests.training.tiny import checkpoint_of, fit, read, tiny_module

ORDERS = (torch.contiguous_format, torch.channels_last)


def weight(order) -> nn.Parameter:
    values = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    return nn.Parameter(values.contiguous(memory_format=order))


def step(optimizer, parameter, seed) -> None:
    parameter.grad = torch.empty_like(parameter)
    parameter.grad.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)))
    optimizer.step()


@pytest.mark.parametrize(("before", "after"), [ORDERS, ORDERS[::-1]])
@pytest.mark.parametrize(
    "make",
    [
        FusedAdam,
        OriginalAdam,
        lambda parameters: torch.optim.AdamW(parameters, amsgrad=True, fused=True),
        lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, fused=True),
        lambda parameters: torch.optim.RMSprop(parameters, centered=True, momentum=0.9),
    ],
)
def test_the_state_takes_the_order_of_the_parameter(make, before, after):
    old, new = weight(before), weight(after)
    first, second = make([old]), make([new])
    second.register_load_state_dict_post_hook(order_as_parameters)
    step(first, old, seed=1)
    new.data.copy_(old.data)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for seed in (2, 3):
        step(first, old, seed)
        step(second, new, seed)
    torch.testing.assert_close(new, old, rtol=1e-5, atol=1e-6)
    kept = [value for value in second.state[new].values() if value.shape == new.shape]
    assert kept and all(value.stride() == new.stride() for value in kept)


@pytest.mark.parametrize("channels_last", [True, False])
def test_a_run_resumed_in_another_order(tmp_path, channels_last):
    def module(reordered: bool):
        made = tiny_module(dropout=0.0)  # whose masks are drawn in the order of memory
        execute(made.model, Execution(channels_last=reordered, compile=False, activation_checkpointing=False))
        return made

    fit(tmp_path / "first", module=module(not channels_last), max_steps=3)
    resumed, whole = module(channels_last), module(channels_last)
    fit(tmp_path / "resumed", module=resumed, checkpoint=checkpoint_of(tmp_path / "first"), max_steps=7)
    fit(tmp_path / "whole", module=whole, max_steps=7)
    for one, other in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
        for name, moment in resumed.optimizers().state[one].items():
            assert moment.shape != one.shape or moment.stride() == one.stride(), name
    assert read(tmp_path / "resumed")["global_step"] == 7
