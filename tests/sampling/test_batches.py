"""What a sampler keeps between calls is only what does not change: its images are those of a new one."""

import copy
import pickle
import threading
from dataclasses import replace
from functools import partial

import pytest
import torch

from bench.gpu.recording import recorded
from pixelcnn.likelihood import Implicit
from pixelcnn.sampling.batches import BatchedSampling
from pixelcnn.sampling.incremental import IncrementalWalk
from tests.conftest import random_images, randomised, tiny_description, tiny_model
from tests.drawn import model_of
from tests.networks import CONDITIONS, SITES, tiny_condition, tiny_network


@pytest.mark.parametrize("kind", CONDITIONS)
@pytest.mark.parametrize(("name", "num_groups"), SITES)
def test_a_walk_with_other_weights_is_that_of_the_other_network(name, num_groups, kind):
    make = partial(tiny_network, name, num_groups, 0 if kind == "none" else 2)
    network, other = make(seed=0), make(seed=1)
    stored = copy.deepcopy(network.state_dict())
    x, h = torch.randn(2, 3, 4, 6, dtype=torch.float64), tiny_condition(kind, 2, 4, 6)
    walk = IncrementalWalk(network, 3, 2, 4, 6)
    walk.take_weights(other)
    parameters_of(walk, x, h)  # other images before, as in a sampler that is kept
    with torch.no_grad():
        assert (parameters_of(walk, x, h) - other(x, h)).abs().max() < 1e-12
        assert (network(x, h) - other(x, h)).abs().max() > 1e-3
    # The walk's weights are its own.
    assert all(torch.equal(value, stored[name]) for name, value in network.state_dict().items())


def parameters_of(walk, x, h):
    """(N, P, H, W), as `pixelcnn.sampling.walk.pixel_parameters_incrementally` has them of a new walk."""
    walk.begin_images(h)
    by_group, sites = x.unflatten(1, (walk.num_groups, -1)), []

    def visit(j, group, parameters):
        sites.append(parameters.clone())
        return by_group[:, group, :, walk_row, j]

    for walk_row in range(x.shape[2]):
        walk.take_conditions_of_row(walk_row)
        walk.run_row(walk_row, visit)
    stacked = torch.stack(sites, dim=2).unflatten(2, (*x.shape[2:], walk.num_groups))
    return stacked.movedim(4, 1).flatten(1, 2)


@pytest.fixture
def captures():
    """A model that captures as on a GPU, and how often it has."""
    count = []

    def counted(work):
        count.append(None)
        return recorded(work)

    model = tiny_model(torch.float64, height=8, width=4, num_filters=3, num_stages=2)
    model.sampling = BatchedSampling(counted)
    return model, count


def test_grids_of_a_training_capture_once_and_follow_the_weights(captures):
    model, count = captures
    first = 0
    for seed in range(3):
        new = copy.deepcopy(model)  # as an average of weights is made: it keeps nothing
        new.sampling = BatchedSampling()
        assert torch.equal(model.sample(3, seed=seed, batch_size=2), new.sample(3, seed=seed, batch_size=2))
        first = first or len(count)
        randomised(model)  # a step of training
    assert len(count) == first > 0
    model.sample(3, batch_size=3)
    assert len(count) == 2 * first  # of batches of another size
    model.sample(3, temperature=0.5, batch_size=3)
    assert len(count) == 3 * first


def test_a_last_smaller_batch_is_filled_up(captures):
    model, count = captures
    model.sample(5, seed=1, batch_size=2)
    first = len(count)
    images, known = random_images(model, 5), torch.arange(32).view(8, 4) % 4 == 1
    completed, log_prob = model.complete(images, known, seed=2, batch_size=2)
    plain = copy.deepcopy(model)
    plain.sampling = BatchedSampling()
    expected, expected_log_prob = plain.complete(images, known, seed=2, batch_size=2)
    assert torch.equal(completed, expected) and torch.equal(log_prob, expected_log_prob)
    assert first < len(count)
    # Of one mask at a time, as each takes memory.
    assert {row for _, row in model.sampling._kept[1]._replays} == set(map(tuple, known.tolist()))


def test_copies_of_a_model_keep_no_graphs(captures):
    model, _ = captures
    model.sample(2)
    for new in (copy.deepcopy(model.sampling), pickle.loads(pickle.dumps(BatchedSampling()))):
        assert new._kept is None
    assert model.sampling._kept is not None


def test_on_a_cpu_nothing_is_kept():
    model = tiny_model(height=4, width=4)
    model.sample(2)
    assert model.sampling._kept is None


@pytest.mark.parametrize("capture", [None, recorded])
def test_threads_draw_what_one_would(capture):
    model = tiny_model(height=8, width=4, num_stages=2)
    model.sampling = BatchedSampling(capture)
    expected = [model.sample(2, seed=seed) for seed in range(2)]
    drawn, both = [None, None], threading.Barrier(2)

    def draw(seed):
        both.wait()
        drawn[seed] = model.sample(2, seed=seed)

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(map(torch.equal, drawn, expected))


def test_what_is_drawn_between_rows_disturbs_nothing(captures):
    model, _ = captures
    expected, within = model.sample(2, seed=1), []
    drawn = model.sample(2, seed=1, on_row=lambda images: within.append(model.sample(2, seed=1)))
    assert all(torch.equal(images, expected) for images in (drawn, *within))


def test_a_likelihood_whose_weights_have_moved_is_read_where_they_are():
    implicit = partial(Implicit, num_features=4, num_noise=2)
    description = tiny_description(height=8, width=4, num_filters=3, num_stages=1)
    model = model_of(replace(description, likelihood=implicit), seed=0)
    model.sampling = BatchedSampling(recorded)
    model.sample(2)
    first = model.sampling._kept[1]
    model.sample(2)
    assert model.sampling._kept[1] is first
    for weight in model.parameters():
        weight.data = weight.data.clone()  # as after .cpu().cuda(); a recording, unlike a graph, finds it there
    model.sample(2)
    assert model.sampling._kept[1] is not first
