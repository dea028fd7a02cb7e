"""The hidden layers' weights are found, whatever the network."""

from functools import partial

import pytest
from torch import nn

from pixelcnn.conditioning import Encoder
from pixelcnn.model import build
from pixelcnn.network.layers import WeightNormalized
from pixelcnn.optim import hidden_matrices
from tests.conftest import tiny_description, tiny_model
from tests.networks import SITES, tiny_network


@pytest.mark.parametrize("name, groups", SITES)
def test_all_directions_but_those_at_the_image_and_of_the_output(name, groups):
    network = tiny_network(name, groups, condition_features=2)
    directions = {f"{path}.v": layer for path, layer in network.named_modules() if isinstance(layer, WeightNormalized)}
    ends = set(directions) - set(hidden_matrices(network))
    reading = {node.name for node in network.topology.nodes if "image" in node.inputs}
    output = f"layers.{network.topology.nodes[-1].name}.dense.v"
    assert ends == {output} | {path for path in directions if path.split(".")[1] in reading}
    for path, axis in hidden_matrices(network).items():
        assert len(directions[path].g) == directions[path].v.shape[axis]
        assert axis == directions[path].out_dim


def test_the_transposed_convolutions_output_is_their_second_axis():
    transposed = {path for path, axis in hidden_matrices(tiny_model()).items() if axis == 1}
    assert transposed == {f"network.layers.grow{stage}_{s}.conv.v" for stage in (1, 2) for s in ("u", "ul")}


def test_names_are_the_models():
    model = tiny_model()
    assert hidden_matrices(model) == {f"network.{name}": axis for name, axis in hidden_matrices(model.network).items()}
    assert hidden_matrices(model).keys() <= dict(model.named_parameters()).keys()


def test_an_encoder_is_left_alone():
    model = build(tiny_description(conditioning=partial(Encoder, code_size=3, num_filters=4)))
    assert isinstance(model.conditioning, Encoder)
    assert all(name.startswith("network.") for name in hidden_matrices(model))


def test_a_network_without_topology_has_its_first_and_last_matrix_left_out():
    norm = nn.utils.parametrizations.weight_norm
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        norm(nn.Conv2d(4, 5, 3)),
        nn.BatchNorm2d(5),
        nn.ConvTranspose2d(5, 6, 2),
        nn.Embedding(3, 6),
        nn.Linear(6, 6),
        nn.Conv2d(6, 2, 1),
    )
    expected = {"1.parametrizations.weight.original1": 0, "3.weight": 1, "5.weight": 0}
    assert hidden_matrices(network) == expected
