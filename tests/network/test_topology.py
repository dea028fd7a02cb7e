"""The architecture's counts, and the order of its nodes."""

from collections import Counter

import pytest
import torch

from pixelcnn.errors import UserError
from pixelcnn.model import build
from pixelcnn.network.pixelcnn_pp import pixelcnn_pp
from pixelcnn.original.variables import original_shape, parameters_by_original_name
from tests.conftest import tiny_description, tiny_model


def test_the_papers_model_has_its_number_of_parameters():
    description = tiny_description(height=32, width=32, num_filters=160, num_resnet_blocks=5, num_mixtures=10)
    with torch.device("meta"):
        model = build(description)
    assert sum(p.numel() for p in model.parameters()) == 53_659_080
    scopes = {name.split("/")[1] for name in parameters_by_original_name(model)}
    assert Counter(scope.rsplit("_", 1)[0] for scope in scopes) == {"conv2d": 135, "dense": 50, "deconv2d": 4}


def test_every_parameter_has_an_original_name_and_shape():
    model = tiny_model(num_filters=3)
    named = parameters_by_original_name(model)
    assert {id(p) for p in named.values()} == {id(p) for p in model.parameters()}
    shapes = {name: original_shape(name, p) for name, p in named.items()}
    assert shapes["model/conv2d_0/V"] == (2, 3, 4, 3)
    assert shapes["model/dense_0/V"] == (6, 3)
    assert shapes["model/deconv2d_1/V"] == (2, 2, 3, 3)


def test_short_cuts_mirror_the_up_pass():
    nodes = {node.name: node for node in pixelcnn_pp(num_resnet_blocks=1, num_stages=3).nodes}
    down = [node for name, node in nodes.items() if name.startswith("down") and node.stream == "ul"]
    assert [node.inputs[2] for node in down] == ["shrink2_ul", "up1_ul0", "shrink1_ul", "up0_ul0", "ul_init"]
    assert all(nodes[node.inputs[2]].level == node.level for node in down)
    assert all(node.inputs[1] == node.name.replace("_ul", "_u") for node in down)


def test_without_short_cuts_nothing_of_the_up_pass_but_its_end_is_read_again():
    nodes = pixelcnn_pp(num_resnet_blocks=2, num_stages=2, short_cuts=False).nodes
    down = [node for node in nodes if node.name.startswith("down")]
    across = {name for node in down for name in node.inputs if not name.startswith(("down", "grow"))}
    assert across == {"up1_u1", "up1_ul1"}


@pytest.mark.parametrize("height, width", [(6, 8), (8, 10)])
def test_sizes_that_the_strides_do_not_divide_are_refused(height, width):
    with pytest.raises(
        UserError,
        match=rf"{height}x{width} .*model=pixelcnn_pp.* 4.*model.num_stages",
    ):
        build(tiny_description(height=height, width=width))
