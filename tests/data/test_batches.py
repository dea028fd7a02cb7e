import itertools
from functools import partial

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pixelcnn.data.batches import (
    SHARDS_AT_ONCE,
    FromPosition,
    IndexedBatches,
    TrainingOrder,
    batch_at,
    evaluation_order,
)

world_sizes = st.integers(1, 5)
shares = st.integers(1, 6)  # images of a batch on one device


def training(count, batch_size, rank=0, world_size=1, seed=7):
    return TrainingOrder(10 + 3 * np.arange(count), batch_size, seed, rank, world_size)


@given(st.integers(1, 60), shares, world_sizes)
def test_evaluation_has_every_image_once_and_in_order(count, share, world_size):
    places = 5 + 2 * np.arange(count)
    ranks = [evaluation_order(places, share * world_size, rank, world_size) for rank in range(world_size)]
    dealt = itertools.chain.from_iterable(itertools.zip_longest(*ranks, fillvalue=places[:0]))
    np.testing.assert_array_equal(np.concatenate(list(dealt)), places)


@given(st.integers(1, 60), shares, world_sizes)
def test_evaluation_batches_fit_and_are_as_many_on_every_device(count, share, world_size):
    ranks = [evaluation_order(np.arange(count), share * world_size, r, world_size) for r in range(world_size)]
    assert all(1 <= len(batch) <= share for rank in ranks for batch in rank)
    rounds = -(-count // (share * world_size))
    if count >= rounds * world_size:
        assert {len(rank) for rank in ranks} == {rounds}


@given(st.data(), shares, world_sizes)
def test_devices_share_the_batches_of_one_process(data, share, world_size):
    batch_size = share * world_size
    count = data.draw(st.integers(batch_size, 60))
    alone = training(count, batch_size)
    ranks = [training(count, batch_size, rank, world_size) for rank in range(world_size)]
    for number in data.draw(st.lists(st.integers(0, 50), min_size=1)):
        np.testing.assert_array_equal(np.concatenate([rank[number] for rank in ranks]), alone[number])
        assert {len(rank[number]) for rank in ranks} == {share}


@given(st.data(), st.integers(1, 12), st.integers(0, 3))
def test_an_epoch_has_no_image_twice_and_drops_less_than_a_batch(data, batch_size, epoch):
    count = data.draw(st.integers(batch_size, 60))
    order = training(count, batch_size)
    assert len(order) == count // batch_size
    batches = [order[epoch * len(order) + number] for number in range(len(order))]
    assert all(len(batch) == batch_size for batch in batches)
    seen = np.concatenate(batches)
    assert len(set(seen)) == len(seen) and set(seen) <= set(10 + 3 * np.arange(count))


@given(st.data(), st.integers(1, 7), st.integers(0, 3))
def test_shards_are_taken_a_few_at_a_time_and_whole(data, shard_size, epoch):
    count = data.draw(st.integers(1, 300))
    order = TrainingOrder(np.arange(count), 1, 7, shard_size=shard_size)
    places = np.concatenate([order[epoch * count + number] for number in range(count)])
    np.testing.assert_array_equal(np.sort(places), np.arange(count))
    begun_and_unfinished: dict[int, int] = {}
    for shard in (places // shard_size).tolist():
        left = begun_and_unfinished.pop(shard, min(shard_size, count - shard * shard_size)) - 1
        begun_and_unfinished |= {shard: left} if left else {}
        assert len(begun_and_unfinished) <= SHARDS_AT_ONCE


def test_shards_and_their_images_are_shuffled():
    order = TrainingOrder(np.arange(4000), 4000, 7, shard_size=10)
    first, second = order[0], order[1]
    assert first.tolist() != second.tolist()
    for window in (first[:160], first[160:320]):
        shards = window // 10
        assert len(set(shards)) == SHARDS_AT_ONCE
        assert np.abs(np.diff(np.unique(shards))).max() > 1  # from all over the set
        assert (np.diff(shards) != 0).sum() > 100  # mixed with each other


def test_order_depends_on_the_seed_and_the_epoch_alone():
    def epoch(number, seed=7):
        order = training(400, 4, seed=seed)
        return np.concatenate([order[100 * number + batch] for batch in range(100)])

    first = epoch(0)
    np.testing.assert_array_equal(first, epoch(0))
    for other in (epoch(1), epoch(0, seed=8), np.sort(first)):
        assert np.mean(first == other) < 0.1
        np.testing.assert_array_equal(np.sort(first), np.sort(other))


def test_the_position_is_asked_when_a_pass_begins():
    position = 2
    numbers = FromPosition(lambda: position, 4)
    assert len(numbers) == 4
    begun = iter(numbers)
    assert next(begun) == 2
    position = 9
    assert list(numbers) == list(numbers) == [9, 10, 11, 12]
    assert list(begun) == [3, 4, 5]


def test_every_column_is_indexed_alike_and_images_are_contiguous():
    stored = np.arange(5 * 2 * 3 * 3, dtype=np.uint8).reshape(5, 2, 3, 3)
    columns = {"images": stored.transpose(0, 3, 1, 2), "embeddings": np.arange(5, dtype=np.float32)[:, None] / 2}
    batches = IndexedBatches(partial(batch_at, columns=columns), [np.array([1]), np.array([3, 0, 3])])
    assert len(batches) == 2
    for batch in (batches[1], batch_at(np.array([3, 0, 3]), columns)):
        np.testing.assert_array_equal(batch["images"].permute(0, 2, 3, 1), stored[[3, 0, 3]])
        assert batch["images"].is_contiguous()
        assert batch["embeddings"].tolist() == [[1.5], [0.0], [1.5]]
        assert batch["index"].tolist() == [3, 0, 3]
