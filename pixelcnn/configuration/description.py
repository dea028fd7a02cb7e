"""A model's description, from the configuration or from a checkpoint that it must agree with."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from pixelcnn.configuration.groups import own_arguments, target_of
from pixelcnn.description import ModelDescription
from pixelcnn.errors import UserError
from pixelcnn.execution import Execution
from pixelcnn.image_shape import ImageShape
from pixelcnn.memory_limit import available_memory
from pixelcnn.orders import ALL
from pixelcnn.part import Part
from pixelcnn.signature import arguments_of, name_of
from pixelcnn.weighing import TooLargeError, weights_of

ROLES = {"model": "network", "likelihood": "likelihood", "conditioning": "conditioning"}  # of the groups of a model
ORDER = "order"  # of the group model, and of no part


def execution_of(config: DictConfig) -> Execution:
    """The network's execution options in a composed configuration."""
    return Execution(**{key: config.model[key] for key in arguments_of(Execution)})


def describe(config: DictConfig, image: ImageShape, condition_sizes: Mapping[str, int]) -> ModelDescription:
    """The model that ``config`` asks for, on images of the data set's shape and with conditions of its sizes.

    ``condition_sizes``: the number of classes of its ``labels``, of features of its ``embeddings`` and ``maps``.
    """
    conditioning = _sized(target_of(config, "conditioning"), own_arguments(config, "conditioning"), condition_sizes)
    network, likelihood = _chosen(config, "model"), _chosen(config, "likelihood")
    return _that_fits(ModelDescription(image, network, likelihood, conditioning, config.model.order))


def _that_fits(description: ModelDescription) -> ModelDescription:
    """``description``; UserError if its weights alone need more memory than is available, before any are allocated."""
    available = available_memory()
    try:
        weights_of(description, math.inf if available is None else available)
    except TooLargeError as error:
        told = "is available" if available is None else f"the {available / 1e9:.3g} GB available"
        raise UserError(
            f"model={description.network.name} needs more memory than {told}, for its weights alone: use fewer "
            "filters, layers, mixture components or features."
        ) from error
    return description


def _chosen(config: DictConfig, group: str) -> Any:
    return partial(target_of(config, group), **own_arguments(config, group))


def _sized(target: Any, arguments: dict[str, Any], sizes: Mapping[str, int]) -> Any:
    """A conditioning with the size that it leaves open; UserError where that is none, or not the data set's."""
    key, column = getattr(target, "size_key", None), getattr(target, "batch_key", "")
    if key is None:
        return partial(target, **arguments)
    asked, present = arguments.get(key), sizes.get(column)
    if asked is None and present is None:
        name = getattr(target, "name", name_of(target))
        raise UserError(f"conditioning={name} needs {column}, which the data set does not have: use conditioning=none.")
    if not _fits(key, asked, present):
        raise UserError(
            f"conditioning.{key}={asked} is not the number of {_counted(key)} of the data set's {column}, {present}: "
            "leave it out."
        )
    return partial(target, **{**arguments, key: present if asked is None else asked})


def _fits(key: str, size: int | None, present: int | None) -> bool:
    """Whether a model of ``size`` classes or features takes what a data set has; labels may leave some out."""
    if size is None or present is None:
        return True
    return present <= size if key == "num_classes" else present == size


def _counted(key: str) -> str:
    return key.removeprefix("num_").replace("_", " ")


def require_conditions(stored: ModelDescription, source: str, sizes: Mapping[str, int]) -> None:
    """Raise UserError where the data set lacks what the model in the file ``source`` is conditioned on, or has others.

    ``sizes`` is the data set's ``condition_sizes``.
    """
    target = stored.conditioning.target
    key, column = getattr(target, "size_key", None), getattr(target, "batch_key", "")
    if key is None:
        return
    size, present = stored.conditioning[key], sizes.get(column)
    if present is None:
        raise UserError(f"data has no {column}, which {source} is conditioned on: choose a data set with them.")
    if not _fits(key, size, present):
        has, knows = (
            (f"labels up to {present - 1}", f"knows 0 to {size - 1}")
            if key == "num_classes"
            else (f"{column} of {present} {_counted(key)}", f"takes {size}")
        )
        raise UserError(f"data has {has}, {source} {knows}: choose a data set like the one it was trained on.")


def recorded(config: DictConfig, description: ModelDescription) -> dict[str, Any]:
    """``config`` as plain containers, with the resolved model, also if that is from a checkpoint."""
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    came_to = {group: getattr(description, role).to_dict() for group, role in ROLES.items()}
    beside = {ORDER: description.order, **asdict(execution_of(config))}
    return {**plain, **came_to, "model": {**came_to["model"], **beside}}


def require_agreement(
    stored: ModelDescription, checkpoint: str, config: DictConfig, overrides: list[str], image: ImageShape | None = None
) -> None:
    """Raise UserError if the command line or the data set contradicts the model in the file ``checkpoint``.

    Only what ``overrides`` (Hydra's, as typed) set in the groups model, likelihood and conditioning is compared: the
    defaults and an ``experiment=`` are no wishes for the architecture of a model that exists. Choosing an option, as in
    ``model=pixelcnn_pp``, compares the classes. ``image`` is the data set's shape, where there is a data set; its
    channels and levels have to agree.
    """
    for group, key in chosen(overrides):
        part: Part = getattr(stored, ROLES[group])
        asked: Any
        present: Any
        if key == "_target_":
            option, asked, present = group, target_of(config, group), part.target
        else:
            option, asked = f"{group}.{key}", config[group].get(key)
            present = stored.order if (group, key) == ("model", ORDER) else part.arguments.get(key)
        if asked != present:
            has = f"no {option}" if present is None else f"{option}={_shown(present)}"
            raise UserError(
                f"{option}={_shown(asked)} disagrees with checkpoint={checkpoint}, which has {has}: leave it out."
            )
    if image is not None:
        _require_kind(stored, f"checkpoint={checkpoint}", image)


