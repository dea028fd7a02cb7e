"""Flips and mutations: drawn for each image and epoch, of training images alone."""

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from pixelcnn.data.base import ImageArrays, ImageDataModule
from pixelcnn.data.batches import AUGMENTATION
from pixelcnn.errors import OutOfRangeError

SEED, EPOCHS = 5, 3


class Coloured(ImageDataModule):
    """60 + 10 random images of 3x4 pixels, with maps."""

    def __init__(self, **options) -> None:
        super().__init__(**{"batch_size": 6, "val_size": 12, "num_workers": 0, "seed": SEED, **options})

    def load(self, split: str) -> ImageArrays:
        draw = np.random.default_rng(split == "test")
        count = 60 if split == "train" else 10
        images = draw.integers(0, 256, (count, 3, 3, 4), dtype=np.uint8)
        return ImageArrays(images, maps=draw.normal(size=(count, 2, 3, 4)).astype(np.float32))


def trained_on(data, epochs=EPOCHS):
    """What a run is trained on: (epoch, batch) of every step."""
    loader = data.train_dataloader()
    order = loader.dataset
    return [(epoch, order[epoch * len(order) + number]) for epoch in range(epochs) for number in range(len(order))]


def is_flipped(epoch, place):
    return np.random.default_rng((SEED, AUGMENTATION, epoch, place)).random() < 0.5


def test_each_image_is_flipped_as_its_draw_says_and_its_map_with_it():
    data = Coloured(flip=True)
    stored = data.arrays("train")
    counts = np.zeros(2, int)
    for epoch, batch in trained_on(data):
        for place, image, features in zip(batch["index"].tolist(), batch["images"], batch["maps"], strict=True):
            flipped = is_flipped(epoch, place)
            counts[int(flipped)] += 1
            for found, original in ((image, stored.images[place]), (features, stored.maps[place])):
                whole = torch.from_numpy(original)
                assert torch.equal(found, torch.flip(whole, [-1]) if flipped else whole)
    assert counts.sum() == 48 * EPOCHS and counts.min() > 48  # of 144; 4.9 standard deviations from a half


def test_draws_differ_between_epochs():
    draws = np.array([[is_flipped(epoch, place) for place in range(60)] for epoch in range(EPOCHS)])
    assert all((draws[a] != draws[b]).any() for a, b in ((0, 1), (1, 2), (0, 2)))


@pytest.mark.parametrize("p", [0.02, 0.3, 1.0])
def test_a_share_of_the_sub_pixels_is_replaced_by_uniform_levels(p):
    data = Coloured(mutate=p)
    stored = data.arrays("train").images
    batches = [batch for _, batch in trained_on(data, 20)]
    found = np.concatenate([batch["images"] for batch in batches])
    original = np.concatenate([stored[batch["index"]] for batch in batches])
    changed = found != original
    share, n = p * 255 / 256, changed.size  # one level of 256 is the one that was there
    assert abs(changed.sum() - n * share) <= 4 * np.sqrt(n * share * (1 - share)) + 1e-9
    bins = np.bincount(found[changed] // 32, minlength=8)
    assert np.abs(bins / bins.sum() - 1 / 8).max() < 5 * np.sqrt(1 / 8 / bins.sum())


def test_mutations_do_not_change_flips_and_stay_within_the_levels():
    both, flips = (
        [batch for _, batch in trained_on(Coloured(flip=True, levels=8, **more))] for more in ({"mutate": 0.2}, {})
    )
    for mutated, flipped in zip(both, flips, strict=True):
        assert mutated["images"].max() <= 7 and torch.equal(mutated["maps"], flipped["maps"])
        assert 0.6 < (mutated["images"] == flipped["images"]).float().mean() < 0.95


@pytest.mark.parametrize("options", [{"flip": True, "mutate": 0.5}, {}])
def test_other_images_are_never_changed(options):
    data, plain = Coloured(**options), Coloured()
    for part in ("train", "val", "test"):
        for found, expected in zip(data.evaluation_dataloader(part), plain.evaluation_dataloader(part), strict=True):
            assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert torch.equal(data.initialisation_batch(9)["images"], plain.initialisation_batch(9)["images"])


def test_the_batch_size_and_the_device_do_not_matter():
    def by_image(batch_size):
        return {
            (epoch, place): image
            for epoch, batch in trained_on(Coloured(flip=True, mutate=0.2, batch_size=batch_size))
            for place, image in zip(batch["index"].tolist(), batch["images"], strict=True)
        }

    few, many = by_image(4), by_image(12)
    assert few.keys() == many.keys() and all(torch.equal(few[key], many[key]) for key in few)


class Recorder(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.trained = []

    def training_step(self, batch, _):
        self.trained.append({name: column.clone() for name, column in batch.items()})
        return self.weight * batch["images"].float().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


class SaveAfter(Callback):
    def __init__(self, batches, path):
        self.batches, self.path = batches, path

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.batches:
            trainer.save_checkpoint(self.path)


def fit(workers, resumed_from=None, callbacks=()):
    module = Recorder()
    plain = {name: False for name in ("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing")}
    trainer = Trainer(
        accelerator="cpu", max_epochs=3, use_distributed_sampler=False, callbacks=list(callbacks), **plain
    )
    data = Coloured(flip=True, mutate=0.1, num_workers=workers)
    trainer.fit(module, datamodule=data, ckpt_path=resumed_from, weights_only=True)
    return module.trained


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_resumed_in_mid_epoch_has_the_same_draws(tmp_path, workers):
    saved = 11  # of 8 batches an epoch
    whole = fit(0, callbacks=[SaveAfter(saved, tmp_path / "saved.ckpt")])
    rest = fit(workers, tmp_path / "saved.ckpt")
    assert len(rest) == len(whole) - saved
    for found, expected in zip(rest, whole[saved:], strict=True):
        assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("p", [-0.1, 1.5])
def test_a_probability_is_one(p):
    with pytest.raises(OutOfRangeError, match=f"^data.mutate={p} .*0 to 1"):
        Coloured(mutate=p)
