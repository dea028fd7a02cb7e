"""Keys are Lightning's arguments, and what Lightning refuses becomes a sentence."""

import re
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning
from lightning_fabric.accelerators.mps import MPSAccelerator
from omegaconf import DictConfig
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from pixelcnn.configuration.trainer import NOT_STORED, build_trainer, lightnings_refusals
from pixelcnn.errors import UserError
from pixelcnn.training.ema import ExponentialMovingAverage
from tests.configuration.trainer_options import trainer_options
from tests.training.tiny import fit


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
        ("strategy", "deepspeed", "^trainer.strategy=deepspeed is rejected"),
        ("strategy", "xla", "trainer.strategy=xla"),
        ("max_epochs", -5, "max_epochs"),
        ("max_time", "soon", "trainer.max_time=soon"),
        ("limit_val_batches", -1, "limit_val_batches"),
        ("val_check_interval", "often", "trainer.val_check_interval=often"),
        ("profiler", "foo", "profiler"),
        ("plugins", ["foo"], r"trainer.plugins\[0\]=foo"),
        ("plugins", [{"_target_": "builtins.dict"}], r"trainer.plugins=.* is rejected by .*invalid type for plugin"),
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
                ("ModelPruning", {"pruning_fn": "l1_unstructured"}),
            )
        ),
    ],
)
def test_what_lightning_refuses_is_told_in_a_line(tmp_path, key, value, named):
    with pytest.raises(UserError, match=named) as refusal:
        build_trainer(options(**{key: value}), [], [], tmp_path)
    assert "\n" not in str(refusal.value) and "trainer.devices" not in str(refusal.value)


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
    with pytest.warns(UserWarning, match="GPU available but not used"):
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


# Of Lightning's callbacks: abstract ones, those that leave training as it is, and those that store what they do to it.
HARMLESS = {
    *("Callback", "Checkpoint", "ProgressBar", "BasePredictionWriter"),
    *("DeviceStatsMonitor", "LambdaCallback", "LearningRateMonitor", "ModelCheckpoint", "ModelSummary"),
    *("OnExceptionCheckpoint", "RichModelSummary", "RichProgressBar", "TQDMProgressBar", "ThroughputMonitor"),
    *("EarlyStopping", "Timer", "SpikeDetection"),  # SpikeDetection ends a run
    *("BaseFinetuning", "BackboneFinetuning"),  # need a network that has a backbone, which no module here has
    *("WeightAveraging", "EMAWeightAveraging"),  # refused beside that of every run
}


def test_each_of_lightnings_callbacks_was_looked_at():
    """A later Lightning may have others that change training without storing it."""
    assert sorted([*HARMLESS, *NOT_STORED]) == sorted(pytorch_lightning.callbacks.__all__)


@pytest.mark.parametrize(
    ("target", "arguments", "told"),
    [
        ("BackboneFinetuning", {}, "has no attribute 'backbone'"),  # raised in torch's code
        ("LearningRateMonitor", {}, "has no logger"),
        ("ModelCheckpoint", {"monitor": "nope"}, "could not find the monitored key"),
        ("EarlyStopping", {"monitor": "nope"}, "which is not available"),
    ],
)
def test_what_lightnings_callbacks_raise_in_a_run_names_them(tmp_path, target, arguments, told):
    callback = getattr(pytorch_lightning.callbacks, target)(**arguments)
    named = {"mine": {"_target_": f"pytorch_lightning.callbacks.{target}"}}
    with (
        pytest.raises(UserError, match=rf"^callbacks.mine=.*{target} is rejected by Lightning .*{told}"),
        lightnings_refusals(options(), named),
    ):
        fit(tmp_path, callback, max_steps=4)


class Buggy(EarlyStopping):
    """A user's callback whose own code fails."""

    def on_validation_end(self, trainer, pl_module):
        raise ValueError("a bug")


def test_what_a_users_own_callback_raises_keeps_its_traceback(tmp_path):
    with (
        pytest.raises(ValueError, match="a bug"),
        lightnings_refusals(options(), {"mine": {"_target_": f"{__name__}.Buggy"}}),
    ):
        fit(tmp_path, Buggy("val/bits_per_dim"), max_steps=4)


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
