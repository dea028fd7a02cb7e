import copy
from functools import partial

import pytest
import torch
import torch.distributed as dist
from pytorch_lightning import Callback, Trainer
from torch.nn.parallel import DistributedDataParallel

from pixelcnn.conditioning import Unconditional
from pixelcnn.description import ModelDescription
from pixelcnn.likelihood import Categorical
from pixelcnn.model import build
from pixelcnn.network import PixelCNN
from pixelcnn.training.module import DensityEstimation
from tests.conftest import tiny_description
from tests.training.tiny import Noise, checkpoint_of, fit, read, tiny_module


class Steps(Callback):
    """Records the batches, the learning rates they were trained with, and the weights after each."""

    def __init__(self):
        self.batches, self.rates, self.weights = [], [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.batches.append(batch["images"])
        self.rates.append(trainer.callback_metrics["lr"].item())
        self.weights.append([parameter.detach().clone() for parameter in pl_module.parameters()])


def test_learning_rate_decays_from_the_first_step_on(tmp_path):
    steps = Steps()
    fit(tmp_path, steps, module=tiny_module(lr=0.01, lr_decay=0.9), max_steps=6)
    assert steps.rates == pytest.approx([0.01 * 0.9**k for k in (1, 2, 3, 4, 5, 6)], rel=1e-6)


def test_optimiser_is_adam_on_the_summed_loss(tmp_path):
    module = tiny_module(dropout=0.0, lr=0.01, lr_decay=0.9)
    model = copy.deepcopy(module.model)
    steps = Steps()
    fit(tmp_path, steps, module=module, max_steps=5)
    states = read(tmp_path)["optimizer_states"][0]["state"]

    weights = list(model.parameters())
    first = [torch.zeros_like(weight) for weight in weights]
    second = [torch.zeros_like(weight) for weight in weights]
    for t, images in enumerate(steps.batches, start=1):
        gradients = torch.autograd.grad(-model.log_prob(images).sum(), weights)
        for weight, gradient, m, v in zip(weights, gradients, first, second, strict=True):
            m.mul_(0.95).add_(gradient, alpha=1 - 0.95)
            v.mul_(0.9995).add_(gradient**2, alpha=1 - 0.9995)
            m_hat, v_hat = m / (1 - 0.95**t), v / (1 - 0.9995**t)
            weight.data -= 0.01 * 0.9**t * m_hat / (v_hat.sqrt() + 1e-8)
    for i, weight in enumerate(weights):
        torch.testing.assert_close(steps.weights[-1][i], weight.detach(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(states[i]["exp_avg"], first[i], rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(states[i]["exp_avg_sq"], second[i], rtol=1e-3, atol=1e-3)


def adam_moments(run_dir):
    return [state["exp_avg_sq"] for state in read(run_dir)["optimizer_states"][0]["state"].values()]


def test_accumulated_batches_are_one_larger_batch(tmp_path):
    fit(tmp_path / "whole", module=tiny_module(dropout=0.0), data=Noise(batch_size=8), max_steps=3)
    fit(
        tmp_path / "parts",
        module=tiny_module(dropout=0.0),
        data=Noise(batch_size=4),
        max_steps=3,
        accumulate_grad_batches=2,
    )
    for whole, parts in zip(adam_moments(tmp_path / "whole"), adam_moments(tmp_path / "parts"), strict=True):
        torch.testing.assert_close(parts, whole, rtol=1e-3, atol=1e-3)


def test_averaged_over_devices_gradients_are_those_of_the_summed_loss(tmp_path, monkeypatch):
    """So one of two devices has twice the gradient of its own half of the batch."""
    module, steps = tiny_module(dropout=0.0), Steps()
    model = copy.deepcopy(module.model)
    monkeypatch.setattr(Trainer, "world_size", 2)
    fit(tmp_path, steps, module=module, data=Noise(batch_size=8), max_steps=1)
    (images,) = steps.batches
    assert len(images) == 4
    gradients = torch.autograd.grad(-model.log_prob(images).sum(), list(model.parameters()))
    moments = [state["exp_avg"] for state in module.optimizers().state.values()]
    for moment, gradient in zip(moments, gradients, strict=True):
        torch.testing.assert_close(moment, (1 - 0.95) * 2 * gradient, rtol=1e-3, atol=1e-3)


def test_gradient_norm_is_that_before_clipping(tmp_path):
    module = tiny_module(dropout=0.0)
    model, steps = copy.deepcopy(module.model), Steps()
    trainer = fit(tmp_path, steps, module=module, max_steps=1, gradient_clip_val=1e-3)
    gradients = torch.autograd.grad(-model.log_prob(steps.batches[0]).sum(), list(model.parameters()))
    expected = torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
    assert trainer.callback_metrics["train/gradient_norm"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_clipping_bounds_what_adam_averages(tmp_path, precision):
    module = tiny_module(dropout=0.0)
    fit(tmp_path, module=module, max_steps=1, gradient_clip_val=1e-3, precision=precision)
    first_moments = torch.cat([state["exp_avg"].flatten() for state in module.optimizers().state.values()])
    assert first_moments.norm().item() == pytest.approx((1 - 0.95) * 1e-3, rel=1e-2)


def test_images_are_counted_over_interruptions_and_accumulated_batches(tmp_path):
    def images(name, **options):
        trainer = fit(tmp_path / name, data=Noise(batch_size=4), accumulate_grad_batches=2, **options)
        assert trainer.lightning_module.images_seen == trainer.callback_metrics["images"].item()
        return trainer.callback_metrics["images"].item()

    assert images("first", max_steps=3) == 24
    assert images("second", max_steps=7, checkpoint=checkpoint_of(tmp_path / "first")) == 56
    assert images("third", max_steps=7, checkpoint=checkpoint_of(tmp_path / "second")) == 56


def test_train_bits_per_dim_is_that_of_the_last_batch(tmp_path):
    steps = Steps()
    module = tiny_module(dropout=0.0)
    trainer = fit(tmp_path, steps, module=module, max_steps=2)
    model = copy.deepcopy(module.model)
    for parameter, weight in zip(model.parameters(), steps.weights[0], strict=True):
        parameter.data.copy_(weight)
    expected = model.bits_per_dim(steps.batches[1]).mean().item()
    assert trainer.callback_metrics["train/bits_per_dim"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("batch_size", [1, 4, 8])
def test_validation_counts_each_image_once(tmp_path, batch_size):
    module = tiny_module()
    data = Noise(batch_size=batch_size)
    trainer = fit(tmp_path, module=module, data=data, max_steps=0)
    images = torch.cat([batch["images"] for batch in data.val_dataloader()])
    assert len(images) == 7
    expected = module.model.eval().bits_per_dim(images).double().mean().item()
    assert trainer.callback_metrics["val/bits_per_dim"].item() == pytest.approx(expected, rel=1e-6)


def test_condition_is_taken_from_the_batch(tmp_path):
    module, data = tiny_module(conditional=True), Noise()
    trainer = fit(tmp_path, module=module, data=data, max_steps=0)
    batches = list(data.val_dataloader())
    images, labels = (torch.cat([batch[key] for batch in batches]) for key in ("images", "labels"))
    expected, other = (module.model.eval().bits_per_dim(images, c).double().mean().item() for c in (labels, 2 - labels))
    assert trainer.callback_metrics["val/bits_per_dim"].item() == pytest.approx(expected, rel=1e-6)
    assert abs(other - expected) > 1e-4


def test_dropout_follows_the_seed(tmp_path):
    runs = {}
    for name, seed in (("a", 0), ("again", 0), ("other", 1)):
        torch.manual_seed(len(name))
        fit(tmp_path / name, module=tiny_module(seed=seed), max_steps=2)
        runs[name] = torch.cat([weight.flatten() for weight in read(tmp_path / name)["current_model_state"].values()])
    assert torch.equal(runs["a"], runs["again"])
    assert not torch.equal(runs["a"], runs["other"])


def test_dropout_differs_between_devices(tmp_path, monkeypatch):
    runs = []
    for rank in (0, 1):
        monkeypatch.setattr(DensityEstimation, "global_rank", rank)
        fit(tmp_path / str(rank), module=tiny_module(), max_steps=1)
        weights = read(tmp_path / str(rank))["current_model_state"].values()
        runs.append(torch.cat([weight.flatten() for weight in weights]))
    assert not torch.equal(*runs)


def test_checkpoint_says_how_to_rebuild_the_model(tmp_path):
    module = tiny_module(dropout=0.3)
    fit(tmp_path, module=module, max_steps=1)
    checkpoint = read(tmp_path)
    ours = checkpoint["pixelcnn"]
    assert ours["format"] == 2
    assert ours["config"] == {"model": {"dropout": 0.3}}
    description = ModelDescription.from_dict(ours["description"])
    assert description == module.model.description
    weights = {name.removeprefix("model."): weight for name, weight in checkpoint["state_dict"].items()}
    build(description).load_state_dict(weights, strict=True)


class Products(Callback):
    """Records where GPUs may multiply float32 by TF32."""

    def __init__(self):
        self.seen = {}

    def look(self, place):
        flags = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
        self.seen.setdefault(place, set()).add(flags)

    def on_train_start(self, *args):
        self.look("measuring the peak")

    def on_before_zero_grad(self, *args):
        self.look("step")

    def on_validation_batch_end(self, *args):
        self.look("score")

    def on_validation_end(self, *args):
        self.look("samples")


def test_only_the_steps_of_training_multiply_by_tf32(tmp_path):
    products = Products()
    fit(tmp_path, products, max_epochs=2)
    products.look("afterwards")
    tf32, full = {(True, True)}, {(False, False)}
    assert products.seen == {
        "measuring the peak": tf32,
        "step": tf32,
        "score": full,
        "samples": full,
        "afterwards": full,
    }


def test_ranks_do_not_send_masks_to_each_other():
    masked = partial(PixelCNN, num_filters=3, num_blocks=1, first_kernel_size=3, kernel_size=3, num_output_features=3)
    image = tiny_description().image
    model = build(ModelDescription(image, masked, Categorical, Unconditional))
    module = DensityEstimation(model)
    assert list(module.buffers())
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        assert not DistributedDataParallel(module).will_sync_module_buffers()
    finally:
        dist.destroy_process_group()
