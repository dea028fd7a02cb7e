"""A step that is not finite leaves no trace but its count."""

import math

import pytest
import torch

from pixelcnn.training.nonfinite import gradient_norm, with_bad_gradient_if_not_finite
from tests.faults import InfiniteLoss, NoGradient
from tests.training.test_resume import assert_same_checkpoint
from tests.training.tiny import Noise, checkpoint_of, fit, read

STATE = ("current_model_state", "state_dict", "averaging_state", "optimizer_states", "lr_schedulers")


@pytest.mark.parametrize("fault", [InfiniteLoss, NoGradient])
@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 2}, {"gradient_clip_val": 1.0}])
def test_nothing_moves(tmp_path, fault, options):
    steps_before = 4 // options.get("accumulate_grad_batches", 1)
    data = Noise(batch_size=4)  # eight batches an epoch
    fit(tmp_path / "before", data=data, max_steps=steps_before, **options)
    trainer = fit(tmp_path / "after", fault(batch=4), data=data, max_steps=steps_before + 1, **options)
    before, after = read(tmp_path / "before"), read(tmp_path / "after")
    for key in STATE:
        torch.testing.assert_close(after[key], before[key], rtol=0, atol=0, msg=lambda text, key=key: f"{key}: {text}")
    assert (before["skipped_steps"], after["skipped_steps"]) == (0, 1)
    assert trainer.callback_metrics["train/skipped_steps"] == 1


def test_training_goes_on_and_can_be_resumed(tmp_path):
    fit(tmp_path / "whole", InfiniteLoss(batch=1), max_steps=4)
    fit(tmp_path / "first", InfiniteLoss(batch=1), max_steps=2)
    fit(tmp_path / "second", checkpoint=checkpoint_of(tmp_path / "first"), max_steps=4)
    whole, resumed = read(tmp_path / "whole"), read(tmp_path / "second")
    assert_same_checkpoint(resumed, whole)
    assert resumed["skipped_steps"] == 1
    adam = whole["optimizer_states"][0]["state"]
    assert {int(state["step"]) for state in adam.values()} == {3} and whole["lr_schedulers"][0]["last_epoch"] == 3


def test_a_finite_loss_keeps_its_gradient():
    x = torch.tensor(3.0, requires_grad=True)
    loss = with_bad_gradient_if_not_finite(x * x)
    loss.backward()
    assert loss == 9 and x.grad == 6


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_a_bad_loss_has_no_gradient(bad):
    x = torch.tensor(3.0, requires_grad=True)
    with_bad_gradient_if_not_finite(x + bad).backward()
    assert x.grad.isnan()


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan, 1e20])
def test_one_bad_element_is_found(bad):
    good = [torch.ones(3), torch.ones(2, 2)]
    assert gradient_norm(good).isfinite()
    for place in range(2):
        gradients = [tensor.clone() for tensor in good]
        gradients[place].view(-1)[-1] = bad
        assert not gradient_norm(gradients).isfinite()
