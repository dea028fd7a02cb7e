"""Scores from the literature, each a function of a model and images.

images: uint8 (N, C, H, W); condition: as for ``model.log_prob``. All return maps, float (N, C, H, W) in bits.
"""

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from pixelcnn.checkpoint import load
from pixelcnn.conditioning.condition import expanded
from pixelcnn.conditioning.several import kinds_of
from pixelcnn.errors import UserError
from pixelcnn.model import PixelModel
from pixelcnn.ood.codecs import codec_bits


def likelihood(model: PixelModel, images: Tensor, condition: Any = None) -> Tensor:
    """-log2 p(x). It fails on its own: simple images are likely whatever they show.

    Nalisnick et al., "Do Deep Generative Models Know What They Don't Know?", ICLR 2019.
    """
    return model.bits(images, condition)


def input_complexity(
    model: PixelModel, images: Tensor, condition: Any = None, *, codecs: Sequence[str] = ("png", "webp")
) -> Tensor:
    """-log2 p(x) - L(x), L the bits of the image in the shortest of lossless ``codecs``: see `codec_bits`.

    L is of the whole image, spread evenly over the map. Serra et al., "Input Complexity and Out-of-Distribution
    Detection with Likelihood-Based Generative Models", ICLR 2020, equation 2.
    """
    bits = model.bits(images, condition)
    complexity = codec_bits(images, codecs).to(bits) / images[0].numel()
    return bits - complexity[:, None, None, None]


def likelihood_ratio(
    model: PixelModel,
    images: Tensor,
    condition: Any = None,
    *,
    background: PixelModel | str,
    trust: Collection[str] = (),
) -> Tensor:
    """log2 p_background(x) - log2 p(x): what the model knows beyond a more general one.

    ``background`` is a model, or a path or name for `pixelcnn.load`, with ``trust``. It may be trained on the same
    images with mutated pixels (``data.mutate``), which keep only the background statistics: Ren et al., "Likelihood
    Ratios for Out-of-Distribution Detection", NeurIPS 2019, equation 4. Or on images of many kinds: Schirrmeister et
    al., "Understanding Anomaly Detection with Deep Invertible Networks through Hierarchies of Distributions and
    Features", NeurIPS 2020. UserError if the background is conditional or of another kind of images.
    """
    other = _opened(background, tuple(trust)) if isinstance(background, str) else background
    if (other.image.channels, other.image.levels) != (model.image.channels, model.image.levels):
        raise UserError(
            f"background={_named(background)} is a model of images with {other.image.channels} channels and "
            f"{other.image.levels} levels, not {model.image.channels} and {model.image.levels}: use another one."
        )
    if kinds_of(other.conditioning):
        raise UserError(f"background={_named(background)} is a conditional model: use one with conditioning=none.")
    return model.bits(images, condition) - other.to(images.device).bits(images)


def typicality(model: PixelModel, images: Tensor, condition: Any = None, *, reference: Tensor) -> Tensor:
    """-log2 p(x) minus its mean over in-distribution images, ``reference`` (C, H, W) of `reference_of`.

    The statistic is the absolute value of the mean over an image, or over a batch of them: `of_batches` with
    ``two_sided``. Nalisnick et al., "Detecting Out-of-Distribution Inputs to Deep Generative Models Using Typicality",
    2019, equation 4.
    """
    return model.bits(images, condition) - reference


def reference_of(model: PixelModel, batches: Iterable[Tensor], condition: Any = None) -> Tensor:
    """The mean of -log2 p at each sub-pixel over ``batches`` of images, float32 (C, H, W).

    Its sum estimates the entropy. ``condition``: of one image, first axis 1, for all of them.
    """
    total, count = torch.zeros(()), 0
    with torch.no_grad():
        for images in batches:
            total = total.to(images.device) + model.bits(images, expanded(condition, len(images))).double().sum(dim=0)
            count += len(images)
    return (total / count).float()


@cache
def _opened(path: str, trust: tuple[str, ...]) -> PixelModel:
    return load(path, trust, "background")


def _named(background: PixelModel | str) -> str:
    return background if isinstance(background, str) else type(background).__name__
