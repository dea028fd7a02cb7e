"""Command lines drawn by Hypothesis: a valid one comes to the model that was meant, another is rejected by its key.

Composed as ``run.py`` does, in this process, without running.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, reduce
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from pixelcnn.cli import CONF, job
from pixelcnn.configuration.checks import check
from pixelcnn.configuration.description import ROLES, describe
from pixelcnn.configuration.groups import instantiated, register
from pixelcnn.description import Parts
from pixelcnn.image_shape import ImageShape
from pixelcnn.launch.refusal import refusals, require_options
from pixelcnn.model import build
from pixelcnn.part import Part
from tests.drawn import CONDITIONINGS, MODELS, cases, descriptions
from tests.tasks.composing import keys_of

DIGITS = ImageShape(1, 8, 8, 17)
PRECISIONS = [32, 16, None, "32-true", "bf16", "bf16-mixed", "16-mixed"]
SETTINGS = {
    "seed": st.integers(0, 2**32 - 1),
    "data.batch_size": st.integers(1, 1000),
    "data.val_size": st.integers(0, 1000),
    "optim.lr": st.floats(1e-8, 10),
    "optim.betas": st.lists(st.floats(0, 0.999), min_size=2, max_size=2),
    "scheduler.decay": st.floats(0.5, 1),
    "optim.epsilon_inside_root": st.booleans(),
    "ema.decay": st.floats(0, 0.9999),
    "ema.warmup": st.booleans(),
    "initialisation.enabled": st.booleans(),
    "initialisation.size": st.integers(1, 1000),
    "callbacks.samples.num_samples": st.integers(1, 100),
    "callbacks.interruption.every_n_minutes": st.floats(0, 1e6),
    "callbacks.skip_limit.most": st.integers(0, 100),
    "trainer.precision": st.sampled_from(PRECISIONS),
    "trainer.max_epochs": st.integers(-1, 1000),
    "trainer.gradient_clip_val": st.none() | st.floats(0, 100),
    "trainer.limit_val_batches": st.integers(1, 100) | st.floats(0.1, 1),
    "model.compile": st.booleans(),
    "model.channels_last": st.booleans(),
}


@pytest.fixture(scope="module")
def hydra() -> Iterator[None]:
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def drawn(n: int) -> settings:
    """Settings for n cases. Composing takes a tenth of a second: a case that fails is shown as it was drawn."""
    return settings(cases(n), phases=[Phase.explicit, Phase.generate])


def composed(*arguments: str) -> DictConfig:
    """The configuration, checked; SystemExit with the sentence that ``run.py`` would end in."""
    with refusals(job):
        require_options(arguments, CONF)
        config = compose("config", list(arguments))
        check(config, arguments)
        instantiated(config, "data")
    return config


def typed(value: Any) -> str:
    """``value`` as a command line has it."""
    if isinstance(value, list):
        return f"[{','.join(map(typed, value))}]"
    return "null" if value is None else str(value)


def overrides_of(group: str, part: Part | Parts) -> list[str]:
    """What chooses ``part``."""
    if isinstance(part, Parts):
        keys = [key for name, one in part.parts.items() for key in overrides_of(f"{group}.{name}", one)[1:]]
        return [f"{group}={part.name}", *keys]
    return [f"{group}={part.name}", *(f"{group}.{key}={typed(value)}" for key, value in part.arguments.items())]


# For the digits, which have labels and neither embeddings nor maps.
of_digits = descriptions(
    channels_of=st.just(DIGITS.channels),
    levels_of=st.just(DIGITS.levels),
    conditioned=st.one_of(
        *(CONDITIONINGS[name] for name in ("none", "class", "encoder")),
        st.fixed_dictionaries({name: CONDITIONINGS[name] for name in ("encoder", "class")}),
    ),
).map(lambda description: replace(description, image=DIGITS))


@drawn(25)
@given(of_digits, st.fixed_dictionaries({}, optional=SETTINGS), st.data())
def test_a_valid_command_line_comes_to_what_was_meant(hydra, description, values, data):
    objective = "max_likelihood" if description.likelihood.target.has_density else "energy_distance"
    arguments = ["data=digits", f"objective={objective}"]
    for group, role in ROLES.items():
        arguments += overrides_of(group, getattr(description, role))
    arguments += [f"{key}={typed(value)}" for key, value in values.items()]
    config = composed(*data.draw(st.permutations(arguments)))
    sizes = [part.arguments["num_classes"] for part in description.parts.values() if "num_classes" in part.arguments]
    labels = {"labels": sizes[0] if sizes else 10}
    assert describe(config, DIGITS, labels) == description
    build(description)
    for key, value in values.items():
        assert OmegaConf.select(config, key) == value


def refused(arguments: list[str], key: str) -> None:
    """``arguments`` end in one sentence that names ``key``."""
    with pytest.raises(SystemExit) as exit_:
        composed(*arguments)
    sentence = exit_.value.code
    assert isinstance(sentence, str) and key in sentence
    assert "\n" not in sentence and sentence[-1] in ".?"


# Options of every kind: the keys that there are depend on each, not on what they are combined with.
assert set(MODELS) == {"pixelcnn_pp", "gated_pixelcnn", "pixelcnn", "pixelsnail"}
groups = st.sampled_from(
    [
        ("model=pixelcnn_pp", "likelihood=discretized_logistic_mixture", "conditioning=none"),
        ("model=gated_pixelcnn", "likelihood=categorical", "conditioning=class"),
        ("model=pixelcnn", "likelihood=logistic_mixture", "conditioning=encoder"),
        ("model=pixelsnail", "likelihood=residual_logistic_mixture", "conditioning=[class,encoder]"),
    ]
).map(lambda chosen: ["data=digits", *chosen])


@cache
def values_of(*chosen: str) -> dict[str, Any]:
    """Every key of the configuration and its value, a dictionary for a group."""
    config = compose("config", list(chosen))
    plain = OmegaConf.to_container(config, resolve=True)
    return {key: reduce(dict.__getitem__, key.split("."), plain) for key in keys_of(config)}  # type: ignore[arg-type]


def slips(word: str) -> st.SearchStrategy[str]:
    """``word`` with a letter left out, typed twice or exchanged with the next."""
    places = st.sampled_from([at for at, letter in enumerate(word) if letter != "."])
    return st.one_of(
        places.map(lambda at: word[:at] + word[at + 1 :]),
        places.map(lambda at: word[:at] + word[at] + word[at:]),
        places.map(lambda at: word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :]),
    )


@drawn(40)
@given(groups, st.sampled_from(["", "", "+", "++"]), st.sampled_from(["1", "null", "abc", "[1,2]"]), st.data())
def test_a_misspelt_key_is_refused(hydra, chosen, prefix, value, data):
    known = values_of(*chosen)
    key = data.draw(st.sampled_from(sorted(known)).flatmap(slips))
    assume(key not in known and all(key.split(".")))
    # Of otpim.betas what does not exist is otpim.
    parts = key.split(".")
    absent = next(part for n in range(len(parts)) if (part := ".".join(parts[: n + 1])) not in known)
    refused([*chosen, f"{prefix}{key}={value}"], absent)


WRONG_TYPES = {
    bool: ["abc", "2.5", "[true]"],
    int: ["abc", "1.5", "[1,[2]]", "{a: 1}"],
    float: ["abc", "[1]", "{a: 1}"],
}


@drawn(35)
@given(groups, st.data())
def test_a_value_of_the_wrong_type_is_refused(hydra, chosen, data):
    typed_values = {
        key: value for key, value in values_of(*chosen).items() if type(value) in WRONG_TYPES and "._" not in key
    }
    key = data.draw(st.sampled_from(sorted(typed_values)))
    wrong = data.draw(st.sampled_from(WRONG_TYPES[type(typed_values[key])]))
    refused([*chosen, f"{key}={wrong}"], key)


OURS = (
    "seed",
    "data",
    "model",
    "likelihood",
    "conditioning",
    "optim",
    "scheduler",
    "ema",
    "initialisation",
    "callbacks",
)


@drawn(35)
@given(groups, st.integers(-(2**40), -1) | st.floats(max_value=-1e-9, allow_infinity=False), st.data())
def test_a_negative_number_is_refused(hydra, chosen, negative, data):
    numbers = {
        key
        for key, value in values_of(*chosen).items()
        if type(value) in (int, float) and key.partition(".")[0] in OURS
    }
    key = data.draw(st.sampled_from(sorted(numbers)))
    refused([*chosen, f"{key}={negative}"], key)
