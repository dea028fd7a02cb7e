"""Each validation image has one score, however the ranks share the images, and the extreme ones come with pixels."""

import multiprocessing
import os
import socket
from pathlib import Path

import numpy as np
import pytest
import torch

from pixelcnn.checkpoint import load
from pixelcnn.training.validation_images import ScoredImages, Validation, ValidationImages
from tests.objective.test_objective import implicit
from tests.training.tiny import Noise, checkpoint_of, fit, tiny_module


def assert_holds_the_validation_images(validation: Validation, run_dir: Path, data: Noise) -> None:
    """The held-out images once each, in order, with what the run's averaged weights score them."""
    batch = data.first("val", 100)
    scores = load(checkpoint_of(run_dir)).bits_per_dim(batch["images"]).detach().double().numpy()
    every = validation.all
    assert every.index.tolist() == batch["index"].tolist() and len(every.index) == 7
    assert every.labels is not None and every.labels.tolist() == batch["labels"].tolist()
    np.testing.assert_allclose(every.scores, scores, rtol=1e-6)
    order = scores.argsort()
    for extreme, images, places in (
        (validation.best, validation.best_images, order[:3]),
        (validation.worst, validation.worst_images, order[::-1][:3]),
    ):
        assert extreme.index.tolist() == every.index[places].tolist()
        assert extreme.scores.tolist() == every.scores[places].tolist()
        assert torch.equal(images, batch["images"][places.copy()])


@pytest.mark.parametrize("batch_size", [1, 4, 8])
def test_every_image_is_scored_once(tmp_path, batch_size):
    images, data = ValidationImages(3), Noise(batch_size=batch_size)
    trainer = fit(tmp_path, images, data=data, max_steps=3)
    assert images.last is not None and images.last.step == 3
    assert_holds_the_validation_images(images.last, tmp_path, data)
    assert images.last.all.scores.mean() == pytest.approx(
        trainer.callback_metrics["val/bits_per_dim"].item(), rel=1e-12
    )


def rank_of_two(rank: int, port: int, run_dir: Path) -> None:
    place = {"LOCAL_RANK": rank, "NODE_RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()})
    images, data = ValidationImages(3), Noise(batch_size=4)  # four images on one rank and three on the other
    fit(run_dir, images, data=data, max_steps=2, devices=2, strategy="ddp")
    if rank == 0:
        assert images.last is not None
        assert_holds_the_validation_images(images.last, run_dir, data)
    else:
        assert images.last is None


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without torch.distributed")
def test_two_ranks_hold_every_image_once(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    ranks = [fork.Process(target=rank_of_two, args=(rank, port, tmp_path)) for rank in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(timeout=300)
    assert [process.exitcode for process in ranks] == [0, 0]


def test_only_whole_validations_count(tmp_path):
    """The trainer's check of a few batches before training is none, and the last one replaces those before it."""
    images = ValidationImages(3)
    steps = []
    images.on_train_start = lambda *args: steps.append(images.last)
    fit(tmp_path, images, data=Noise(batch_size=4), max_epochs=2, num_sanity_val_steps=1)
    assert steps == [None] and images.last is not None
    assert images.last.step == 16 and len(images.last.all.index) == 7


def test_scores_without_a_density(tmp_path):
    images = ValidationImages(20)
    trainer = fit(tmp_path, images, module=implicit(), max_steps=1)
    assert images.last is not None
    expected = trainer.callback_metrics["val/energy_distance"].item()
    assert images.last.all.scores.mean() == pytest.approx(expected, rel=1e-12)
    assert len(images.last.best.index) == len(images.last.worst_images) == 7  # all that there are


def test_a_score_that_is_not_a_number_is_the_worst(tmp_path):
    images, module = ValidationImages(1), tiny_module()
    whole = module.objective

    class BrokenForOne:
        unit = whole.unit
        score_name = whole.score_name
        losses = whole.losses

        def losses_by_channel(self, model, batch, noise_seed):
            losses = whole.losses_by_channel(model, batch, noise_seed)
            return losses.masked_fill((batch["index"] == broken)[:, None], float("nan"))

    data = Noise()
    broken = int(data.first("val", 7)["index"][4])
    module.objective = BrokenForOne()
    fit(tmp_path, images, module=module, data=data, max_steps=0)
    assert images.last is not None and images.last.worst.index.tolist() == [broken]


def test_images_without_labels():
    images = ScoredImages(np.arange(3), None, np.array([3.0, 1.0, 2.0]))
    two = images.at(np.array([2, 0]))
    assert two.index.tolist() == [2, 0] and two.labels is None and two.scores.tolist() == [2.0, 3.0]
