"""Every network of the family: causal site by site, and the same in both walks."""

from functools import partial

import numpy as np
import pytest
import torch

from pixelcnn.errors import UserError
from pixelcnn.network.parallel import condition_at
from pixelcnn.sampling.incremental import IncrementalWalk
from pixelcnn.sampling.walk import pixel_parameters_incrementally
from tests.network.receptive_field import receptive_fields
from tests.networks import CONDITIONS, SITES, TINY_NETWORKS, made, tiny_condition, tiny_network


@pytest.mark.parametrize("kind", CONDITIONS)
@pytest.mark.parametrize("name, num_groups", SITES)
def test_both_walks_agree(name, num_groups, kind):
    network = tiny_network(name, num_groups, 0 if kind == "none" else 2)
    for height, width in [(6, 4), (4, 8), (10, 2)]:
        x, h = torch.randn(2, 3, height, width, dtype=torch.float64), tiny_condition(kind, 2, height, width)
        with torch.no_grad():
            parallel = network(x, h)
        assert (pixel_parameters_incrementally(network, x, h, num_groups) - parallel).abs().max() < 1e-12


@pytest.mark.parametrize("name, num_groups", SITES)
def test_a_walk_serves_one_batch_after_another(name, num_groups):
    network = tiny_network(name, num_groups, 2)
    walk = IncrementalWalk(network, 3, 2, 4, 4)
    for _ in range(2):
        x, h = torch.randn(2, 3, 4, 4, dtype=torch.float64), tiny_condition("map", 2, 4, 4)
        by_group = x.unflatten(1, (num_groups, -1))
        with torch.no_grad():
            parallel = network(x, h).unflatten(1, (num_groups, -1))
        walk.begin_images(h)
        for i in range(4):

            def visit(j, group, parameters, i=i, by_group=by_group, parallel=parallel):
                assert torch.allclose(parameters, parallel[:, group, :, i, j], atol=1e-12)
                return by_group[:, group, :, i, j]

            walk.take_conditions_of_row(i)
            walk.run_row(i, visit)


def jacobian(network, x):
    """Derivatives (P, H, W, C, H, W) for one image: of as many copies as there are outputs each answers for one."""
    with torch.no_grad():
        shape = network(x).shape[1:]
    copies = x.repeat(shape.numel(), 1, 1, 1).requires_grad_()
    (gradients,) = torch.autograd.grad(network(copies).flatten(1).diagonal().sum(), copies)
    return gradients.unflatten(0, shape)


@pytest.mark.parametrize("name, num_groups", SITES)
def test_each_site_sees_exactly_what_comes_before_it_and_is_in_reach(name, num_groups):
    size = 6 if TINY_NETWORKS[name].func.masked_channels else 4
    # By parameters' group, site's pixel, image's group and pixel: does any depend on any? Over a few networks and
    # images, because a relu can be shut; where all units are elu's, a few are enough.
    sees = torch.zeros(num_groups, size, size, num_groups, size, size, dtype=torch.bool)
    for seed in range(12 if TINY_NETWORKS[name].func.masked_channels else 3):
        network, x = tiny_network(name, num_groups, seed=seed), torch.randn(1, 3, size, size, dtype=torch.float64)
        sees |= (jacobian(network, x) != 0).unflatten(0, (num_groups, -1)).any(1).unflatten(3, (num_groups, -1)).any(4)
    fields = torch.as_tensor(receptive_fields(network.topology, size, size)["output"])
    rows, columns = np.indices((size, size))
    order = torch.as_tensor(rows * size + columns)
    earlier = order[:, :, None, None] > order
    own = order[:, :, None, None] == order
    for group in range(num_groups):
        for seen in range(num_groups):
            allowed = fields & (earlier | own if seen < group else earlier)
            found = sees[group, :, :, seen]
            assert not (found & ~allowed).any(), "a site sees what comes after it"
            assert torch.equal(found, allowed), "a site misses what the topology reaches"


def test_a_map_is_averaged_over_what_a_pixel_of_a_level_stands_for():
    h = torch.arange(16.0).view(1, 1, 4, 4)
    assert torch.equal(condition_at(h, 1), torch.tensor([[[[2.5, 4.5], [10.5, 12.5]]]]))
    assert torch.equal(condition_at(h, 0), h)


def test_only_pixelcnn_has_a_blind_spot():
    # From (12, 4), in the row above: the vertical stack goes right in every layer, masked kernels only when they go up.
    gated, masked = (
        receptive_fields(tiny_network(name, 1).topology, 14, 14)["output"][12, 4]
        for name in ("gated_pixelcnn", "pixelcnn")
    )
    assert gated[11, :9].all() and not gated[11, 9:].any()
    assert masked[11, :7].all() and not masked[11, 7:].any()


def test_the_memory_of_a_walk_does_not_grow_with_height():
    network = tiny_network("pixelcnn_pp", 1)
    walk = IncrementalWalk(network, 3, 2, 8, 8)
    wider, more = IncrementalWalk(network, 3, 2, 8, 16), IncrementalWalk(network, 3, 4, 8, 8)
    assert walk.num_bytes < wider.num_bytes <= 2 * walk.num_bytes and more.num_bytes == 2 * walk.num_bytes
    deepest = max(rows.depth for stepper in walk.steppers for rows in stepper.kept())
    assert deepest == 4 and walk.period == 4


@pytest.mark.parametrize("name", ["gated_pixelcnn", "pixelcnn"])
def test_filters_that_do_not_split_into_groups_are_refused(name):
    network = partial(
        TINY_NETWORKS[name].func, num_filters=4, first_kernel_size=3, kernel_size=3, num_output_features=6
    )
    with pytest.raises(UserError, match=r"model.num_filters=4 .* multiple of 3"):
        made(network, 3, 6, 3, 0)
