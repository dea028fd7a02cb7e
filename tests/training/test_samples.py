from dataclasses import replace
from functools import partial

import pytest
import torch

from pixelcnn import pictures
from pixelcnn.checkpoint import load
from pixelcnn.conditioning import Encoder, Vectors
from pixelcnn.errors import UserError
from pixelcnn.model import build
from pixelcnn.training.samples import SampleGrid, conditions_of_samples
from tests.training.tiny import LEVELS, Noise, StopAt, checkpoint_of, fit, picture_in, tiny_module


@pytest.mark.parametrize(
    ("every", "options", "steps"),
    [
        (1, {"max_steps": 10}, [4, 8, 10]),
        (2, {"max_steps": 10}, [8, 10]),
        (2, {"max_epochs": 2}, [8]),
        (0, {"max_steps": 10}, [10]),
        (1, {"max_steps": 0}, [0]),
        (0, {"max_steps": 0}, [0]),
    ],
)
def test_drawn_at_epochs_and_at_the_end(tmp_path, monkeypatch, every, options, steps):
    drawn = []
    monkeypatch.setattr(pictures, "save", lambda picture, path: drawn.append(path))
    fit(tmp_path, SampleGrid(tmp_path, every, num_samples=2), **options)
    assert drawn == [tmp_path / "samples" / f"step={step:06d}.png" for step in steps]


@pytest.mark.parametrize("every", [0, 1])
def test_grid_is_drawn_with_the_averaged_weights(tmp_path, every):
    fit(tmp_path, SampleGrid(tmp_path, every, num_samples=5), StopAt(6), module=tiny_module(seed=3), max_epochs=3)
    model = load(checkpoint_of(tmp_path))
    expected = pictures.grid(model.sample(5, seed=3), LEVELS)
    assert torch.equal(picture_in(tmp_path / "samples" / "step=000006.png"), expected)


def test_condition_of_the_samples(tmp_path):
    labels = torch.tensor([0, 1, 2, 0])
    fit(tmp_path, SampleGrid(tmp_path, 0, num_samples=4), module=tiny_module(conditional=True), max_steps=2)
    expected = pictures.grid(load(checkpoint_of(tmp_path)).sample(4, labels), LEVELS)
    assert torch.equal(picture_in(tmp_path / "samples" / "step=000002.png"), expected)


def test_conditions_are_made_up_or_those_of_validation_images():
    data = Noise()
    labels = conditions_of_samples(tiny_module(conditional=True).model, data, 4)
    assert labels.tolist() == [0, 1, 2, 0]
    assert conditions_of_samples(tiny_module().model, data, 4) is None
    plain = tiny_module().model.description
    auto_encoder = build(replace(plain, conditioning=partial(Encoder, code_size=2, num_filters=2)))
    validation = data.first("val", 7)["images"]
    images = conditions_of_samples(auto_encoder, data, 9)
    assert torch.equal(images, torch.cat([validation, validation[:2]]))
    with pytest.raises(UserError, match=r"conditioning=vector .*embeddings"):
        conditions_of_samples(build(replace(plain, conditioning=partial(Vectors, num_features=2))), data, 4)


def test_sampling_does_not_change_training(tmp_path):
    fit(tmp_path / "with", SampleGrid(tmp_path / "with", 1, num_samples=2), max_steps=6)
    fit(tmp_path / "without", max_steps=6)
    one, other = (torch.load(checkpoint_of(tmp_path / name), weights_only=True) for name in ("with", "without"))
    torch.testing.assert_close(one["current_model_state"], other["current_model_state"], rtol=0, atol=0)
