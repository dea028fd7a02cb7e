"""What a checkpoint has to hold for a run to be resumed from it: each part of the state, forged in one way."""

import math

import pytest
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint, Timer

import pixelcnn.checkpoint
from pixelcnn.errors import UserError
from pixelcnn.training.callback_states import require_states
from pixelcnn.training.checkpoints import DurableCheckpointIO, checkpoint_callbacks, has_training_state
from pixelcnn.training.ema import ExponentialMovingAverage
from pixelcnn.training.restorable import require_restorable
from tests.training.forging import replaced
from tests.training.tiny import checkpoint_of, fit, tiny_module

CALLBACKS = [ExponentialMovingAverage, type(checkpoint_callbacks(".", "val/bits_per_dim")[0])]
BEST = checkpoint_callbacks(".", "val/bits_per_dim")[0].state_key
STATE = ("optimizer_states", 0, "state")
GROUP = ("optimizer_states", 0, "param_groups", 0)
LOOPS = ("loops", "fit_loop")
BATCHES = (*LOOPS, "epoch_loop.batch_progress")


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """Of a checkpoint after six steps, in the middle of an epoch."""
    run_dir = tmp_path_factory.mktemp("run")
    fit(run_dir, max_steps=6)
    return pixelcnn.checkpoint.read(checkpoint_of(run_dir))


def without(key):
    return lambda holder: {name: value for name, value in holder.items() if name != key}


def value(given):
    return lambda _: given


def test_a_real_one_can_be_resumed(content):
    assert has_training_state(content)
    require_restorable(content, tiny_module(), "checkpoint=a.ckpt", CALLBACKS)


@pytest.mark.parametrize(
    ("path", "change", "told"),
    [
        ((*STATE, 0, "exp_avg"), lambda moment: torch.zeros(1), "state.0.exp_avg is torch.float32 of .1,."),
        ((*STATE, 3, "exp_avg_sq"), lambda moment: torch.zeros(10**6), "state.3.exp_avg_sq is"),
        ((*STATE, 3, "exp_avg_sq"), lambda moment: moment.double(), "state.3.exp_avg_sq is torch.float64"),
        ((*STATE, 3, "exp_avg_sq"), lambda moment: moment / 0, "state.3.exp_avg_sq is out of range"),
        ((*STATE, 3, "exp_avg_sq"), value(None), "state.3.exp_avg_sq is None"),
        ((*STATE, 3, "step"), value(torch.tensor(10.0**9)), "state.3.step is out of range"),
        ((*STATE, 3, "step"), value(torch.tensor(-1.0)), "state.3.step is out of range"),
        ((*STATE, 3), without("exp_avg"), "state.3 lacks exp_avg"),
        ((*STATE, 3), lambda state: {**state, "exp_avg": state["exp_avg_sq"]}, "shares memory"),
        ((*STATE,), without(5), "state lacks 5"),
        ((*STATE,), value({}), "state lacks 0"),
        ((*STATE,), lambda state: {**state, 10**6: state[0]}, "state has 1000000"),
        ((*GROUP,), without("lr"), "param_groups lacks lr"),
        ((*GROUP,), without("betas"), "param_groups lacks betas"),
        ((*GROUP, "lr"), value(0.5), "is not the schedule's"),
        ((*GROUP, "eps"), value(math.nan), "param_groups.eps=nan"),
        ((*GROUP, "fused"), value(None), "param_groups.fused=None"),
        ((*GROUP, "maximize"), value(True), "param_groups.maximize=True"),
        ((*GROUP, "params"), lambda params: params[1:], "param_groups.params has"),
        ((*GROUP, "params"), lambda params: params[::-1], "param_groups.params=a list"),
        (GROUP[:3], value([]), "param_groups has 0 entries, not 1"),
        (("lr_schedulers", 0, "last_epoch"), value(7), "last_epoch=7 after 6 steps"),
        (("lr_schedulers", 0, "base_lrs"), value([1.0]), "base_lrs=.1.0., not .0.01."),
        (("lr_schedulers", 0, "lr_lambdas"), value(["text"]), "lr_lambdas.0=text"),
        (("lr_schedulers", 0), lambda state: {**state, "optimizer": 1}, "has optimizer"),
        (("lr_schedulers", 0), without("_last_lr"), "lacks _last_lr"),
        (("current_model_state",), lambda weights: dict(list(weights.items())[1:]), "current_model_state lacks"),
        (("current_model_state",), lambda weights: {**weights, "more": torch.ones(1)}, "current_model_state has more"),
        (("state_dict",), lambda weights: {**weights, "more": torch.ones(1)}, "state_dict has more"),
        (("averaging_state",), without("n_averaged"), "averaging_state lacks n_averaged"),
        (("averaging_state", "n_averaged"), value(torch.tensor(0)), "n_averaged=0 after 6 steps"),
        (("averaging_state", "n_averaged"), value(torch.tensor(2.0)), "n_averaged is torch.float32"),
        (("global_step",), value(5), "after 5 steps"),
        (("skipped_steps",), value(7), "skipped_steps=7 of global_step=6"),
        (("skipped_steps",), value(0.5), "skipped_steps=0.5 is of the wrong type"),
        ((), lambda content: {**content, "wandb_run_id": "../id"}, "wandb_run_id=../id"),
        (("pytorch-lightning_version",), value("text"), "pytorch-lightning_version=text is not a version"),
        (("pytorch-lightning_version",), value("1.4"), "pytorch-lightning_version=1.4 is older"),
        (BATCHES, without("current"), "batch_progress lacks current"),
        ((*BATCHES, "total"), without("started"), "total lacks started"),
        ((*BATCHES, "total", "processed"), value(10**9), "does not count events in turn"),
        ((*BATCHES, "total", "completed"), value(-1), "completed=2 of -1"),
        ((*BATCHES, "current"), value(dict.fromkeys(("ready", "started", "processed", "completed"), 9)), "9 of 6"),
        ((*BATCHES, "is_last_batch"), value(0), "is_last_batch=0"),
        (LOOPS, without("epoch_progress"), "fit_loop lacks epoch_progress"),
        (("callbacks",), value({}), "callbacks lacks ExponentialMovingAverage"),
        (("callbacks",), without(BEST), "callbacks lacks ValidatedCheckpoint{'monitor': 'val/bits_per_dim'"),
        (("callbacks", "ExponentialMovingAverage"), value({}), "lacks latest_update_step"),
        (
            ("callbacks", "ExponentialMovingAverage", "latest_update_step"),
            value(10**9),
            "latest_update_step=1000000000",
        ),
        (("callbacks", BEST, "best_model_score"), value(torch.ones(3)), "best_model_score is a tensor of .3,."),
    ],
)
def test_a_state_that_is_not_the_runs_is_refused(content, path, change, told):
    forged = replaced(content, path, change)
    with pytest.raises(UserError, match=f"^checkpoint=a.ckpt .*{told}"):
        assert has_training_state(forged)
        require_restorable(forged, tiny_module(), "checkpoint=a.ckpt", CALLBACKS)


