"""Constructors are given what their signatures ask for; the options of groups are checked as their arguments are."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from pixelcnn.errors import UserError
from pixelcnn.optim import Adam, Muon, build_optimizer, build_schedule, hidden_matrices, linear
from tests.conftest import tiny_model

SPARED = {"match": "*.[gb]", "weight_decay": 0.0}


def held(model, optimizer) -> list[tuple[str, dict]]:
    """The name of every parameter in the optimiser, with its group."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [(names[id(parameter)], group) for group in optimizer.param_groups for parameter in group["params"]]


@pytest.mark.parametrize("make", [Adam, Muon, partial(torch.optim.AdamW, lr=0.1), partial(torch.optim.SGD, lr=0.1)])
@pytest.mark.parametrize("groups", [[], [SPARED], [SPARED, {"match": "*init*", "lr": 0.5}]])
def test_every_parameter_is_optimised_once(make, groups):
    model = tiny_model()
    names = [name for name, _ in held(model, build_optimizer(make, model, groups))]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())


def test_without_groups_the_state_is_that_of_the_parameters_alone():
    model = tiny_model()
    with_groups, without = build_optimizer(Adam, model), Adam(model.parameters())
    assert with_groups.state_dict() == without.state_dict()
    names = [name for name, _ in held(model, with_groups)]
    assert names == [name for name, _ in model.named_parameters()]


def test_muon_is_given_the_hidden_matrices():
    model = tiny_model()
    kinds = held(model, build_optimizer(partial(Muon, lr=0.1, adam_lr=0.2), model, [SPARED]))
    axes = {name: group["out_dim"] for name, group in kinds if group["out_dim"] is not None}
    assert axes == hidden_matrices(model)
    assert {(group["out_dim"] is None, group["lr"]) for _, group in kinds} == {(False, 0.1), (True, 0.2)}


@pytest.mark.parametrize("make", [Adam, Muon, partial(torch.optim.AdamW, lr=0.1)])
@pytest.mark.parametrize("option", [{"lr": -1.0}, {"weight_decay": -1.0}, {"weigth_decay": 1.0}, {"params": 1}])
def test_a_groups_options_are_checked(make, option):
    [key] = option
    with pytest.raises(UserError, match=rf"groups\[0\]\.{key}\b"):
        build_optimizer(make, tiny_model(), [{"match": "*.g", **option}])


@pytest.mark.parametrize("make, key", [(Adam, "epsilon_inside_root"), (Muon, "sharded")])
def test_an_option_of_the_whole_is_refused_in_a_group(make, key):
    with pytest.raises(UserError, match=rf"groups\[0\]\.{key}\b"):
        build_optimizer(make, tiny_model(), [{"match": "*.g", key: True}])


def test_schedules_are_given_the_runs_length_if_they_ask_for_it():
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    assert build_schedule(linear, optimizer, 4).get_last_lr() == [1.0]
    assert build_schedule(partial(OneCycleLR, max_lr=0.1), optimizer, 7).total_steps == 7
    assert build_schedule(partial(OneCycleLR, max_lr=0.1, total_steps=5), optimizer, 7).total_steps == 5
    assert build_schedule(partial(CosineAnnealingLR, T_max=3), optimizer, 7).T_max == 3
