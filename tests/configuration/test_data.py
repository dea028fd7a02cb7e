"""Arguments of a data set are checked against its constructor, through what it hands on to its parent."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from omegaconf import MISSING, OmegaConf
from pixelcnn.configuration.data import check_data, data_module, schema_of

from pixelcnn.data.digits import Digits
from pixelcnn.errors import UserError


class Parent:
    def __init__(self, batch_size: int, seed: int = 3) -> None:
        self.batch_size, self.seed = batch_size, seed


class Child(Parent):
    def __init__(
        self, root: Path, factor: float = 1.0, sizes: list[int] | None = None, key: Callable | None = None, **rest: int
    ) -> None:
        super().__init__(**rest)
        self.root, self.factor, self.sizes, self.key = root, factor, sizes, key


class Grandchild(Child):
    """With no constructor of its own."""


def given(**values):
    return OmegaConf.create({"_target_": f"{__name__}.Grandchild", "root": "here", "batch_size": 4, **values})


def test_the_schema_holds_the_arguments_of_all_constructors():
    defaults = {field.name: field.default for field in fields(schema_of(Grandchild))}
    assert defaults == {
        "root": MISSING, "factor": 1.0, "sizes": None, "key": None, "batch_size": MISSING, "seed": 3,
    }  # fmt: skip


def test_values_arrive_in_their_types():
    data = data_module(given(factor=2, sizes=[1, 2], key="anything"))
    assert (data.root, data.factor, data.sizes, data.key) == (Path("here"), 2.0, [1, 2], "anything")
    assert isinstance(data.factor, float) and isinstance(data.root, Path) and type(data.sizes) is list
    assert (data.batch_size, data.seed) == (4, 3)


@pytest.mark.parametrize(
    ("values", "key", "told"),
    [
        ({"batch_size": "abc"}, "data.batch_size=abc", "a whole number"),
        ({"batch_size": 1.5}, "data.batch_size=1.5", "a whole number"),
        ({"batch_size": None}, "data.batch_size=null", "a whole number"),
        ({"seed": "x"}, "data.seed=x", "a whole number"),
        ({"factor": "x"}, "data.factor=x", "a number"),
        ({"sizes": ["x"]}, "data.sizes[0]=x", "a whole number"),
        ({"sizes": 3}, "data.sizes=3", "a list, each item a whole number, or null"),
        ({"bach_size": 3}, "data.bach_size", "did you mean data.batch_size?"),
        ({"root": MISSING}, "data.root", "has no value"),
        ({"_target_": "no.such.Class"}, "data._target_=no.such.Class", "cannot be imported"),
        ({"_target_": f"{__name__}.given"}, f"data._target_={__name__}.given", "not a class"),
        ({"_target_": "Class"}, "data._target_=Class", "cannot be imported"),
    ],
)
def test_wrong_values_are_refused_by_key(values, key, told):
    with pytest.raises(UserError) as refusal:
        check_data(given(**values))
    assert str(refusal.value).startswith(key) and told in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_group_without_a_class_is_refused():
    with pytest.raises(UserError, match="_target_"):
        check_data(OmegaConf.create({"batch_size": 3}))


def test_a_broken_import_inside_a_data_set_is_a_bug(tmp_path, monkeypatch):
    (tmp_path / "own_data_set.py").write_text("from os import no_such_name")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match="no_such_name"):
        check_data(given(_target_="own_data_set.Images"))


def test_the_groups_options_build_their_data_sets(composed):
    data = data_module(composed("data=digits", "seed=5", "data.val_size=7").data)
    assert type(data) is Digits and (data.val_size, data.seed) == (7, 5)