def _shown(value: Any) -> Any:
    return getattr(value, "name", value.__name__) if isinstance(value, type) else value


def revise(
    stored: ModelDescription,
    init_from: str,
    config: DictConfig,
    overrides: list[str],
    image: ImageShape,
    condition_sizes: Mapping[str, int],
) -> ModelDescription:
    """The model in the file ``init_from`` with what ``overrides`` set in its groups, such as another dropout.

    Raises UserError where the data set's images are of another kind or the stored model no such option; whether its
    weights fit the revised model is a matter of `require_same_weights`.
    """
    _require_kind(stored, f"init_from={init_from}", image)
    parts: dict[str, Part] = {group: getattr(stored, role) for group, role in ROLES.items()}
    order = stored.order
    for group, key in chosen(overrides):
        part = parts[group]
        if (group, key) == ("model", ORDER):
            order = config.model.order
            continue
        if key == "_target_":
            if target_of(config, group) is not part.target:
                parts[group] = Part(target_of(config, group), own_arguments(config, group))
        elif key in part.arguments:
            parts[group] = replace(part, arguments={**part.arguments, key: config[group][key]})
        else:
            raise UserError(
                f"{group}.{key} is not a key of {group}={part.name} in init_from={init_from}: leave it out."
            )
    conditioning: Any = parts["conditioning"]
    if conditioning == stored.conditioning:
        require_conditions(stored, f"init_from={init_from}", condition_sizes)
    else:
        conditioning = _sized(conditioning.target, dict(conditioning.arguments), condition_sizes)
    return _that_fits(ModelDescription(image, parts["model"], parts["likelihood"], conditioning, order))


def require_same_weights(stored: ModelDescription, revised: ModelDescription, init_from: str) -> None:
    """Raise UserError, naming the first option that is why, where the weights of ``stored``, which the file
    ``init_from`` holds, do not fit the model ``revised``."""
    fitting = _weights_of(stored)
    if _weights_of(revised) == fitting:
        return
    if ALL in (stored.order, revised.order) and stored.order != revised.order:
        raise UserError(
            f"model.{ORDER}={revised.order} does not fit the weights of init_from={init_from}, a model with "
            f"model.{ORDER}={stored.order}: give that."
        )
    for group, role in ROLES.items():
        before, after = getattr(stored, role), getattr(revised, role)
        shared = {key: value for key, value in before.arguments.items() if key in after.arguments}
        kept = replace(after, arguments={**after.arguments, **shared})
        culprit = f"init_from={init_from}, a model with {group}"
        if _weights_of(replace(stored, **{role: kept})) != fitting:  # whatever its options
            raise UserError(
                f"{group}={after.name} does not fit the weights of {culprit}={before.name}: leave one of them out."
            )
        for key, asked in after.arguments.items():
            changed = replace(kept, arguments={**kept.arguments, key: asked})
            if asked != before.arguments.get(key) and _weights_of(replace(stored, **{role: changed})) != fitting:
                was = before.arguments.get(key)
                raise UserError(f"{group}.{key}={asked} does not fit the weights of {culprit}.{key}={was}: give that.")
    if (stored.image.height, stored.image.width) != (revised.image.height, revised.image.width):
        raise UserError(
            f"init_from={init_from} has an encoder for images of {stored.image.height}x{stored.image.width}, which "
            f"does not fit data, of {revised.image.height}x{revised.image.width}: choose a data set like its own."
        )


def _weights_of(description: ModelDescription) -> dict[str, torch.Size]:
    return {name: weight.shape for name, weight in weights_of(description).items()}


def _require_kind(stored: ModelDescription, source: str, image: ImageShape) -> None:
    # Not the size: a convolutional model has none of its own.
    if (image.channels, image.levels) != (stored.image.channels, stored.image.levels):
        raise UserError(
            f"data has images of {_described(image)}, {source} is a model of {_described(stored.image)}: "
            "choose a data set like the one it was trained on."
        )


def other_size(stored: ModelDescription, checkpoint: str, image: ImageShape) -> str | None:
    """A sentence about images of another size than the model in the file ``checkpoint`` was made for; else None."""
    own, size = (f"{shape.height}x{shape.width}" for shape in (stored.image, image))
    if size == own:
        return None
    return f"The images are of {size}, {checkpoint} is a model of {own}: scores of different sizes cannot be compared."


def chosen(overrides: list[str]) -> Iterator[tuple[str, str]]:
    """Group and key of each value that ``overrides`` set of a model; the key of an option is ``_target_``."""
    for override in OverridesParser.create().parse_overrides(overrides):
        group, _, key = override.key_or_group.partition(".")
        value = override.value()
        if group in ROLES:
            for name in [key] if key else value if isinstance(value, dict) else ["_target_"]:
                if group != "model" or name not in arguments_of(Execution):
                    yield group, name


def _described(image: ImageShape) -> str:
    return f"{image.channels} channels with {image.levels} levels"
