"""Keys are Lightning's arguments, and what Lightning refuses becomes a sentence."""

import re
from pathlib import Path
from typing import Any

import pytest
from lightning_fabric.accelerators.mps import MPSAccelerator
from omegaconf import DictConfig
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from pixelcnn.configuration.trainer import build_trainer, lightnings_refusals
from pixelcnn.errors import UserError
from pixelcnn.training.ema import ExponentialMovingAverage
from tests.configuration.trainer_options import trainer_options


def options(**values: Any) -> DictConfig:
    return trainer_options(**{"accelerator": "cpu", **values})


@pytest.mark.parametrize(
    ("key", "value", "takes"),
    [
        ("max_epochs", "many", "a whole number or null"),
        ("max_epochs", 1.5, "a whole number or null"),
        ("inference_mode", None, "true or false"),
        ("inference_mode", 1, "true or false"),
        ("limit_val_batches", "some", "number or null"),
        ("max_steps", None, "a whole number"),
        ("max_epochz", 3, "did you mean trainer.max_epochs?"),
    ],
)
def test_keys_have_the_types_of_lightnings_arguments(key, value, takes):
    with pytest.raises(UserError, match=f"trainer.{key}.*{re.escape(takes)}"):
        options(**{key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("log_every_n_steps", -1),
        ("check_val_every_n_epoch", 0),
        ("num_sanity_val_steps", -2),
        ("accumulate_grad_batches", 0),
        ("gradient_clip_val", -0.5),
        ("deterministic", "yes"),
        ("use_distributed_sampler", True),
    ],
)
def test_what_lightning_lets_pass_is_refused(key, value):
    with pytest.raises(UserError, match=f"trainer.{key}={value} "):
        options(**{key: value})


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("strategy", "deepspeed", "trainer.strategy=deepspeed"),
        ("strategy", "xla", "trainer.strategy=xla"),
        ("max_epochs", -5, "max_epochs"),
        ("max_time", "soon", "trainer.max_time=soon"),
        ("limit_val_batches", -1, "limit_val_batches"),
        ("val_check_interval", "often", "trainer.val_check_interval=often"),
        ("profiler", "foo", "profiler"),
        ("plugins", ["foo"], r"trainer.plugins\[0\]=foo"),
        ("num_nodes", 0, "num_nodes"),
        ("callbacks", [{"_target_": "no.such.Class"}], "trainer.callbacks=.*no.such.Class"),
        *(
            (
                "callbacks",
                [{"_target_": f"pytorch_lightning.callbacks.{name}", **arguments}],
                f"callbacks={name} .* use",
            )
            for name, arguments in (
                ("GradientAccumulationScheduler", {"scheduling": {0: 2}}),
                ("StochasticWeightAveraging", {"swa_lrs": 0.01}),
                ("BatchSizeFinder", {}),
                ("LearningRateFinder", {}),
            )
        ),
    ],
)
def test_what_lightning_refuses_is_told_in_a_line(tmp_path, key, value, named):
    with pytest.raises(UserError, match=named) as refusal:
        build_trainer(options(**{key: value}), [], [], tmp_path)
    assert "\n" not in str(refusal.value)


class Noted(Callback):
    """A callback of one's own."""


def test_the_trainer_is_built_as_asked(tmp_path):
    ours, theirs = Noted(), f"{__name__}.Noted"
    trainer = build_trainer(options(callbacks=[{"_target_": theirs}], max_steps=7), [], [ours], tmp_path)
    noted = [callback for callback in trainer.callbacks if isinstance(callback, Noted)]
    assert noted[0] is ours and len(noted) == 2
    assert trainer.max_steps == 7 and Path(trainer.default_root_dir) == tmp_path and trainer.loggers == []


def test_a_second_average_of_the_weights_is_refused(tmp_path):
    theirs = [{"_target_": "pytorch_lightning.callbacks.EMAWeightAveraging"}]
    with pytest.raises(UserError, match=r"callbacks=EMAWeightAveraging .*ema.decay"):
        build_trainer(options(callbacks=theirs), [], [ExponentialMovingAverage(0.9)], tmp_path)


def test_apples_gpus_are_not_chosen(tmp_path, monkeypatch):
    monkeypatch.setattr(MPSAccelerator, "is_available", staticmethod(lambda: True))
    trainer = build_trainer(options(accelerator="auto", devices="auto"), [], [], tmp_path)
    assert trainer.strategy.root_device.type != "mps"


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("builtins.list", r"^trainer.callbacks\[0\]=list is not a callback"),
        ("pytorch_lightning.callbacks.BatchSizeFinder", "BatchSizeFinder .*data.batch_size"),
        ("pytorch_lightning.callbacks.LearningRateFinder", "LearningRateFinder .*optim.lr"),
    ],
)
def test_what_is_no_callback_for_a_run_is_refused(tmp_path, target, told):
    with pytest.raises(UserError, match=told):
        build_trainer(options(callbacks=[{"_target_": target}]), [], [], tmp_path)


def test_barebones_is_refused():
    with pytest.raises(UserError, match=r"^trainer.barebones=True"):
        options(barebones=True)


def test_a_share_that_is_too_small_is_named_as_given():
    """Lightning speaks of other keys, which it has set to it."""
    told = "0.001 * 2 < 1. Please increase the `limit_val_batches` argument. Try `limit_val_batches=0.5`"
    with (
        pytest.raises(UserError, match=r"^trainer.overfit_batches=0.001 "),
        lightnings_refusals(options(overfit_batches=0.001), {}),
    ):
        raise MisconfigurationException(told)


def test_what_a_callback_refuses_in_a_run_is_told_in_a_line(tmp_path):
    """A bug, of whatever class, stays one."""
    early = {"_target_": "pytorch_lightning.callbacks.EarlyStopping", "monitor": "nope"}
    with (
        pytest.raises(UserError, match=r"^trainer.callbacks\[0\]=.*EarlyStopping .*nope"),
        lightnings_refusals(options(callbacks=[early]), {}),
    ):
        EarlyStopping("nope")._validate_condition_metric({"val": 1.0})
    for callbacks in ([], [early]):
        with pytest.raises(RuntimeError), lightnings_refusals(options(callbacks=callbacks), {}):
            raise RuntimeError("a bug")
    with pytest.raises(RuntimeError), lightnings_refusals(options(), {}):
        EarlyStopping("nope")._validate_condition_metric({"val": 1.0})
