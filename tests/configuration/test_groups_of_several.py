"""Groups of several parts, such as ``logger``: what is typed past a part is refused with the key that was meant."""

import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from pixelcnn.cli import CONF, main
from pixelcnn.configuration.groups import checked_group, instantiated_parts
from pixelcnn.errors import UserError

QUIET = ("hydra/job_logging=none", "hydra/hydra_logging=none")


class NeedsMore:
    """A part of a package that is not installed."""

    def __init__(self) -> None:
        import no_such_package  # noqa: F401


@pytest.mark.parametrize(
    ("arguments", "key", "told"),
    [
        ("logger.name=x", "logger.name=x", "did you mean logger.wandb.name?"),
        ("logger=[none,csv] logger.name=x", "logger.name=x", "did you mean logger.csv.name?"),
        ("logger=none logger.name=x", "logger.name=x", "write logger=NAME"),
        ("logger=csv logger.wandb.tags=[a]", "logger.wandb=", "choose the option of logger that has it too"),
        ("callbacks=none callbacks.samples.num_samples=5", "callbacks.samples=", "or give callbacks.samples=null"),
        ("callbacks.num_images=3", "callbacks.num_images=3", "did you mean callbacks.ranked_images.num_images?"),
        ("trainer.callbacks.0._target_=x", "trainer.callbacks=", "it takes a list"),
    ],
)
def test_a_key_beside_the_parts_is_refused_with_the_one_that_was_meant(
    monkeypatch, tmp_path, capfd, arguments, key, told
):
    monkeypatch.setattr(sys, "argv", ["run.py", *arguments.split(), f"hydra.run.dir={tmp_path}/run", *QUIET])
    with pytest.raises(SystemExit) as exit_:
        main()
    sentence = exit_.value.code
    assert sentence.startswith(key) and told in sentence and "\n" not in sentence
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ("{_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: loss, mode: up}", "mode=up .*can be min, max"),
        ("{_target_: pytorch_lightning.callbacks.Timer, duration: soon}", "duration=soon .*not a valid duration"),
    ],
)
def test_what_lightnings_parts_refuse_names_the_key(values, told):
    """By an exception of Lightning's own."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", ["logger=none", f"+callbacks.mine={values}"])
    checked_group(config, "callbacks")
    with pytest.raises(UserError, match=rf"^callbacks.mine.{told}"):
        list(instantiated_parts(config, "callbacks", run_dir=Path(), resume_command=""))


def test_a_part_that_needs_what_is_not_installed_is_refused_by_its_name():
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", ["logger=none", f"logger.mine._target_={__name__}.NeedsMore"])
    checked_group(config, "logger")
    with pytest.raises(UserError, match=r"^logger.mine .*no_such_package"):
        list(instantiated_parts(config, "logger"))


def test_several_conditionings_have_a_key_each_and_one_has_none(tmp_path):
    """In an experiment too, and where an option of a user's own has defaults."""
    files = {
        "conditioning/mine.yaml": "defaults: [class, _self_]\nnum_classes: 5\n",
        "experiment/two.yaml": (
            "# @package _global_\ndefaults:\n  - override /conditioning: [mine, spatial]\n"
            "conditioning:\n  spatial:\n    num_features: 7\n"
        ),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    labels, maps = "pixelcnn.conditioning.ClassLabels", "pixelcnn.conditioning.Maps"
    mine, spatial = {"_target_": labels, "num_classes": 5}, {"_target_": maps, "num_features": 7}
    with initialize_config_dir(str(CONF), version_base="1.3"):

        def composed(*overrides):
            return compose("config", [*overrides, f"hydra.searchpath=[file://{tmp_path}]"]).conditioning

        assert composed("conditioning=mine") == composed("conditioning=[mine]") == mine
        assert composed("experiment=two") == {"mine": mine, "spatial": spatial}
        assert composed("experiment=two", "conditioning.mine.num_classes=3").mine.num_classes == 3
        assert list(composed("conditioning=[spatial,class]")) == ["spatial", "class"]
        with pytest.raises(UserError, match=r"conditioning=\[class,spatial,class\] has class twice"):
            composed("conditioning=[class,spatial,class]")
