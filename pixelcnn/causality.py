"""Whether a model is causal: no pixel's parameters depend on the pixel itself or on one after it (equation 1)."""

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from pixelcnn.conditioning import Condition, Conditioning
from pixelcnn.conditioning.condition import on_device
from pixelcnn.conditioning.several import MAPPED, gathered, kinds_of
from pixelcnn.errors import UserError
from pixelcnn.model import PixelModel
from pixelcnn.network.embedding import embedding_of, seen_channels

DRAWS = 2  # of inputs: at a single one a unit may be dead


def check_causal(model: PixelModel, condition: Condition = None, sites: int | None = None, seed: int = 0) -> None:
    """Raise UserError, naming the pixel that leaks, unless each pixel's parameters depend on earlier pixels only.

    The check uses the network's Jacobian in float64, at random inputs of the model's size. For each site (a pixel, or
    a group of its channels if they are drawn in groups), the parameters of all sites up to it must have no gradient
    with respect to it and all later sites. ``sites``: how many to check, spread over the image; None: all.
    ``condition``: that of one image, (1, …), for a conditional model; by default random features.

    Weights that are all zero, as in some output layers, would hide earlier layers: the checked copy has random ones.
    """
    if not hasattr(model, "likelihood"):
        told = f"check_causal takes a model, and {type(model).__name__} is only a network"
        raise UserError(f"{told}: pass pixelcnn.PixelModel((C, H, W), {type(model).__name__}).")
    network = copy.deepcopy(model.network).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            if not weight.any():
                weight.copy_(torch.randn(weight.shape, generator=generator) / 10)
    shape, groups = model.image, model.likelihood.num_groups
    channels = seen_channels(embedding_of(network), shape.channels)
    features, read = _features(model, condition, generator), model.orders.chosen(None)
    for _ in range(DRAWS):
        x = 2 * torch.rand(1, channels, shape.height, shape.width, generator=generator, dtype=torch.float64) - 1
        x, h = model.orders.shown(x.to(next(network.parameters()).device), features, read, x.dtype)
        x.requires_grad_()
        with torch.enable_grad():
            parameters = network(x, h)
            _require_shape(model, x, parameters)
            projection = torch.randn(parameters.shape, generator=generator, dtype=torch.float64).to(parameters.device)
            values = _by_site(parameters * projection, groups).sum(dim=0)
        for site in _chosen(len(values), groups, sites):
            gradient = _gradient(values[: site + 1].sum(), x)
            seen = _by_site(gradient, groups).abs().amax(dim=0)[site:]
            if seen.any():
                raise _leak(model, values[: site + 1], x, site + int(seen.argmax()))


def _features(model: PixelModel, condition: Condition, generator: torch.Generator) -> Tensor | None:
    """h of one image in float64: from ``condition``, or random numbers."""
    device, (height, width) = next(model.parameters()).device, (model.image.height, model.image.width)
    if condition is None:
        kinds = kinds_of(model.conditioning)
        condition = gathered(
            model.conditioning, {key: _random(kind, key, height, width, generator) for key, kind in kinds.items()}
        )
    with torch.no_grad():
        h = model.conditioning.encode(on_device(condition, device), 1, height, width)
    return None if h is None else h.double()


def _random(kind: Conditioning, key: str, height: int, width: int, generator: torch.Generator) -> Tensor:
    """A condition of one image: an example, or random features."""
    size = (height, width) if key in MAPPED else ()
    examples = kind.examples(1)
    return torch.randn(1, kind.features, *size, generator=generator) if examples is None else cast(Tensor, examples)


def _require_shape(model: PixelModel, x: Tensor, parameters: Tensor) -> None:
    expected = (1, model.likelihood.num_parameters, *x.shape[2:])
    if parameters.shape != expected:
        raise UserError(
            f"model={model.description.network.name} returns parameters of shape {tuple(parameters.shape)} for one "
            f"image: its forward must return {expected}, the likelihood's num_parameters at every pixel."
        )


def _by_site(values: Tensor, groups: int) -> Tensor:
    """(1, K groups, H, W) to (K, H W groups), sites in the order in which they are drawn."""
    return values[0].unflatten(0, (groups, -1)).permute(1, 2, 3, 0).flatten(1)


def _gradient(value: Tensor, x: Tensor) -> Tensor:
    """The gradient of ``value`` with respect to ``x``; zeros if it does not depend on ``x``."""
    return torch.autograd.grad(value, x, retain_graph=True, materialize_grads=True)[0]


def _chosen(count: int, groups: int, wanted: int | None) -> Sequence[int]:
    """``wanted`` of ``count`` sites, spread over the image and cycling through a pixel's ``groups``."""
    if wanted is None or wanted >= count:
        return range(count)
    pixels = count // groups
    return sorted({place * pixels // wanted * groups + place % groups for place in range(wanted)})


def _leak(model: PixelModel, values: Tensor, x: Tensor, seen: int) -> UserError:
    """The error for a network whose ``values`` depend on the site ``seen``; it names the first that does."""
    groups, (height, width) = model.likelihood.num_groups, (model.image.height, model.image.width)
    reader = 0
    for reader in range(len(values)):
        if _by_site(_gradient(values[reader], x), groups)[:, seen].any():
            break
    pixels = model.orders.chosen(None).shown(torch.arange(height * width).view(height, width)).flatten()
    (i, j), (y, z) = (divmod(int(pixels[site // groups]), width) for site in (reader, seen))
    itself = " itself" if (i, j) == (y, z) else ""
    return UserError(
        f"model={model.description.network.name} is not causal: its parameters of pixel ({i}, {j}) depend on pixel "
        f"({y}, {z}){itself}, which is not before it. Let no layer see the pixel or one after it in raster order."
    )
