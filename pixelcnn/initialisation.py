"""Data-dependent initialisation (Salimans and Kingma 2016): every pre-activation starts with mean 0 and a set scale."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pixelcnn.conditioning import Condition
from pixelcnn.likelihood import Implicit
from pixelcnn.model import PixelModel
from pixelcnn.network.layers import WeightNormalized
from pixelcnn.sampling.walk import in_evaluation

DRAWS_OF_A_PIXEL = 10  # as in the original
CONSTANT = 1e-10  # variance up to which an output counts as constant


@dataclass(frozen=True)
class InitialisationReport:
    """Largest deviations over all layers and channels on the initialising batch, after initialisation."""

    max_abs_mean: float
    max_abs_std_error: float


@torch.no_grad()
def data_dependent_initialisation(
    model: PixelModel, images: Tensor, condition: Condition = None
) -> InitialisationReport:
    """Set g and b of every weight-normalised layer so that its output over the batch has mean 0, std ``init_scale``.

    images: uint8 (N, C, H, W) of the training set; dropout is off. Layers are initialised in order, each on the output
    of those already initialised. V, the conditions' weights and an output layer initialised by the likelihood do not
    change. Moments are those of the population (divided by N). Layers of the likelihood itself are initialised on ten
    draws of each pixel, with noise from torch's generator.
    """
    deviations: list[Tensor] = []

    def rescale(layer: WeightNormalized, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        assert layer.init_scale is not None
        variance, mean = torch.var_mean(layer.with_margin(output, *inputs), dim=(0, 2, 3), correction=0)
        # A constant output, as of a 1x1 image's u stream, has no scale to set; the original's formula explodes.
        scale = torch.where(variance > CONSTANT, layer.init_scale / torch.sqrt(variance + 1e-10), 1.0)
        layer.g.mul_(scale)
        layer.b.sub_(mean).mul_(scale)
        layer.computed = None  # by the old g
        return layer.forward(*inputs)

    def measure(layer: WeightNormalized, inputs: tuple[Tensor], output: Tensor) -> None:
        assert layer.init_scale is not None
        variance, mean = torch.var_mean(layer.with_margin(output, *inputs), dim=(0, 2, 3), correction=0)
        deviations.append(torch.stack([mean.abs().max(), (variance.sqrt() - layer.init_scale).abs().max()]))

    through_all_layers = _pass(model, images, condition)
    with in_evaluation(model):
        for hook in (rescale, measure):
            layers = (module for module in model.modules() if isinstance(module, WeightNormalized))
            handles = [layer.register_forward_hook(hook) for layer in layers if layer.init_scale is not None]
            through_all_layers()
            for handle in handles:
                handle.remove()
    return InitialisationReport(*torch.stack(deviations).amax(dim=0).tolist())


def _pass(model: PixelModel, images: Tensor, condition: Condition) -> Callable[[], object]:
    """A function that evaluates every layer of ``model`` on ``images``, with the same noise in each call."""
    likelihood = model.likelihood
    if not isinstance(likelihood, Implicit):
        return lambda: model.pixel_parameters(images, condition)
    draws = (DRAWS_OF_A_PIXEL, len(images), likelihood.num_uniforms, *images.shape[2:])
    uniforms = torch.rand(draws, device=images.device)
    return lambda: likelihood.samples(model.pixel_parameters(images, condition), uniforms)