def test_parameters_that_no_step_has_moved_need_no_state(content):
    """Nothing was stepped, or the loss does not depend on them: the average is still the weight itself."""
    forged = replaced(content, STATE, without(5))
    name = [name for name, _ in tiny_module().named_parameters()][5]
    unmoved = replaced(forged, ("state_dict", name), value(content["current_model_state"][name]))
    require_restorable(unmoved, tiny_module(), "checkpoint=a.ckpt", CALLBACKS)
    never_averaged = replaced(content, ("averaging_state", "n_averaged"), value(torch.tensor(1)))
    all_skipped = {**replaced(never_averaged, STATE, value({})), "skipped_steps": 6}
    require_restorable(all_skipped, tiny_module(), "checkpoint=a.ckpt", CALLBACKS)


def test_lightning_reads_through_the_same_door(content, tmp_path):
    torch.save({**content, "extra": {1, 2}}, tmp_path / "forged.ckpt")
    with pytest.raises(UserError, match=r"extra .*set"):
        DurableCheckpointIO().load_checkpoint(tmp_path / "forged.ckpt")


def others(folder):
    best = ModelCheckpoint(folder, monitor="val/bits_per_dim")
    return [EarlyStopping("val/bits_per_dim"), Timer("00:01:00:00"), best]


def test_what_other_callbacks_keep_is_of_their_kind(tmp_path):
    fit(tmp_path, *others(tmp_path / "others"), max_steps=6)
    states = pixelcnn.checkpoint.read(checkpoint_of(tmp_path))["callbacks"]
    fresh = others(tmp_path / "others")
    require_states(states, fresh, "checkpoint=a.ckpt")
    stopping, timer, best = (callback.state_key for callback in fresh)
    for path, change in (
        ((stopping,), without("wait_count")),
        ((stopping,), lambda state: {**state, "more": 1}),
        ((stopping, "wait_count"), value("text")),
        ((stopping, "best_score"), value(3.0)),
        ((timer, "time_elapsed"), value([])),
        ((best, "best_k_models"), value("text")),
    ):
        with pytest.raises(UserError, match=r"^checkpoint=a.ckpt .*state"):
            require_states(replaced(states, path, change), fresh, "checkpoint=a.ckpt")
