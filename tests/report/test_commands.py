"""Commands are what a shell and then Hydra understand."""

import shlex
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from pixelcnn.report import commands

PLACES = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


OWN = {
    **{group: {"_target_": f"pixelcnn.{group}.Part"} for group in ("model", "likelihood", "conditioning")},
    "trainer": {"precision": "32-true"},
}
HALF = {**OWN, "trainer": {"precision": "bf16-mixed"}}


def understood(command: str) -> dict:
    """The values of the keys, as Hydra parses them."""
    python, script, *overrides = shlex.split(command)
    assert (python, script) == ("python", "run.py")
    parsed = OverridesParser.create().parse_overrides(overrides)
    return {override.key_or_group: override.value() for override in parsed}


@given(PLACES)
def test_any_path_is_quoted(name):
    told = understood(commands.sampled(Path("/runs") / name / "best.ckpt", needs_condition=False, config=OWN))
    assert str(told["checkpoint"]) == str(Path("/runs") / name / "best.ckpt")


@pytest.mark.parametrize("name", ["it's", "a\\'b", "end\\", '"', "a\\\\'b\\\\", "a b", "a=b,c", "[x]", "<&>", "ü"])
def test_these_as_well(name):
    assert str(understood(commands.resumed([], Path(name)))["hydra.run.dir"]) == name


def test_what_is_kept_of_a_training_run():
    typed = ["experiment=digits", "+data.x='a b'", "optim.lr=1", "trainer.max_steps=3", "checkpoint=old.ckpt", "seed=4"]
    resumed = understood(commands.resumed([*typed, "init_from=b.ckpt", "+sweep=optuna"], Path("run")))
    kept = ["experiment", "data.x", "optim.lr", "trainer.max_steps", "seed"]
    assert list(resumed) == [*kept, "hydra.run.dir", "checkpoint"]
    assert resumed["checkpoint"] == "last"
    evaluated = understood(commands.evaluated(typed, Path("best.ckpt"), OWN))
    assert list(evaluated) == ["task", "experiment", "data.x", "seed", "checkpoint"]
    assert understood(commands.evaluated(typed, Path("best.ckpt"), HALF))["trainer.precision"] == "32-true"
    assert shlex.split(commands.again(typed))[2:] == typed


def test_parts_from_outside_are_trusted():
    config = {**OWN, "model": {"_target_": "mypaper.nets.Network"}, "conditioning": {"_target_": "mypaper.Classes"}}
    for told in (commands.sampled(Path("a.ckpt"), False, config), commands.evaluated([], Path("a.ckpt"), config)):
        assert understood(told)["trust"] == ["mypaper"]
    assert "trust" not in understood(commands.sampled(Path("a.ckpt"), False, OWN))


@pytest.mark.parametrize(
    ("started", "told"),
    [
        (["run.py"], ["python", "run.py"]),
        (["/venv/bin/pixelcnn", "--config-dir", "conf"], ["pixelcnn", "--config-dir", "conf"]),
        (["/site/pixelcnn/__main__.py", "-cd=conf"], ["python", "-m", "pixelcnn", "--config-dir", "conf"]),
    ],
)
def test_it_is_started_as_this_process_was(monkeypatch, started, told):
    monkeypatch.setattr(sys, "argv", [*started, "seed=3"])
    assert shlex.split(commands.again(["seed=4"])) == [*told, "seed=4"]
