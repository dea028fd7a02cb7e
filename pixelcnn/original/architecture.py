"""Infers the original's model from the names and shapes of its variables."""

import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from pixelcnn.conditioning import ClassLabels, Unconditional
from pixelcnn.description import ModelDescription
from pixelcnn.errors import UserError
from pixelcnn.image_shape import ImageShape
from pixelcnn.likelihood import DiscretizedLogisticMixture, Implicit
from pixelcnn.network import PixelCNNPP

NUM_STAGES = 3
DROPOUT = 0.5  # the original's default; its checkpoints do not say


def infer_description(
    variables: dict[str, np.ndarray], source: str, nonlinearity: Any, height: int, width: int
) -> ModelDescription:
    """The model of ``variables`` ("model/conv2d_0/V", … as in the original), with the original's likelihood formula,
    or for its option ``-ed`` without a density.

    ``nonlinearity`` is needed unless it is concat_elu: elu and relu have the same variables. UserError, naming what is
    missing, if the names do not fit any PixelCNN++.
    """
    scopes = Counter(
        match[1] for name in variables if (match := re.fullmatch(r"model/([a-z0-9_]+?)_\d+/(?:V|hw)", name))
    )
    first = _shape(variables, "model/conv2d_0/V", 4, source)
    blocks = (scopes["conv2d"] - 15) // 24
    if blocks < 1 or scopes["conv2d"] != 24 * blocks + 15:
        raise UserError(
            f"task.source={source} has {scopes['conv2d']} layers model/conv2d_*, which no PixelCNN++ has "
            "(39, 63, 87, … for 1, 2, 3, … blocks per stage): it is incomplete or another model."
        )
    filters, channels = first[3], first[2] - 1
    if filters < 1:
        raise UserError(f"task.source={source} has model/conv2d_0/V of shape {first}, without filters: it is damaged.")
    if channels != 3:
        raise UserError(f"task.source={source} has model/conv2d_0/V for {channels} channels: the original has 3.")
    classes = _shape(variables, "model/conditional_weights_0/hw", 2, source)[0] if scopes["conditional_weights"] else 0
    return ModelDescription(
        image=ImageShape(channels, height, width),
        network=partial(
            PixelCNNPP,
            num_filters=filters,
            num_resnet_blocks=blocks,
            num_stages=NUM_STAGES,
            nonlinearity=_nonlinearity(variables, source, filters, nonlinearity),
            dropout=DROPOUT,
        ),
        likelihood=_likelihood(variables, 9 * blocks + 4, source),
        conditioning=partial(ClassLabels, num_classes=classes) if classes else Unconditional,
    )


def _likelihood(variables: dict[str, np.ndarray], output: int, source: str) -> Callable[..., Any]:
    """The likelihood of the dense layers from number ``output`` on: one for a mixture, four for ``-ed``."""
    layer = f"model/dense_{output}/V"
    outputs, of_noise = _shape(variables, layer, 2, source)[1], f"model/dense_{output + 1}/V"
    if of_noise in variables:
        noise = _shape(variables, of_noise, 2, source)[0]
        if outputs and noise:
            return partial(Implicit, num_features=outputs, num_noise=noise)
        raise UserError(f"task.source={source} has {layer} or {of_noise} without values: it is damaged.")
    if outputs < 10 or outputs % 10:
        raise UserError(
            f"task.source={source} has {layer} with {outputs} outputs, not ten a mixture component: "
            "it is another model."
        )
    return partial(DiscretizedLogisticMixture, num_mixtures=outputs // 10, tails="original")


def _shape(variables: dict[str, np.ndarray], name: str, rank: int, source: str) -> tuple[int, ...]:
    if name not in variables:
        raise UserError(f"task.source={source} lacks {name}: it is incomplete or not a checkpoint of the original.")
    shape = variables[name].shape
    if len(shape) != rank:
        raise UserError(f"task.source={source} has {name} of shape {shape}, which must have {rank} dimensions.")
    return shape


def _nonlinearity(variables: dict[str, np.ndarray], source: str, filters: int, asked: Any) -> Any:
    # The first block's first convolution sees concat_elu's 2F channels, or F.
    expansion = _shape(variables, "model/conv2d_3/V", 4, source)[2] / filters
    possible = {2.0: ("concat_elu",), 1.0: ("elu", "relu")}.get(expansion, ())
    if not possible:
        raise UserError(
            f"task.source={source} has model/conv2d_3/V of shape {variables['model/conv2d_3/V'].shape}, which does not "
            f"fit {filters} filters: it is damaged or another model."
        )
    if asked is None and len(possible) == 1:
        return possible[0]
    if asked not in possible:
        raise UserError(
            f"model.nonlinearity={asked} does not fit task.source={source}, whose shapes are those of "
            f"{' or '.join(possible)}: give model.nonlinearity={possible[0]}."
        )
    return asked
