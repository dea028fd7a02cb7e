"""`data.binarize`: coins by the seed, the split, the image's place and, dynamic in training, the epoch alone."""

import numpy as np
import pytest
import torch

from pixelcnn.data.base import ImageArrays, ImageDataModule

N, LEVELS = 60, 17
GREY = np.random.default_rng(0).integers(0, LEVELS, (N, 1, 6, 6)).astype(np.uint8)


class Grey(ImageDataModule):
    def load(self, split):
        return ImageArrays(GREY, LEVELS)


def grey(kind, **options):
    data = Grey(**{"batch_size": 10, "val_size": 20, "num_workers": 0, "seed": 0, **options}, binarize=kind)
    data.setup("fit")
    return data


def epochs(data, count=2):
    """The training images of some epochs, by their places."""
    batches = iter(data.train_dataloader().dataset[number] for number in range(count * data.batches_per_epoch))
    drawn = [{} for _ in range(count)]
    for number, batch in enumerate(batches):
        drawn[number // data.batches_per_epoch] |= dict(zip(batch["index"].tolist(), batch["images"], strict=True))
    return drawn


@pytest.mark.parametrize("kind", ["threshold", "fixed", "dynamic"])
def test_images_have_two_levels_whatever_they_had(kind):
    data = grey(kind)
    assert data.shape.levels == 2
    for batch in (data.first("val", 20), data.initialisation_batch(20), next(iter(data.test_dataloader()))):
        assert batch["images"].dtype == torch.uint8 and batch["images"].unique().tolist() == [0, 1]
        certain = torch.from_numpy(GREY[batch["index"]])
        assert batch["images"][certain == 0].sum() == 0 and batch["images"][certain == LEVELS - 1].all()


def test_the_threshold_is_at_half():
    images = grey("threshold").first("test", N)["images"]
    np.testing.assert_array_equal(images, GREY > (LEVELS - 1) / 2)


@pytest.mark.parametrize("kind", ["fixed", "dynamic"])
def test_a_value_is_the_probability_of_its_coin(kind):
    values = GREY / (LEVELS - 1)
    coins = grey(kind, val_size=0, batch_size=N).first("test", N)["images"].numpy()
    for level in range(LEVELS):
        drawn = coins[level == GREY]
        p = level / (LEVELS - 1)
        assert abs(drawn.mean() - p) <= 4 * np.sqrt(p * (1 - p) / len(drawn)) + 1e-12
    assert abs(coins.mean() - values.mean()) < 0.03


def test_fixed_draws_once_and_dynamic_in_each_epoch():
    for kind, same in (("threshold", True), ("fixed", True), ("dynamic", False)):
        first, second = epochs(grey(kind))
        shared = first.keys() & second.keys()
        assert len(shared) == 40
        assert all(torch.equal(first[place], second[place]) for place in shared) == same
        assert all(torch.equal(a, b) for a, b in zip(epochs(grey(kind))[1].values(), second.values(), strict=True))


def test_evaluation_is_fixed_for_every_seed_and_of_its_own_split():
    data = grey("dynamic")
    place = data.first("val", 5)["index"].numpy()
    for kind in ("fixed", "dynamic"):
        assert torch.equal(grey(kind).at("val", place)["images"], data.at("val", place)["images"])
    assert not torch.equal(data.at("test", place)["images"], data.at("val", place)["images"])
    assert torch.equal(grey("dynamic", seed=1).at("val", place)["images"], data.at("val", place)["images"])
    order = np.array([3, 0])
    assert torch.equal(data.at("test", order)["images"], data.at("test", order[::-1].copy())["images"].flip(0))


def test_flips_and_workers_leave_the_coins_as_they_are():
    plain, flipped = (epochs(grey("dynamic", flip=flip))[0] for flip in (False, True))
    assert all(
        torch.equal(flipped[place], image) or torch.equal(flipped[place], image.flip(-1))
        for place, image in plain.items()
    )
    one, other = (next(iter(grey("dynamic", num_workers=k).train_dataloader()))["images"] for k in (0, 1))
    assert torch.equal(one, other)
