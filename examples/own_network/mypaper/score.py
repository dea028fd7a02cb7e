"""An out-of-distribution score: a function of a model and images."""

from torch import Tensor

from pixelcnn import PixelModel


def surprise(model: PixelModel, images: Tensor, condition: Tensor | None = None, share: float = 0.1) -> Tensor:
    """The mean bits of the ``share`` of sub-pixels that surprise the model most, (N,)."""
    bits = model.bits(images, condition).flatten(1)
    return bits.topk(max(1, round(share * bits.shape[1])), dim=1).values.mean(dim=1)
