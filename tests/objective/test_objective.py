"""What is minimised has its own name; its noise is fixed in validation and resumable in training."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch

from pixelcnn.likelihood import Categorical, Implicit, LogisticMixture
from pixelcnn.model import build
from pixelcnn.objective import EnergyDistance, MaximumLikelihood
from pixelcnn.objective.energy_distance import energy_distance
from pixelcnn.optim import Adam, exponential
from pixelcnn.scores import IN_WORDS, in_words
from pixelcnn.training.module import DensityEstimation
from tests.conftest import random_images, tiny_description
from tests.training.test_resume import assert_same_checkpoint
from tests.training.tiny import LEVELS, Noise, Validations, checkpoint_of, fit, read


def module_of(likelihood, objective, seed: int = 0) -> DensityEstimation:
    torch.manual_seed(0)
    tiny = tiny_description(channels=1, height=4, width=4, levels=LEVELS, num_filters=3, num_stages=2)
    model = build(replace(tiny, likelihood=likelihood))
    optimizer, scheduler = partial(Adam, lr=0.01, betas=(0.95, 0.9995)), partial(exponential, decay=0.9)
    return DensityEstimation(model, optimizer, scheduler, objective, seed)


def implicit(seed: int = 0) -> DensityEstimation:
    return module_of(partial(Implicit, num_features=6, num_noise=4), EnergyDistance(num_samples=3), seed)


@pytest.mark.parametrize(
    ("likelihood", "name"),
    [(partial(Categorical), "bits_per_dim"), (partial(LogisticMixture, num_mixtures=2), "bits_upper_bound")],
)
def test_a_bound_is_never_called_bits_per_dim(tmp_path, likelihood, name):
    module = module_of(likelihood, MaximumLikelihood())
    trainer = fit(tmp_path, module=module, max_steps=2)
    scores = {key for key in trainer.callback_metrics if "bits" in key}
    of_images = {"val/bits_per_image"} if name == "bits_per_dim" else set()
    assert scores == {f"train/{name}", f"val/{name}"} | of_images
    assert trainer.checkpoint_callbacks[0].monitor == f"val/{name}"


def test_the_energy_distance_of_held_out_images(tmp_path):
    """Mean over the images, by sub-pixel, in a few batches or in one, twice the same."""
    values = {}
    for batch_size in (2, 8):
        trainer = fit(tmp_path / str(batch_size), module=implicit(), data=Noise(batch_size=batch_size), max_steps=0)
        values[batch_size] = trainer.callback_metrics["val/energy_distance"].item()
    assert {key for key in trainer.callback_metrics if key.startswith("val/")} == {"val/energy_distance"}
    assert values[2] == pytest.approx(values[8], rel=1e-6)
    other = fit(tmp_path / "other", module=implicit(seed=1), max_steps=0)
    assert other.callback_metrics["val/energy_distance"].item() != pytest.approx(values[8], rel=1e-3)
    module, images = implicit(), torch.cat([batch["images"] for batch in Noise().val_dataloader()])
    with torch.no_grad():
        samples = module.model.likelihood.samples(
            module.model.eval().pixel_parameters(images), torch.rand(400, len(images), 4, 4, 4)
        )
        x = module.model.likelihood.scale(images.float())
        expected = energy_distance(x, samples).mean().item() / 16
    assert values[8] == pytest.approx(expected, rel=0.2)


def test_the_energy_distance_is_minimised(tmp_path):
    validations = Validations("val/energy_distance")
    # The images are noise, of which there is little to learn: with other seeds it is soon learnt by heart instead.
    fit(tmp_path, validations, module=implicit(seed=2), max_epochs=8)
    assert validations.values[-1] < 0.99 * validations.values[0]


def test_a_resumed_run_draws_the_same_noise(tmp_path):
    fit(tmp_path / "whole", module=implicit(), max_steps=7)
    fit(tmp_path / "first", module=implicit(), max_steps=3)
    fit(tmp_path / "second", module=implicit(), checkpoint=checkpoint_of(tmp_path / "first"), max_steps=7)
    assert_same_checkpoint(read(tmp_path / "second"), read(tmp_path / "whole"))


def test_training_draws_anew_for_each_batch_and_seed():
    module, batch = implicit(), {"images": random_images(implicit().model, 4), "index": torch.arange(4)}
    model, objective = module.model.eval(), module.objective
    assert not torch.equal(objective.losses(model, batch, None), objective.losses(model, batch, None))
    assert torch.equal(objective.losses(model, batch, 5), objective.losses(model, batch, 5))
    # The noise of an image comes with it.
    turned = {key: value.flip(0) for key, value in batch.items()}
    torch.testing.assert_close(objective.losses(model, turned, 5).flip(0), objective.losses(model, batch, 5))


def test_losses_by_channel_are_the_parts_of_the_losses():
    colour = build(tiny_description()).eval()
    for model, objective, names in (
        (colour, MaximumLikelihood(), ["bits_per_dim_red", "bits_per_dim_green", "bits_per_dim_blue"]),
        (module_of(partial(Categorical), MaximumLikelihood()).model.eval(), MaximumLikelihood(), []),
        (implicit().model.eval(), EnergyDistance(num_samples=3), []),
    ):
        batch = {"images": random_images(model, 3), "index": torch.arange(3)}
        parts = objective.losses_by_channel(model, batch, 5)
        assert parts.shape == (3, len(names) or 1) and objective.channel_scores(model) == names
        torch.testing.assert_close(parts.sum(dim=1), objective.losses(model, batch, 5))


def test_objectives_are_built_from_their_options():
    objective = EnergyDistance(num_samples=4)
    assert objective.num_samples == 4 and objective.unit == 1
    assert MaximumLikelihood().unit == math.log(2)


def test_every_score_is_told_for_what_it_is():
    assert in_words("bits_per_dim", "3.14") == "3.14 bits/dim"
    for name in IN_WORDS:
        told = in_words(name, "3.14")
        assert "3.14" in told and ("at most" in told) == ("bound" in name) and ("code" in told) == ("code" in name)
