"""Small models of every kind, and conditions for them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pixelcnn.conditioning import ClassLabels, Encoder, Maps, Unconditional, Vectors
from pixelcnn.likelihood import DiscretizedLogisticMixture
from pixelcnn.model import PixelModel
from pixelcnn.network import GatedPixelCNN, PixelCNN, PixelCNNPP, PixelSNAIL

FEATURES = 3
MASKED: dict[str, Any] = {
    "num_filters": 6,
    "num_output_features": 6,
    "first_kernel_size": 3,
    "kernel_size": 3,
    "dropout": 0.0,
}
NETWORKS: dict[str, Callable] = {
    **{
        f"pixelcnn_pp of {stages} stages": partial(
            PixelCNNPP, num_filters=4, num_resnet_blocks=1, num_stages=stages, dropout=0.0
        )
        for stages in (1, 2, 3)
    },
    "gated_pixelcnn": partial(GatedPixelCNN, num_layers=2, **MASKED),
    "pixelcnn": partial(PixelCNN, num_blocks=1, **MASKED),
    "pixelsnail": partial(PixelSNAIL, num_filters=4, num_attention_blocks=2, num_resnet_blocks=1, dropout=0.0),
}
CONDITIONINGS: dict[str, Callable] = {
    "none": Unconditional,
    "class": partial(ClassLabels, num_classes=FEATURES),
    "vector": partial(Vectors, num_features=FEATURES),
    "spatial": partial(Maps, num_features=FEATURES),
    "encoder": partial(Encoder, code_size=FEATURES, num_filters=2),
}


def small_model(
    network: str, conditioning: str = "none", residual: Any = "none", height: int = 24, width: int = 4
) -> PixelModel:
    """A float64 model in evaluation mode on the CPU, every weight random."""
    torch.manual_seed(0)
    likelihood = partial(DiscretizedLogisticMixture, num_mixtures=5, residual=residual)
    model = PixelModel((3, height, width), NETWORKS[network], likelihood, CONDITIONINGS[conditioning])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.double().eval()


def condition_for(model: PixelModel, n: int) -> Tensor | None:
    """One for each of n images, strong enough to be seen; None for an unconditional model."""
    height, width = model.image.height, model.image.width
    made = {
        None: lambda: None,
        "labels": lambda: torch.arange(n) % FEATURES,
        "embeddings": lambda: 3 * torch.randn(n, FEATURES),
        "maps": lambda: 3 * torch.randn(n, FEATURES, height, width),
        "images": lambda: random_images(n, height, width),
    }
    return made[model.conditioning.batch_key]()


def random_images(n: int, height: int, width: int) -> Tensor:
    """uint8 (n, 3, height, width)."""
    return torch.randint(0, 256, (n, 3, height, width)).to(torch.uint8)
