"""The networks of the family, small enough for a test, and conditions for them."""

from typing import Any

import torch
from pixelcnn.networks import build_network
from pixelcnn.options import GatedPixelCNNOptions, PixelCNNOptions, PixelCNNPPOptions
from torch import Tensor

from pixelcnn.network.parallel import Network
from tests.conftest import randomised

TINY_NETWORKS: dict[str, Any] = {
    "pixelcnn_pp": PixelCNNPPOptions(3, 1, 2, "concat_elu", dropout=0.5),
    "pixelcnn_pp without short-cuts": PixelCNNPPOptions(3, 1, 2, "concat_elu", dropout=0.5, short_cuts=False),
    "gated_pixelcnn": GatedPixelCNNOptions(6, 2, first_kernel_size=5, kernel_size=3, num_output_features=6),
    "pixelcnn": PixelCNNOptions(6, 2, first_kernel_size=5, kernel_size=3, num_output_features=6),
}
# Network and number of groups.
SITES = [(name, 1) for name in TINY_NETWORKS] + [("gated_pixelcnn", 3), ("pixelcnn", 3)]
CONDITIONS = ("none", "vector", "map")


def tiny_network(name: str, num_groups: int, condition_features: int = 0, seed: int = 0) -> Network:
    """A network of 3 channels and 6 parameters in float64, every weight random."""
    torch.manual_seed(seed)
    return randomised(build_network(TINY_NETWORKS[name], 3, 6, num_groups, condition_features)).double().eval()


def tiny_condition(kind: str, n: int, height: int, width: int) -> Tensor | None:
    """A condition of two features as a network takes it."""
    if kind == "none":
        return None
    return torch.randn(n, 2, dtype=torch.float64) if kind == "vector" else torch.randn(n, 2, height, width).double()
