"""By Jacobian in float64: a pixel sees exactly what the topology says, and nothing at or after itself."""

import numpy as np
import pytest
import torch

from tests.conftest import tiny_model
from tests.network.receptive_field import receptive_fields

CASES = [
    dict(height=4, width=4, num_stages=1),
    dict(height=5, width=7, num_stages=1, channels=1),
    dict(height=6, width=4, num_stages=2, nonlinearity="elu"),
    dict(height=8, width=12, num_stages=3),
    dict(height=12, width=8, num_stages=3, channels=1, num_resnet_blocks=2),
]


def dependence(value: torch.Tensor, places: list[tuple[int, int]], copies: torch.Tensor) -> np.ndarray:
    """Boolean (places, height, width): which image pixels have a non-zero derivative at each of ``places`` in a node.

    ``copies`` of one image, at least as many as places, have come to the node's ``value``: each answers for one place.
    """
    rows, columns = torch.tensor(places).unbind(1)
    at_places = value[torch.arange(len(places)), :, rows, columns]
    weights = torch.linspace(0.5, 1.5, value.shape[1], dtype=value.dtype)
    (gradient,) = torch.autograd.grad((at_places * weights).sum(), copies, retain_graph=True)
    return (gradient[: len(places)] != 0).any(1).numpy()


def copies_of(x: torch.Tensor, n: int) -> torch.Tensor:
    return x.repeat(n, 1, 1, 1).requires_grad_()


@pytest.mark.parametrize("options", CASES, ids=lambda o: f"{o['height']}x{o['width']}x{o['num_stages']}")
def test_the_network_sees_exactly_what_the_topology_reaches(options):
    model = tiny_model(torch.float64, num_mixtures=1, **options)
    shape = model.image
    fields = receptive_fields(model.network.topology, shape.height, shape.width)["output"]
    x = torch.rand(1, shape.channels, shape.height, shape.width, dtype=torch.float64) * 2 - 1
    places = list(np.ndindex(shape.height, shape.width))
    copies = copies_of(x, len(places))
    for (i, j), seen in zip(places, dependence(model.network(copies), places, copies), strict=True):
        assert not seen.ravel()[i * shape.width + j :].any(), f"pixel {i, j} sees itself or what comes after it"
        np.testing.assert_array_equal(seen, fields[i, j], err_msg=f"pixel {i, j}")


@pytest.mark.parametrize("options", CASES[2:], ids=lambda o: f"{o['height']}x{o['width']}x{o['num_stages']}")
def test_each_node_sees_what_its_stream_may_see(options):
    model = tiny_model(torch.float64, num_mixtures=1, **options)
    shape = model.image
    fields = receptive_fields(model.network.topology, shape.height, shape.width)
    x = torch.rand(1, shape.channels, shape.height, shape.width, dtype=torch.float64) * 2 - 1
    rng = np.random.default_rng(0)
    copies = copies_of(x, 6)
    values = model.network.values(copies, keep=True)
    for node in model.network.topology.nodes:
        scale = 2**node.level
        positions = list(np.ndindex(shape.height // scale, shape.width // scale))
        chosen = [positions[p] for p in rng.choice(len(positions), size=min(6, len(positions)), replace=False)]
        for (i, j), seen in zip(chosen, dependence(values[node.name], chosen, copies), strict=True):
            allowed = np.zeros_like(seen)
            allowed[: scale * i] = True
            if node.stream == "ul":
                allowed[scale * i, : scale * j] = True
            assert not (seen & ~allowed).any(), f"{node.name} {i, j} looks ahead"
            np.testing.assert_array_equal(seen, fields[node.name][i, j], err_msg=f"{node.name} {i, j}")
