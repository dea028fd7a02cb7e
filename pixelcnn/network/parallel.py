"""The parallel walk: a topology with weights, evaluated for all pixels at once (training and evaluation)."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pixelcnn.errors import require
from pixelcnn.network.embedding import LevelEmbedding
from pixelcnn.network.layers import WeightNormalized, given, weights_of
from pixelcnn.network.topology import IMAGE, Node, Topology

START_GAIN = 0.1  # of an output that starts at given parameters
MOST_LAYERS = 1000  # the papers' networks have at most 20


class Network(nn.Module):
    """Maps images to the P parameters of every pixel's distribution.

    ``layers[node.name]``, made by ``layer_of``, is the module of each node. Modules with weights ``hw`` take the
    condition h too. ``embedding`` is what turns levels into the images x, None if these are scaled levels: see
    `pixelcnn.network.embedding`. ``activation_checkpointing`` keeps only the nodes' values for the backward pass, which
    recomputes each layer with the same dropout.
    """

    activation_checkpointing = False

    def __init__(
        self, topology: Topology, layer_of: Callable[[Node], nn.Module], embedding: LevelEmbedding | None = None
    ) -> None:
        super().__init__()
        self.topology = topology
        self.layers = nn.ModuleDict({node.name: layer_of(node) for node in topology.nodes})
        self.embedding = embedding
        self._last_reader = {name: node.name for node in topology.nodes for name in node.inputs}

    @property
    def stride(self) -> int:
        """Image heights and widths must be divisible by this."""
        return self.topology.stride

    @torch.no_grad()
    def start_at(self, parameters: Tensor) -> None:
        """Initialise every pixel's output near ``parameters`` (P,); data-dependent initialisation leaves it there."""
        within = self.layers[self.topology.nodes[-1].name].modules()
        *_, output = (layer for layer in within if isinstance(layer, WeightNormalized))
        output.b.copy_(parameters)
        output.g.fill_(START_GAIN)
        output.init_scale = None

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        """x (N, C, H, W), from `seen`, h None, (N, D) or a map (N, D, H, W); returns (N, P, H, W)."""
        return self.values(x, h)[self.topology.nodes[-1].name]

    def values(self, x: Tensor, h: Tensor | None = None, keep: bool = False) -> dict[str, Tensor]:
        """Every node's value by name; without ``keep`` each is dropped after its last reader has run."""
        values = {IMAGE: with_ones_channel(x)}
        normalized = [layer for layer in self.layers.modules() if isinstance(layer, WeightNormalized)]
        weights = {} if torch.compiler.is_compiling() else weights_of(normalized)
        for node in self.topology.nodes:
            module = self.layers[node.name]
            inputs = [values[name] for name in node.inputs]
            layer = partial(
                _with_weights, module, {part: weights[part] for part in module.modules() if part in weights}
            )
            if getattr(module, "hw", None) is not None:
                layer = partial(layer, h=condition_at(h, node.level))
            if self.activation_checkpointing and torch.is_grad_enabled():
                layer = partial(checkpoint, layer, use_reentrant=False)
            values[node.name] = layer(*inputs)
            if not keep:
                for name in set(node.inputs):
                    if self._last_reader[name] == node.name:
                        del values[name]
        return values


def _with_weights(
    layer: nn.Module, weights: Mapping[WeightNormalized, Tensor], *inputs: Tensor, **condition: Any
) -> Tensor:
    """``layer`` of the inputs, also where it is recomputed for the gradient."""
    with given(weights):
        return layer(*inputs, **condition)


def require_positive(**values: float) -> None:
    """Raise UserError naming the first of ``values`` that is not a positive number."""
    for key, value in values.items():
        require(0 < value < math.inf, key, value, "use a positive number")


def require_layers(**counts: int) -> None:
    """Raise UserError naming the first of ``counts`` that is not positive, or more layers than can be listed soon."""
    require_positive(**counts)
    for key, count in counts.items():
        require(count <= MOST_LAYERS, key, count, f"use at most {MOST_LAYERS}")


def require_dropout(dropout: float) -> None:
    """Raise UserError for what is not a probability below 1."""
    require(0 <= dropout < 1, "dropout", dropout, "use a probability below 1")


def with_ones_channel(x: Tensor) -> Tensor:
    """(N, C, H, W) to (N, C + 1, H, W): a channel of ones tells the inside of the image from its zero padding."""
    return torch.cat([x, torch.ones_like(x[:, :1])], dim=1)


def condition_at(h: Tensor | None, level: int) -> Tensor | None:
    """h for nodes of a level: a map (N, D, H, W) is averaged over the pixels that one of the level stands for."""
    return h if h is None or h.ndim == 2 or level == 0 else F.avg_pool2d(h, 2**level)
