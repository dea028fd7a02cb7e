import itertools

import pytest
import torch
from pytorch_lightning import Callback

from pixelcnn.training.ema import ExponentialMovingAverage, averaged_weights
from tests.training.tiny import Noise, fit, read, tiny_module


class Weights(Callback):
    """Records the raw weights after each optimiser step."""

    def __init__(self):
        self.after = []

    def on_train_batch_end(self, trainer, pl_module, *args):
        self.after.append(state(pl_module))


def state(module):
    return {name: weight.clone() for name, weight in module.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("warmup", [False, True])
def test_average_moves_from_the_initial_weights(tmp_path, warmup):
    module, weights = tiny_module(), Weights()
    average = {name: weight.double() for name, weight in state(module).items()}
    fit(tmp_path, weights, module=module, ema=ExponentialMovingAverage(0.25, warmup), max_steps=6)
    for t, raw in enumerate(weights.after):
        # (1 + t) / (10 + t) passes 0.25 between the third and the fourth update
        d = min(0.25, (1 + t) / (10 + t)) if warmup else 0.25
        average = {name: d * average[name] + (1 - d) * raw[name] for name in average}
    for name, weight in read(tmp_path)["state_dict"].items():
        torch.testing.assert_close(weight.double(), average[name], rtol=1e-5, atol=1e-6)


def test_decay_with_warm_up():
    average = ExponentialMovingAverage(0.9995, warmup=True)
    decays = [average.decay_after(t) for t in (0, 1, 90, 10**6)]
    assert decays == pytest.approx([1 / 10, 2 / 11, 91 / 100, 0.9995])


def test_accumulated_batches_are_one_update(tmp_path):
    module = tiny_module()
    trainer = fit(tmp_path, module=module, accumulate_grad_batches=2, max_steps=4)
    assert trainer.global_step == 4
    assert read(tmp_path)["averaging_state"]["n_averaged"] == 1 + 4


def test_raw_weights_stay_raw(tmp_path):
    module, weights = tiny_module(), Weights()
    trainer = fit(tmp_path, weights, module=module, max_steps=6)
    trainer.save_checkpoint(tmp_path / "checkpoints" / "later.ckpt")
    for name in ("last", "later"):
        checkpoint = read(tmp_path, name)
        assert same(checkpoint["current_model_state"], weights.after[-1]), name
        assert not same(checkpoint["state_dict"], weights.after[-1]), name
    assert same(state(module), weights.after[-1])


def test_checkpoint_saved_during_validation_is_the_same(tmp_path):
    class SavesInValidation(Callback):
        def on_validation_batch_end(self, trainer, *args):
            if trainer.global_step == 6:
                trainer.save_checkpoint(tmp_path / "checkpoints" / "during.ckpt")

    fit(tmp_path, SavesInValidation(), max_steps=6)
    last, during = read(tmp_path), read(tmp_path, "during")
    for key in ("state_dict", "current_model_state"):
        assert same(last[key], during[key]), key
    assert not same(last["state_dict"], last["current_model_state"])


def test_validation_uses_the_average(tmp_path):
    module, data = tiny_module(), Noise()
    trainer = fit(tmp_path, module=module, data=data, max_steps=6)
    module.eval()
    images = torch.cat([batch["images"] for batch in data.val_dataloader()])

    def bits_per_dim():
        return module.model.bits_per_dim(images).double().mean().item()

    raw = bits_per_dim()
    with averaged_weights(trainer):
        averaged = bits_per_dim()
        with averaged_weights(trainer):
            assert bits_per_dim() == averaged
    assert bits_per_dim() == raw
    assert trainer.callback_metrics["val/bits_per_dim"].item() == pytest.approx(averaged, rel=1e-6)
    assert abs(averaged - raw) > 1e-4


def test_average_starts_at_weights_that_setup_makes(tmp_path):
    module, weights = tiny_module(), Weights()

    def setup(stage):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.mul_(1.5)

    module.setup = setup
    initial = {name: 1.5 * weight for name, weight in state(module).items()}
    fit(tmp_path, weights, module=module, ema=ExponentialMovingAverage(0.5, warmup=False), max_steps=1)
    for name, weight in read(tmp_path)["state_dict"].items():
        torch.testing.assert_close(weight, (initial[name] + weights.after[0][name]) / 2)


def test_without_an_average_the_weights_are_the_raw_ones(tmp_path):
    from pytorch_lightning import Trainer

    module = tiny_module()
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        max_steps=1,
        default_root_dir=tmp_path,
    )
    trainer.fit(module, Noise())
    before = state(module)
    with averaged_weights(trainer):
        assert same(state(module), before)


def test_average_costs_few_operations(tmp_path):
    """One call for all weights of a kind, not one for each."""
    calls = itertools.count()

    class Counted(ExponentialMovingAverage):
        def _update(self, average, weights, copies_seen):
            next(calls)
            super()._update(average, weights, copies_seen)

    fit(tmp_path, ema=Counted(0.9, warmup=False), max_steps=3)
    assert next(calls) == 3


@pytest.mark.parametrize(("horizon", "decay"), [(5.0, 0.8), (0.5, 1 - 1 / 6), (0.01, 0.0)])
def test_a_horizon_is_in_steps_or_a_share_of_the_run(tmp_path, horizon, decay):
    average = ExponentialMovingAverage(horizon=horizon)
    fit(tmp_path, ema=average, max_epochs=3)  # of four steps
    assert average.decay == pytest.approx(decay)
