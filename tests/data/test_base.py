import logging

import numpy as np
import pytest
import torch

from pixelcnn.data.base import ImageArrays
from pixelcnn.errors import UserError
from pixelcnn.image_shape import ImageShape


def indices(loader):
    return np.concatenate([batch["index"] for batch in loader])


def test_batches_hold_the_images_and_labels_of_their_index(numbered):
    data = numbered()
    data.setup("fit")
    data.setup("test")
    for loader, value in (
        (data.train_dataloader(), lambda i: i),
        (data.val_dataloader(), lambda i: i),
        (data.test_dataloader(), lambda i: 255 - i),
    ):
        for batch in loader:
            assert set(batch) == {"images", "labels", "index"}
            assert [batch[key].dtype for key in ("images", "labels", "index")] == [
                torch.uint8,
                torch.int64,
                torch.int64,
            ]
            assert batch["images"].shape[1:] == (1, 2, 3)
            assert torch.equal(batch["images"], value(batch["index"]).view(-1, 1, 1, 1).expand_as(batch["images"]))
            assert torch.equal(batch["labels"], batch["index"] % 4)


@pytest.mark.parametrize("batch_size", [1, 4, 7, 20])
def test_validation_and_test_hold_every_image_once(numbered, batch_size):
    data = numbered(batch_size=batch_size)
    validation = indices(data.val_dataloader())
    assert len(validation) == len(set(validation)) == 3
    assert indices(data.test_dataloader()).tolist() == list(range(9))
    training = indices(data.evaluation_dataloader("train"))
    assert sorted([*training, *validation]) == list(range(23))


def test_training_never_uses_held_out_images(numbered):
    data = numbered(batch_size=5)
    assert set(indices(data.train_dataloader())) == set(range(23)) - set(indices(data.val_dataloader()))


def test_held_out_images_are_chosen_by_the_seed(numbered):
    chosen = {seed: set(indices(numbered(seed=seed, val_size=8).val_dataloader())) for seed in (0, 1)}
    assert chosen[0] == set(indices(numbered(seed=0, val_size=8, batch_size=2).val_dataloader()))
    assert chosen[0] != chosen[1]
    assert chosen[0] != set(range(8))


def test_no_held_out_images_means_the_test_set_and_says_so(numbered, caplog):
    data = numbered(val_size=0)
    with caplog.at_level(logging.WARNING):
        loader = data.val_dataloader()
    assert "data.val_size=0" in caplog.text and "test set" in caplog.text
    assert data.val_is_test
    assert next(iter(loader))["images"][0, 0, 0, 0] == 255
    assert indices(loader).tolist() == list(range(9))
    assert sorted(indices(data.evaluation_dataloader("train"))) == list(range(23))


def test_held_out_images_give_no_warning(numbered, caplog):
    data = numbered()
    data.val_dataloader()
    assert not data.val_is_test
    assert caplog.text == ""


def test_initialisation_batch_depends_on_the_seed_alone(numbered):
    data = numbered()
    batch = data.initialisation_batch(6)
    again = numbered(batch_size=8).initialisation_batch(6)
    assert all(torch.equal(batch[key], again[key]) for key in ("images", "labels", "index"))
    other = [numbered(seed=seed, val_size=0).initialisation_batch(6)["index"].tolist() for seed in (5, 6)]
    assert other[0] != other[1]
    assert len(set(batch["index"].tolist())) == 6
    assert not set(batch["index"].tolist()) & set(indices(data.val_dataloader()))
    assert torch.equal(batch["images"][:, 0, 0, 0], batch["index"])


def test_facts_about_the_data(numbered):
    data = numbered()
    data.setup("fit")
    assert data.shape == ImageShape(channels=1, height=2, width=3, levels=256)
    assert data.num_classes == 4
    assert data.batches_per_epoch == len(data.train_dataloader()) == 5


