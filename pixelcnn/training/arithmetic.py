"""FLOPs of a training step, and the machine's peak matmul throughput."""

import copy
import time

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pixelcnn.model import PixelModel
from pixelcnn.network.embedding import embedding_of, seen_channels

LARGEST_MATRIX = 8192


def training_flops(model: PixelModel) -> int:
    """FLOPs of one image's forward and backward pass through the network: two per multiply-add of convolutions and
    attention, including attention's masked pixels.

    For images of the description's size. Recomputation by activation checkpointing does not count.
    """
    network = copy.deepcopy(model.network).cpu().eval()
    network.activation_checkpointing = False
    image, features = model.image, model.conditioning.features + model.orders.features
    x = torch.zeros(1, seen_channels(embedding_of(network), image.channels), image.height, image.width)
    h = torch.zeros(1, features) if features else None
    # Attention as plain products: torch counts fused kernels on GPUs only.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(x, h).sum().backward()
    return counter.get_total_flops()


def matmul_peak(device: torch.device, dtype: torch.dtype, seconds: float = 0.05) -> float:
    """FLOP/s of the fastest of several products of square matrices, tried for about ``seconds``."""
    size, best = 256, 0.0
    while True:
        matrix = torch.randn(size, size, device=device).to(dtype)
        fastest = min(_seconds(matrix) for _ in range(4))
        best = max(best, 2 * size**3 / fastest)
        if size == LARGEST_MATRIX or 8 * fastest > seconds:
            return best
        size *= 2


def _seconds(matrix: Tensor) -> float:
    _wait(matrix.device)
    start = time.perf_counter()
    matrix @ matrix
    _wait(matrix.device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
