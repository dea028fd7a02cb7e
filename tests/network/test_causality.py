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


def dependence(model, name: str, at: tuple[int, int], x: torch.Tensor) -> np.ndarray:
    """Boolean (height, width): which image pixels have a non-zero derivative at pixel ``at`` of the node's value."""
    x = x.clone().requires_grad_()
    value = model.network.values(x, keep=True)[name][0, :, at[0], at[1]]
    weights = torch.linspace(0.5, 1.5, len(value), dtype=value.dtype)
    (gradient,) = torch.autograd.grad((value * weights).sum(), x)
    return (gradient[0] != 0).any(0).numpy()


@pytest.mark.parametrize("options", CASES, ids=lambda o: f"{o['height']}x{o['width']}x{o['num_stages']}")
def test_the_network_sees_exactly_what_the_topology_reaches(options):
    model = tiny_model(torch.float64, num_mixtures=1, **options)
    shape = model.image
    fields = receptive_fields(model.network.topology, shape.height, shape.width)["output"]
    x = torch.rand(1, shape.channels, shape.height, shape.width, dtype=torch.float64) * 2 - 1
    for i, j in np.ndindex(shape.height, shape.width):
        seen = dependence(model, "output", (i, j), x)
        assert not seen.ravel()[i * shape.width + j :].any(), f"pixel {i, j} sees itself or what comes after it"
        np.testing.assert_array_equal(seen, fields[i, j], err_msg=f"pixel {i, j}")


@pytest.mark.parametrize("options", CASES[2:], ids=lambda o: f"{o['height']}x{o['width']}x{o['num_stages']}")
def test_each_node_sees_what_its_stream_may_see(options):
    model = tiny_model(torch.float64, num_mixtures=1, **options)
    shape = model.image
    fields = receptive_fields(model.network.topology, shape.height, shape.width)
    x = torch.rand(1, shape.channels, shape.height, shape.width, dtype=torch.float64) * 2 - 1
    rng = np.random.default_rng(0)
    for node in model.network.topology.nodes:
        scale = 2**node.level
        positions = list(np.ndindex(shape.height // scale, shape.width // scale))
        for p in rng.choice(len(positions), size=min(6, len(positions)), replace=False):
            i, j = positions[p]
            seen = dependence(model, node.name, (i, j), x)
            allowed = np.zeros_like(seen)
            allowed[: scale * i] = True
            if node.stream == "ul":
                allowed[scale * i, : scale * j] = True
            assert not (seen & ~allowed).any(), f"{node.name} {i, j} looks ahead"
            np.testing.assert_array_equal(seen, fields[node.name][i, j], err_msg=f"{node.name} {i, j}")
