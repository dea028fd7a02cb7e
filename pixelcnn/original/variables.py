"""The original's variables: names and shapes from the topology, and conversion from and to a model's.

The original numbers its scopes per kind of layer in the order of creation, which is the order of the topology's
nodes; a block creates conv1, the layer of its auxiliary input, conv2 and the condition's weights, in this order. The
layers of ``-ed``, which the topology does not have, come last. Its arrays are channels-last: V of conv2d is [rows,
columns, in, out], of deconv2d [rows, columns, out, in], of dense [in, out].
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from pixelcnn.likelihood import Implicit, Likelihood
from pixelcnn.model import PixelModel
from pixelcnn.network.blocks import GatedResidualBlock, OutputLayer, ShiftedConv, UpsamplingConv
from pixelcnn.network.layers import CausalConv2d, WeightNormalized
from pixelcnn.network.parallel import Network


def parameters_by_original_name(model: PixelModel) -> dict[str, nn.Parameter]:
    """The model's parameters under the names that the original gives them ("model/conv2d_0/V", …), in its order."""
    counts: Counter[str] = Counter()
    named: dict[str, nn.Parameter] = {}
    for kind, parameters in (*_scopes(model.network), *_head(model.likelihood)):
        for name, parameter in parameters.items():
            named[f"model/{kind}_{counts[kind]}/{name}"] = parameter
        counts[kind] += 1
    return named


def _scopes(network: Network) -> Iterator[tuple[str, dict[str, nn.Parameter]]]:
    for node in network.topology.nodes:
        match network.layers[node.name]:
            case ShiftedConv() as layer:
                yield "conv2d", _weights(layer.conv)
            case CausalConv2d() as layer:
                yield "conv2d", _weights(layer)
            case UpsamplingConv() as layer:
                yield "deconv2d", _weights(layer.conv)
            case OutputLayer() as layer:
                yield "dense", _weights(layer.dense)
            case GatedResidualBlock() as layer:
                yield "conv2d", _weights(layer.conv1)
                if layer.aux_features:
                    yield "dense", _weights(layer.aux_dense)
                yield "conv2d", _weights(layer.conv2)
                if layer.hw is not None:
                    yield "conditional_weights", {"hw": layer.hw}


def _head(likelihood: Likelihood) -> Iterator[tuple[str, dict[str, nn.Parameter]]]:
    if isinstance(likelihood, Implicit):
        for layer in (likelihood.noise_dense, likelihood.dense, likelihood.output):
            yield "dense", _weights(layer)


def _weights(layer: WeightNormalized) -> dict[str, nn.Parameter]:
    return {"V": layer.v, "g": layer.g, "b": layer.b}


def original_shape(name: str, parameter: Tensor) -> tuple[int, ...]:
    """The shape that the original's variable ``name`` has."""
    return tuple(to_original(name, parameter).shape)


def to_original(name: str, value: Tensor) -> np.ndarray:
    """A parameter's value, laid out as the original's variable ``name``."""
    if name.endswith("/V"):
        value = value[:, :, 0, 0].t() if "/dense_" in name else value.permute(2, 3, 1, 0)
    return value.detach().numpy()


def from_original(name: str, array: np.ndarray) -> Tensor:
    """The inverse of `to_original`."""
    value = torch.from_numpy(np.asarray(array))
    if name.endswith("/V"):
        value = value.t()[:, :, None, None] if "/dense_" in name else value.permute(3, 2, 0, 1)
    return value.contiguous()
