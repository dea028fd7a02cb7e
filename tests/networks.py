"""The networks of the family, small enough for a test, and conditions for them."""

from functools import partial

import torch
from torch import Tensor

from pixelcnn.description import GIVEN
from pixelcnn.network import GatedPixelCNN, Network, PixelCNN, PixelCNNPP, PixelSNAIL
from pixelcnn.part import Part
from tests.conftest import randomised

PP = {"num_filters": 3, "num_resnet_blocks": 1, "num_stages": 2}
SNAIL = {"num_filters": 4, "num_attention_blocks": 2, "num_resnet_blocks": 1}
MASKED = {"num_filters": 6, "first_kernel_size": 5, "kernel_size": 3, "num_output_features": 6}
TINY_NETWORKS: dict[str, partial[Network]] = {
    "pixelcnn_pp": partial(PixelCNNPP, **PP),
    "pixelcnn_pp without short-cuts": partial(PixelCNNPP, **PP, short_cuts=False),
    "gated_pixelcnn": partial(GatedPixelCNN, num_layers=2, **MASKED),
    "pixelcnn": partial(PixelCNN, num_blocks=2, **MASKED),
    "pixelsnail": partial(PixelSNAIL, num_key_features=2, num_value_features=3, **SNAIL),
}
# Network and number of groups.
SITES = [(name, 1) for name in TINY_NETWORKS] + [("gated_pixelcnn", 3), ("pixelcnn", 3)]
CONDITIONS = ("none", "vector", "map")


def tiny_network(name: str, num_groups: int, condition_features: int = 0, seed: int = 0) -> Network:
    """A network of 3 channels and 6 parameters in float64, every weight random."""
    torch.manual_seed(seed)
    return randomised(made(TINY_NETWORKS[name], 3, 6, num_groups, condition_features)).double().eval()


def made(
    network: partial[Network],
    image_channels: int,
    num_parameters: int,
    num_groups: int = 1,
    condition_features: int = 0,
) -> Network:
    """The network, given what a model gives it."""
    given = {
        "image_channels": image_channels,
        "num_parameters": num_parameters,
        "num_groups": num_groups,
        "condition_features": condition_features,
    }
    return Part.of(network, GIVEN["network"]).build("model.", **given)


def tiny_condition(kind: str, n: int, height: int, width: int) -> Tensor | None:
    """A condition of two features as a network takes it."""
    if kind == "none":
        return None
    return torch.randn(n, 2, dtype=torch.float64) if kind == "vector" else torch.randn(n, 2, height, width).double()
