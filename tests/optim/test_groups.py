"""Parameters go to the groups that their names match, each once."""

import pytest
import torch
from torch import nn

from pixelcnn.errors import UserError
from pixelcnn.optim import parameter_groups
from tests.conftest import tiny_model


def names_of(groups) -> list[list[str]]:
    return [[name for name, _ in group["params"]] for group in groups]


def test_without_groups_all_parameters_are_one_group_in_their_order():
    model = tiny_model()
    [group] = parameter_groups(model.named_parameters())
    assert group == {"params": list(model.named_parameters())}


def test_gains_and_biases_are_spared_from_decay():
    model = tiny_model()
    optimizer = torch.optim.AdamW(
        parameter_groups(model.named_parameters(), [{"match": "*.[gb]", "weight_decay": 0.0}]), weight_decay=0.5
    )
    decay = {name: group["weight_decay"] for group in optimizer.param_groups for name in group["param_names"]}
    assert decay == {name: 0.0 if name.endswith((".g", ".b")) else 0.5 for name, _ in model.named_parameters()}


def test_a_parameter_goes_to_the_first_group_that_matches():
    named = nn.Linear(2, 3).named_parameters()
    groups = parameter_groups(named, [{"match": "b*", "lr": 1.0}, {"match": "*", "lr": 2.0}])
    assert names_of(groups) == [["bias"], ["weight"]]
    assert [group["lr"] for group in groups] == [1.0, 2.0]


def test_a_tied_parameter_is_taken_once():
    tied = nn.Module()
    tied.one, tied.other = nn.Linear(2, 2), nn.Linear(2, 2)
    tied.other.weight = tied.one.weight
    groups = parameter_groups(tied.named_parameters(remove_duplicate=False), [{"match": "*.bias"}])
    assert names_of(groups) == [["one.weight"], ["one.bias", "other.bias"]]
    torch.optim.SGD(groups)


@pytest.mark.parametrize("pattern", ["*.w", "G", "layers"])
def test_a_pattern_without_a_match_is_named_beside_real_names(pattern):
    named = dict(tiny_model().named_parameters())
    with pytest.raises(UserError, match="match=") as error:
        parameter_groups(named.items(), [{"match": pattern, "lr": 1.0}])
    assert f"match={pattern} " in str(error.value)
    assert sum(name in str(error.value) for name in named) >= 3


def test_a_group_whose_parameters_are_taken_is_named():
    named = nn.Linear(2, 3).named_parameters()
    with pytest.raises(UserError, match=r"match=bias .*earlier"):
        parameter_groups(named, [{"match": "b*"}, {"match": "bias"}])


def test_a_group_without_a_pattern_is_named():
    with pytest.raises(UserError, match=r"groups\[0\]=\{'lr': 1.0\} .*match"):
        parameter_groups(nn.Linear(2, 3).named_parameters(), [{"lr": 1.0}])


def test_a_group_may_have_several_globs_and_match_nothing_if_it_says_so():
    spared = {"match": ["*.[gb]", "*bias"], "optional": True, "weight_decay": 0.0}
    assert names_of(parameter_groups(nn.Linear(2, 3).named_parameters(), [spared])) == [["weight"], ["bias"]]
    assert names_of(parameter_groups(nn.Linear(2, 3, bias=False).named_parameters(), [spared])) == [["weight"]]
    torch.optim.AdamW(parameter_groups(nn.Linear(2, 3).named_parameters(), [spared]))


@pytest.mark.parametrize("match", [3, [3], None, {"a": 1}])
def test_a_glob_is_text(match):
    with pytest.raises(UserError, match=r"groups\[1\]\.match="):
        parameter_groups(nn.Linear(2, 3).named_parameters(), [{"match": "weight"}, {"match": match}])
