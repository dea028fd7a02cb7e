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


@pytest.mark.parametrize("make", [Adam, Muon, partial(torch.optim.AdamW, lr=0.1), partial(torch.optim.SGD, lr=0.1)])
@pytest.mark.parametrize("groups", [[], [SPARED], [SPARED, {"match": "*init*", "lr": 0.5}]])
def test_every_parameter_is_optimised_once(make, groups):
    model = tiny_model()
    optimizer = build_optimizer(make, model, groups)
    held = [name for group in optimizer.param_groups for name in group["param_names"]]
    assert sorted(held) == sorted(name for name, _ in model.named_parameters())


def test_without_groups_parameters_keep_their_order():
    model = tiny_model()
    [group] = build_optimizer(Adam, model).param_groups
    assert all(map(lambda one, other: one is other, group["params"], model.parameters()))


def test_a_state_without_names_can_be_loaded():
    model = tiny_model()
    state = Adam(model.parameters(), lr=0.5).state_dict()
    optimizer = build_optimizer(Adam, model)
    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_muon_is_given_the_hidden_matrices():
    model = tiny_model()
    optimizer = build_optimizer(partial(Muon, lr=0.1, adam_lr=0.2), model, [SPARED])
    kinds = {name: group["out_dim"] for group in optimizer.param_groups for name in group["param_names"]}
    assert {name: axis for name, axis in kinds.items() if axis is not None} == hidden_matrices(model)
    assert {(group["out_dim"] is None, group["lr"]) for group in optimizer.param_groups} == {(False, 0.1), (True, 0.2)}


@pytest.mark.parametrize("make", [Adam, Muon, partial(torch.optim.AdamW, lr=0.1)])
@pytest.mark.parametrize("option", [{"lr": -1.0}, {"weight_decay": -1.0}, {"weigth_decay": 1.0}, {"params": 1}])
def test_a_groups_options_are_checked(make, option):
    [key] = option
    with pytest.raises(UserError, match=rf"match=\*\.g {key}={option[key]}: ") as error:
        build_optimizer(make, tiny_model(), [{"match": "*.g", **option}])
    assert isinstance(error.value.__cause__, (TypeError, ValueError))


@pytest.mark.parametrize("make, key", [(Adam, "epsilon_inside_root"), (Muon, "sharded")])
def test_an_option_of_the_whole_is_refused_in_a_group(make, key):
    with pytest.raises(UserError, match=f"match=\\*.g {key}=True: {key} cannot differ"):
        build_optimizer(make, tiny_model(), [{"match": "*.g", key: True}])


def test_schedules_are_given_the_runs_length_if_they_ask_for_it():
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    assert build_schedule(linear, optimizer, 4).get_last_lr() == [1.0]
    assert build_schedule(partial(OneCycleLR, max_lr=0.1), optimizer, 7).total_steps == 7
    assert build_schedule(partial(OneCycleLR, max_lr=0.1, total_steps=5), optimizer, 7).total_steps == 5
    assert build_schedule(partial(CosineAnnealingLR, T_max=3), optimizer, 7).T_max == 3
