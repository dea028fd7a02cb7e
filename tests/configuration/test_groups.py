"""The parts that groups name are found, checked against their constructors, and made."""

from pathlib import Path

import pytest
import torch
from omegaconf import MISSING, OmegaConf

from pixelcnn.configuration.checks import check
from pixelcnn.configuration.groups import checked_group, instantiated, instantiated_parts, partially
from pixelcnn.data.digits import Digits
from pixelcnn.errors import UserError


class Loaded:
    def __init__(self, root: Path, batch_size: int, factor: float = 1.0, sizes: list[int] | None = None) -> None:
        if factor < 0:
            raise ValueError(f"factor={factor} is out of range: use a positive number")
        self.values = (root, batch_size, factor, sizes)


class Noted:
    def __init__(self, run_dir: Path, inner: torch.nn.Module | None = None, every: int = 1) -> None:
        self.run_dir, self.inner, self.every = run_dir, inner, every


def of_data(**values):
    given = {"_target_": f"{__name__}.Loaded", "root": "here", "batch_size": 4, **values}
    return OmegaConf.create({"data": given})


def test_values_arrive_in_their_types():
    config = of_data(factor=2, sizes=[1, 2])
    checked_group(config, "data")
    assert instantiated(config, "data").values == (Path("here"), 4, 2.0, [1, 2])


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"batch_size": "abc"}, "data.batch_size=abc is of the wrong type: it takes a whole number"),
        ({"batch_size": None}, "data.batch_size=null is of the wrong type"),
        ({"sizes": ["x"]}, "data.sizes[0]=x is of the wrong type"),
        ({"bach_size": 3}, "data.bach_size is not a key"),
        ({"factor": -1}, "data.factor=-1.0 is out of range"),
        ({"_target_": "no.such.Class"}, "data._target_=no.such.Class cannot be imported"),
        ({"_target_": "Class"}, "data._target_=Class cannot be imported"),
        ({"_target_": "math.pi"}, "data._target_=math.pi is not a class"),
        ({"_target_": None}, "data._target_=None cannot be imported"),
    ],
)
def test_wrong_values_are_refused_by_key(values, told):
    config = of_data(**values)
    with pytest.raises(UserError) as refusal:
        checked_group(config, "data")
        instantiated(config, "data")
    assert str(refusal.value).startswith(told) and "\n" not in str(refusal.value)


def test_a_group_without_a_class_is_refused():
    with pytest.raises(UserError, match="_target_"):
        checked_group(OmegaConf.create({"data": {"batch_size": 3}}), "data")


def test_a_missing_value_is_named(composed):
    with pytest.raises(UserError, match=r"^data.root "):
        check(composed("data=images", f"data.root={MISSING}"))


def test_a_broken_import_inside_a_users_module_is_a_bug(tmp_path, monkeypatch):
    (tmp_path / "own_data_set.py").write_text("from os import no_such_name")
    (tmp_path / "other_data_set.py").write_text("import no_such_module")
    monkeypatch.syspath_prepend(tmp_path)
    for module, name in (("own_data_set", "no_such_name"), ("other_data_set", "no_such_module")):
        with pytest.raises(ImportError, match=name):
            checked_group(of_data(_target_=f"{module}.Images"), "data")


def test_a_group_of_several_makes_each_and_leaves_null_out():
    target = f"{__name__}.Noted"
    parts = {"a": {"_target_": target, "inner": {"_target_": "torch.nn.ELU"}}, "b": None, "c": {"_target_": target}}
    config = OmegaConf.create({"callbacks": parts})
    checked_group(config, "callbacks")
    made = dict(instantiated_parts(config, "callbacks", run_dir=Path("r"), resume_command="none of its arguments"))
    assert list(made) == ["a", "c"] and isinstance(made["a"].inner, torch.nn.ELU) and made["c"].run_dir == Path("r")
    assert made["c"].every == 1


def test_what_is_given_to_one_of_several_may_be_chosen():
    config = OmegaConf.create({"callbacks": {"a": {"_target_": f"{__name__}.Noted", "run_dir": "mine"}}})
    checked_group(config, "callbacks")
    assert dict(instantiated_parts(config, "callbacks", run_dir=Path("r")))["a"].run_dir == Path("mine")


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (3, "callbacks.a=3 is not a part"),
        ({"every": 1}, "callbacks.a="),
        ({"_target_": f"{__name__}.Noted", "evry": 1}, "callbacks.a.evry is not a key"),
        ({"_target_": f"{__name__}.Noted", "every": "x"}, "callbacks.a.every=x is of the wrong type"),
    ],
)
def test_one_of_several_is_refused_by_its_key(part, told):
    with pytest.raises(UserError) as refusal:
        checked_group(OmegaConf.create({"callbacks": {"a": part}}), "callbacks")
    assert str(refusal.value).startswith(told)


def test_what_the_program_gives_cannot_be_set():
    config = OmegaConf.create({"model": {"_target_": "pixelcnn.network.PixelCNNPP", "image_channels": 3}})
    with pytest.raises(UserError, match=r"^model.image_channels "):
        checked_group(config, "model")


def test_a_constructor_called_later_still_names_its_key(composed):
    config = composed("data=digits")
    check(config)
    config.optim.lr = -1.0
    with pytest.raises(UserError, match=r"^optim.lr=-1.0"):
        partially(config, "optim")([torch.zeros(1, requires_grad=True)])


def test_the_groups_options_build_their_data_sets(composed):
    config = composed("data=digits", "seed=5", "data.val_size=7")
    check(config)
    data = instantiated(config, "data")
    assert type(data) is Digits and (data.val_size, data.seed) == (7, 5)
