"""A constructor is a schema: its arguments' names, types and defaults, also those that ``**`` hands to a parent."""

import math
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pixelcnn.errors import UserError
from pixelcnn.likelihood import LogisticMixture
from pixelcnn.network import PixelCNNPP
from pixelcnn.part import Part
from pixelcnn.signature import arguments_of, checked, checked_arguments, name_of, refusal, takes_any_keyword
from tests.drawn import cases


class Colour(Enum):
    RED = 1
    GREEN = 2


class Parent:
    def __init__(self, batch_size: int, seed: int = 3) -> None: ...


class Child(Parent):
    def __init__(self, root: Path, factor: float = 1.0, sizes: list[int] | None = None, **rest: int) -> None: ...


class Grandchild(Child):
    """With no constructor of its own."""


class Open:
    def __init__(self, name: str = "x", **others: Any) -> None: ...


class Module(nn.Module):
    """nn.Module's own constructor has a ``**`` that takes nothing."""


def test_the_arguments_are_those_of_all_constructors():
    found = arguments_of(Grandchild)
    assert list(found) == ["root", "factor", "sizes", "batch_size", "seed"]
    assert [name for name, argument in found.items() if argument.required] == ["root", "batch_size"]
    assert not takes_any_keyword(Grandchild) and takes_any_keyword(Open) and not takes_any_keyword(Module)
    assert arguments_of(Module) == {} and list(arguments_of(lambda a, b=2: a)) == ["a", "b"]


def test_a_module_is_no_more_open_once_something_was_compiled(monkeypatch):
    of_torch = nn.Module.__init__

    def tagging(self, *args, **kwargs):  # as torch._dynamo.mutation_guard puts in its place
        of_torch(self, *args, **kwargs)

    monkeypatch.setattr(nn.Module, "__init__", tagging)
    assert not takes_any_keyword(Module) and arguments_of(Module) == {}


@pytest.mark.parametrize(
    ("hint", "value", "result"),
    [
        (int, 3, 3),
        (float, 3, 3.0),
        (bool, True, True),
        (str, "a", "a"),
        (str, 3, "3"),
        (Path, "a/b", Path("a/b")),
        (int | None, None, None),
        (Optional[float], 2, 2.0),  # noqa: UP045
        (int | float, 3, 3),
        (bool | int, True, True),
        (int | bool, 1, 1),
        (Union[str, list[int]], [1, 2], [1, 2]),  # noqa: UP007
        (list[float], [1, 2.5], [1.0, 2.5]),
        (Sequence[int], (1, 2), [1, 2]),
        (tuple[float, float], [0, 0.5], (0.0, 0.5)),
        (tuple[int, ...], [1, 2, 3], (1, 2, 3)),
        (dict[str, Any], {"a": 1}, {"a": 1}),
        (Mapping[str, int], {"a": 1}, {"a": 1}),
        (Literal["a", 1], 1, 1),
        (Annotated[int, "of something"], 3, 3),
        (Colour, "GREEN", Colour.GREEN),
        (nn.Module, {"_target_": "torch.nn.ELU"}, {"_target_": "torch.nn.ELU"}),
        (Callable[..., int], "anything", "anything"),
        (Any, {"x": [1]}, {"x": [1]}),
    ],
)
def test_values_arrive_in_their_types(hint, value, result):
    found = checked(value, hint, "key")
    assert found == result and type(found) is type(result)


@pytest.mark.parametrize(
    ("hint", "value", "takes"),
    [
        (int, 1.0, "a whole number"),
        (int, True, "a whole number"),
        (int, "3", "a whole number"),
        (float, "x", "a number"),
        (float, True, "a number"),
        (bool, 1, "true or false"),
        (bool, 2, "true or false"),
        (bool, "true", "true or false"),
        (str, True, "text"),
        (str, None, "text"),
        (int | None, "x", "a whole number or null"),
        (list[int], 3, "a list, each item a whole number"),
        (tuple[float, float], [0.5], "a list of 2"),
        (dict, 3, "a group of keys"),
        (Literal["a", "b"], "c", "one of a, b"),
        (Literal[1], True, "one of 1"),
        (Colour, "BLUE", "one of RED, GREEN"),
        (nn.Module, {"in": 3}, "_target_"),
        (nn.Module, 3, "Module"),
    ],
)
def test_other_types_are_refused_by_key_and_value(hint, value, takes):
    with pytest.raises(UserError) as refused:
        checked(value, hint, "group.key")
    shown = "null" if value is None else "true" if value is True else value
    assert str(refused.value).startswith(f"group.key={shown} ") and takes in str(refused.value)


