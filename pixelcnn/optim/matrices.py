"""Which of a model's parameters are the matrices of hidden layers, the ones that Muon orthogonalises.

Muon is for matrices between hidden activations. The layers that read the image and the output layer keep Adam, as
embeddings and heads do elsewhere (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks",
kellerjordan.github.io/posts/muon). So do gains, biases, weights of conditions, and everything outside the network:
encoders of conditions and layers of the likelihood.
"""

from typing import Any

from torch import nn

from pixelcnn.network.topology import IMAGE

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def hidden_matrices(model: nn.Module) -> dict[str, int]:
    """The names of the hidden layers' weights, with the axis of each that is the output channel.

    A weight is the ``v`` of a layer with an attribute ``out_dim``, its output axis, or the weight of a torch
    convolution or linear layer (with torch's weight normalisation, its direction). In a network with a topology,
    ``model`` itself or its ``network``, the matrices of nodes that read the image and the last matrix of the last node
    are left out. In other networks the first and the last matrix are left out, in the order in which modules were
    defined.
    """
    network: nn.Module = getattr(model, "network", model)
    prefix = "" if network is model else "network."
    axes = {prefix + name: axis for name, axis in _matrices(network).items()}
    return {name: axis for name, axis in axes.items() if name not in {prefix + end for end in _ends(network)}}


def _matrices(module: Any) -> dict[str, int]:
    """All weights by name, with their output axes."""
    found = {}
    for name, layer in module.named_modules():
        prefix = f"{name}." if name else ""
        if isinstance(getattr(layer, "out_dim", None), int) and isinstance(getattr(layer, "v", None), nn.Parameter):
            found[f"{prefix}v"] = layer.out_dim
        elif isinstance(layer, (nn.Linear, *CONVOLUTIONS, *TRANSPOSED)):
            # Weight normalisation, of either kind that torch has, keeps its direction in the weight's shape.
            shape = layer.weight.shape
            for of_layer, parameter in layer.named_parameters():
                if parameter.shape == shape:
                    found[prefix + of_layer] = int(isinstance(layer, TRANSPOSED))
    return found


def _ends(network: Any) -> set[str]:
    """The weights at the image and at the output."""
    topology = getattr(network, "topology", None)
    if topology is None:
        names = list(_matrices(network))
        return {*names[:1], *names[-1:]}
    first = {
        f"layers.{node.name}.{name}"
        for node in topology.nodes
        if IMAGE in node.inputs
        for name in _matrices(network.layers[node.name])
    }
    last = topology.nodes[-1].name
    return first | {f"layers.{last}.{name}" for name in list(_matrices(network.layers[last]))[-1:]}