def test_a_stage_loads_only_what_it_needs_and_only_once(numbered):
    data = numbered()
    calls = []
    load = data.load
    data.load = lambda split: calls.append(split) or load(split)
    data.setup("test")
    assert calls == ["test"]
    for _ in range(2):
        data.setup("fit")
        data.train_dataloader()
        data.val_dataloader()
    assert calls == ["test", "train"]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_loading_leaves_the_global_random_state_alone(numbered, num_workers):
    data = numbered(num_workers=num_workers)
    before = torch.get_rng_state()
    indices(data.train_dataloader())
    indices(data.val_dataloader())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"batch_size": 0}, "data.batch_size=0 is out of range: use a whole number, 1 or more."),
        ({"batch_size": 2.5}, "data.batch_size=2.5 is"),
        ({"batch_size": "many"}, "data.batch_size=many is"),
        ({"batch_size": 21}, "data.batch_size=21 is out of range: data.val_size=3 leaves 20 "),
        ({"val_size": -1}, "data.val_size=-1 is"),
        (
            {"val_size": 23},
            "data.val_size=23 is out of range: hold out fewer than the 23 training images, such as data.val_size=2.",
        ),
        ({"num_workers": -1}, "data.num_workers=-1 is"),
        ({"num_workers": 1_000_000}, "data.num_workers=1000000 is out of range: use at most "),
        ({"seed": -1}, "data.seed=-1 is"),
    ],
)
def test_sizes_out_of_range_are_named(numbered, sizes, message):
    with pytest.raises(UserError) as caught:
        numbered(**sizes).setup("fit")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("size", [0, 21])
def test_initialisation_needs_as_many_training_images(numbered, size):
    with pytest.raises(UserError, match=f"^initialisation.size={size} .* 1 to 20"):
        numbered().initialisation_batch(size)


def test_splits_that_differ_are_refused(numbered):
    data = numbered(val_size=0)
    sizes = {"train": (4, 1, 2, 3), "test": (4, 3, 2, 3)}
    data.load = lambda split: ImageArrays(np.zeros(sizes[split], np.uint8))
    with pytest.raises(UserError, match=r"test .*2x3 with 3 .*2x3 with 1 "):
        data.setup("fit")


def with_features(numbered, **widths):
    """Its splits ("train", "test") with so many features of ``embeddings`` and ``maps``, None for none."""
    data = numbered(val_size=0)
    images = {"train": np.zeros((5, 1, 2, 3), np.uint8), "test": np.ones((4, 1, 2, 3), np.uint8)}

    def load(split):
        features = {name: of[split] for name, of in widths.items() if of[split]}
        shapes = {"embeddings": (len(images[split]),), "maps": (len(images[split]), 2, 3)}
        columns = {name: np.zeros((shapes[name][0], d, *shapes[name][1:]), np.float32) for name, d in features.items()}
        return ImageArrays(images[split], **columns)

    data.load = load
    return data


def test_sizes_of_conditions_are_those_that_all_splits_have(numbered):
    data = with_features(numbered, embeddings={"train": 3, "test": 3}, maps={"train": 2, "test": None})
    data.arrays("train")
    assert data.condition_sizes == {"embeddings": 3, "maps": 2}
    data.arrays("test")
    assert data.condition_sizes == {"embeddings": 3}
    labelled = numbered()
    labelled.setup("fit")
    assert labelled.condition_sizes == {"labels": 4}


@pytest.mark.parametrize("name", ["embeddings", "maps"])
def test_splits_whose_conditions_differ_are_refused(numbered, name):
    data = with_features(numbered, **{name: {"train": 3, "test": 4}})
    with pytest.raises(UserError, match=rf"test .*`{name}` .*4 .*3"):
        data.setup("fit")


def test_the_first_images_of_a_part(numbered):
    data = numbered()
    validation = indices(data.val_dataloader())
    batch = data.first("val", 2)
    assert batch["index"].tolist() == validation[:2].tolist() and set(batch) == {"images", "labels", "index"}
    assert data.first("test", 100)["index"].tolist() == list(range(9))


@pytest.mark.parametrize(
    "columns",
    [
        {"images": np.zeros((2, 1, 4, 4), np.float32)},
        {"images": np.zeros((2, 4, 4), np.uint8)},
        {"images": np.zeros((0, 1, 4, 4), np.uint8)},
        {"images": np.zeros((2, 1, 4, 4), np.uint8), "labels": np.zeros(3, np.int64)},
        {"images": np.zeros((2, 1, 4, 4), np.uint8), "labels": np.zeros(2, np.int32)},
        {"images": np.zeros((2, 1, 4, 4), np.uint8), "embeddings": np.zeros((2, 3))},
    ],
)
def test_arrays_of_the_wrong_kind_are_a_bug(columns):
    with pytest.raises(AssertionError):
        ImageArrays(**columns)