def test_the_item_that_does_not_fit_is_named():
    with pytest.raises(UserError, match=r"^key\[1\]=x .* a number"):
        checked([0.9, "x"], tuple[float, float], "key")


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 2**53 + 1, -(10**30)])
@pytest.mark.parametrize("hint", [int, float, int | float | None, Any])
def test_numbers_that_are_not_finite_or_too_long_are_refused(hint, value):
    with pytest.raises(UserError, match=r"^key="):
        checked(value, hint, "key")


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
HINTS = [int, float, bool, str, int | None, list[int], tuple[float, float], dict, Literal["a", 1], Colour, Path, Any]


@cases(300)
@given(plain, st.sampled_from(HINTS))
def test_a_value_is_converted_or_refused_and_converting_twice_is_the_same(value, hint):
    try:
        once = checked(value, hint, "key")
    except UserError as error:
        assert str(error).startswith("key") and "\n" not in str(error)
        return
    if not isinstance(once, Enum):
        twice = checked(once, hint, "key")
        assert twice == once and type(twice) is type(once)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"root": "a", "batch_size": 1, "bach_size": 2}, r"^data.bach_size .* did you mean data.batch_size\?"),
        ({"root": "a"}, r"^data.batch_size has no value"),
        ({"root": "a", "batch_size": 1, "seed": 1}, r"^data.seed is not a key"),  # which the caller adds
    ],
)
def test_unknown_missing_and_given_arguments_are_refused(values, told):
    with pytest.raises(UserError, match=told):
        checked_arguments(Grandchild, values, given=["seed"], prefix="data.")


def test_defaults_are_filled_in():
    assert checked_arguments(Grandchild, {"root": "a", "batch_size": 1}) == {
        "root": Path("a"), "factor": 1.0, "sizes": None, "batch_size": 1, "seed": 3,
    }  # fmt: skip
    assert checked_arguments(Open, {"name": "y", "anything": [1]}) == {"name": "y", "anything": [1]}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("depth=0 is out of range: use one"), "model.depth=0 is out of range: use one."),
        (UserError("depth=0 is out of range: use one."), "model.depth=0 is out of range: use one."),
        (ValueError("the width must be even"), "model.width=3 is rejected by "),
        (TypeError("something\nelse"), "model.depth=0 with model.width=3 is rejected by "),
        (ValueError("no such size: 3"), "model.width=3 is rejected by "),
        (UserError("images of 3x3 do not fit."), "images of 3x3 do not fit."),
    ],
)
def test_what_a_constructor_refuses_names_its_key(error, told):
    sentence = str(refusal(error, Child, {"depth": 0, "width": 3}, "model."))
    assert sentence.startswith(told) and "\n" not in sentence and sentence.endswith(".")


def test_a_question_stays_one():
    told = "data.name=MNST is not a data set of torchvision: did you mean MNIST?"
    assert str(refusal(UserError(told), Child, {"name": "MNST"}, "data.")) == told


def test_names_import_what_they_name():
    assert name_of(PixelCNNPP) == "pixelcnn.network.PixelCNNPP"
    assert name_of(nn.Conv2d) == "torch.nn.Conv2d" and name_of(Child) == f"{__name__}.Child"


def test_a_part_is_a_class_with_all_its_arguments():
    part = Part.of(partial(LogisticMixture, num_mixtures=3), ["image"])
    arguments = {"num_mixtures": 3, "residual": "none", "spread": False}
    assert part == Part(LogisticMixture, arguments) and part.name == "logistic_mixture"
    assert Part.of(LogisticMixture, ["image"])["num_mixtures"] == 10  # the default, kept
    assert part.to_dict() == {"_target_": "pixelcnn.likelihood.LogisticMixture", **arguments}


@pytest.mark.parametrize("chosen", [3, "LogisticMixture", partial(LogisticMixture, 3), lambda image: None])
def test_what_is_not_a_class_with_keywords_is_not_a_part(chosen):
    with pytest.raises(UserError):
        Part.of(chosen, ["image"])


def test_a_part_holds_plain_values():
    with pytest.raises(UserError, match=r"^network.num_filters .*Tensor"):
        import torch

        Part.of(partial(PixelCNNPP, num_filters=torch.tensor(3)), ["image_channels", "num_parameters"], "network.")
