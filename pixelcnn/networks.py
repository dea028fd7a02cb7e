"""Networks with weights: each option of `pixelcnn.options.MODELS` as a topology and the layer of each of its nodes."""

from typing import Any

from torch import nn

from pixelcnn.architectures import gated_pixelcnn, pixelcnn, pixelcnn_pp
from pixelcnn.network.blocks import Add, GatedResidualBlock, OutputLayer, ShiftedConv, UpsamplingConv
from pixelcnn.errors import UserError
from pixelcnn.network.layers import CausalConv2d
from pixelcnn.network.masked_blocks import GateLayer, HorizontalLayer, MaskedImageLayer, MaskedOutputLayer, ResidualLayer
from pixelcnn.options import GatedPixelCNNOptions, PixelCNNOptions, PixelCNNPPOptions
from pixelcnn.network.parallel import Network
from pixelcnn.network.topology import (
    Downsample,
    Gate,
    GatedBlock,
    HorizontalBlock,
    ImageConv,
    MaskedImageConv,
    MaskedOutput,
    MaskedResidualBlock,
    Node,
    Output,
    Sum,
    Upsample,
    VerticalConv,
)


def build_network(
    options: Any, image_channels: int, num_parameters: int, num_groups: int, condition_features: int
) -> Network:
    """A new network as ``options`` (a dataclass of `pixelcnn.options`) say.

    It gives ``num_parameters`` a pixel, for ``num_groups`` groups of channels one after another (1 unless the options
    have masked channels), and takes conditions of ``condition_features`` features (0 for none).
    """
    match options:
        case PixelCNNPPOptions():
            assert num_groups == 1
            return _pixelcnn_pp(options, image_channels, num_parameters, condition_features)
        case GatedPixelCNNOptions():
            _require_divisible(options, num_groups)
            return _gated_pixelcnn(options, image_channels, num_parameters, num_groups, condition_features)
        case PixelCNNOptions():
            _require_divisible(options, num_groups)
            return _pixelcnn(options, image_channels, num_parameters, num_groups, condition_features)
    raise AssertionError(options)


def _require_divisible(options: Any, num_groups: int) -> None:
    for key in ("num_filters", "num_output_features"):
        value = getattr(options, key)
        if value % num_groups:
            raise UserError(
                f"model.{key}={value} cannot be split among the {num_groups} groups of channels that the likelihood "
                f"has one after another: use a multiple of {num_groups}."
            )


def _pixelcnn_pp(
    options: PixelCNNPPOptions, image_channels: int, num_parameters: int, condition_features: int
) -> Network:
    filters = options.num_filters

    def layer_of(node: Node) -> nn.Module:
        match node:
            case ImageConv():
                return ShiftedConv(image_channels + 1, filters, node.window, node.shift)
            case Sum():
                return Add()
            case GatedBlock():
                return GatedResidualBlock(
                    filters,
                    node.window,
                    len(node.inputs) - 1,
                    options.nonlinearity,
                    options.dropout,
                    condition_features,
                    options.block_init_scale,
                )
            case Downsample():
                return CausalConv2d(filters, filters, node.window, stride=2)
            case Upsample():
                return UpsamplingConv(filters, node.window)
            case Output():
                return OutputLayer(filters, num_parameters, options.output_init_scale)
        raise AssertionError(node)

    return Network(pixelcnn_pp(options.num_resnet_blocks, options.num_stages, options.short_cuts), layer_of)


def _gated_pixelcnn(
    options: GatedPixelCNNOptions, image_channels: int, num_parameters: int, num_groups: int, condition_features: int
) -> Network:
    filters = options.num_filters

    def layer_of(node: Node) -> nn.Module:
        match node:
            case ImageConv():
                return ShiftedConv(image_channels + 1, filters, node.window, node.shift)
            case MaskedImageConv():
                return MaskedImageLayer(image_channels, filters, node.window, num_groups)
            case VerticalConv():
                return CausalConv2d(filters, 2 * filters, node.window)
            case Gate():
                return GateLayer(filters, condition_features)
            case HorizontalBlock():
                return HorizontalLayer(filters, node.window, num_groups, options.dropout, condition_features)
            case MaskedOutput():
                return MaskedOutputLayer(filters, options.num_output_features, num_parameters, num_groups)
        raise AssertionError(node)

    topology = gated_pixelcnn(options.num_layers, options.first_kernel_size, options.kernel_size, num_groups)
    return Network(topology, layer_of)


def _pixelcnn(
    options: PixelCNNOptions, image_channels: int, num_parameters: int, num_groups: int, condition_features: int
) -> Network:
    filters = options.num_filters

    def layer_of(node: Node) -> nn.Module:
        match node:
            case MaskedImageConv():
                return MaskedImageLayer(image_channels, 2 * filters, node.window, num_groups)
            case MaskedResidualBlock():
                return ResidualLayer(filters, node.window, num_groups, options.dropout, condition_features)
            case MaskedOutput():
                return MaskedOutputLayer(2 * filters, options.num_output_features, num_parameters, num_groups)
        raise AssertionError(node)

    topology = pixelcnn(options.num_blocks, options.first_kernel_size, options.kernel_size, num_groups)
    return Network(topology, layer_of)
