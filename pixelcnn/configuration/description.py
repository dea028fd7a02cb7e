"""A model's description, from the configuration or from a checkpoint that it must agree with."""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from pixelcnn.configuration.groups import own_arguments, parts_of, target_of
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
CONDITIONING = "conditioning"
ORDER = "order"  # of the group model, and of no part


def execution_of(config: DictConfig) -> Execution:
    """The network's execution options in a composed configuration."""
    return Execution(**{key: config.model[key] for key in arguments_of(Execution)})


def describe(config: DictConfig, image: ImageShape, condition_sizes: Mapping[str, int]) -> ModelDescription:
    """The model that ``config`` describes, for images of the data set's shape and conditions of its sizes.

    ``condition_sizes``: the data set's, see `pixelcnn.data.base.ImageDataModule`.
    """
    network, likelihood = (
        partial(target_of(config, group), **own_arguments(config, group)) for group in ("model", "likelihood")
    )
    parts = {one: (target_of(config, one), own_arguments(config, one)) for one in parts_of(config, CONDITIONING)}
    conditioning = _for_the_data(parts, condition_sizes)
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


def _for_the_data(parts: Mapping[str, tuple[Any, Mapping[str, Any]]], sizes: Mapping[str, int]) -> Any:
    """The conditioning, one or several, of classes and arguments keyed as in ``conditioning.class``, for a data set."""
    sized = {where: _sized(target, dict(own), sizes, f"{where}.") for where, (target, own) in parts.items()}
    if CONDITIONING in sized:
        return sized[CONDITIONING]
    return {where.removeprefix(f"{CONDITIONING}."): part for where, part in sized.items()}


def _sized(target: Any, arguments: dict[str, Any], sizes: Mapping[str, int], prefix: str) -> Any:
    """A conditioning with its size filled in; UserError if the data set has none, or another one."""
    key, column = getattr(target, "size_key", None), getattr(target, "batch_key", "")
    if key is None:
        return partial(target, **arguments)
    asked, present = arguments.get(key), sizes.get(column)
    if asked is None and present is None:
        name = getattr(target, "name", name_of(target))
        raise UserError(f"conditioning={name} needs {column}, which the data set does not have: use conditioning=none.")
    if not _fits(key, asked, present):
        raise UserError(
            f"{prefix}{key}={asked} is not the number of {_counted(key)} of the data set's {column}, {present}: "
            "leave it out."
        )
    return partial(target, **{**arguments, key: present if asked is None else asked})


def _fits(key: str, size: int | None, present: int | None) -> bool:
    """Whether a model of ``size`` takes the data set's conditions; the data may use fewer labels and codes."""
    if size is None or present is None:
        return True
    return present <= size if key in ("num_classes", "num_codes") else present == size


def _counted(key: str) -> str:
    return key.removeprefix("num_").replace("_", " ")


def require_conditions(
    stored: ModelDescription, source: str, sizes: Mapping[str, int], besides: Collection[str] = ()
) -> None:
    """Raise UserError if the data set does not have the conditions of the model in the file ``source``.

    ``sizes`` is the data set's ``condition_sizes``; it need not have those named in ``besides``.
    """
    for part in _of_group(by_group(stored), CONDITIONING).values():
        key, column = getattr(part.target, "size_key", None), getattr(part.target, "batch_key", "")
        if key is None or column in besides:
            continue
        size, present = part[key], sizes.get(column)
        if present is None:
            raise UserError(f"data has no {column}, which {source} is conditioned on: choose a data set with them.")
        if not _fits(key, size, present):
            has, knows = (
                (f"{column} up to {present - 1}", f"knows 0 to {size - 1}")
                if key in ("num_classes", "num_codes")
                else (f"{column} of {present} {_counted(key)}", f"takes {size}")
            )
            raise UserError(f"data has {has}, {source} {knows}: choose a data set like the one it was trained on.")


def recorded(config: DictConfig, description: ModelDescription) -> dict[str, Any]:
    """``config`` as plain containers, with the model's resolved parts, even if they are from a checkpoint."""
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    came_to = {group: getattr(description, role).to_dict() for group, role in ROLES.items()}
    beside = {ORDER: description.order, **asdict(execution_of(config))}
    return {**plain, **came_to, "model": {**came_to["model"], **beside}}


def require_agreement(
    stored: ModelDescription, checkpoint: str, config: DictConfig, overrides: list[str], image: ImageShape | None = None
) -> None:
    """Raise UserError if the command line or the data set contradicts the model in the file ``checkpoint``.

    Only keys of the groups model, likelihood and conditioning that ``overrides`` (Hydra's, as typed) set are compared,
    not defaults or those of an ``experiment=``. For an option, as in ``model=pixelcnn_pp``, the classes are compared.
    ``image`` is the data set's shape, if there is a data set; its channels and levels have to agree.
    """
    parts = by_group(stored)
    for group, key in chosen(overrides):
        where, key = _part_of(group, key, parts)
        asked: Any
        present: Any
        if key == "_target_":
            option, asked, present = group, _classes_of(config, group), _of_group(parts, group)
            present = {one: part.target for one, part in present.items()}
        else:
            option, asked = f"{where}.{key}", OmegaConf.select(config, f"{where}.{key}")
            present = parts[where].arguments.get(key) if where in parts else None
            present = stored.order if option == f"model.{ORDER}" else present
        if asked != present:
            has = f"no {option}" if present is None else f"{option}={_shown(present)}"
            raise UserError(
                f"{option}={_shown(asked)} disagrees with checkpoint={checkpoint}, which has {has}: leave it out."
            )
    if image is not None:
        _require_kind(stored, f"checkpoint={checkpoint}", image)


def by_group(description: ModelDescription) -> dict[str, Part]:
    """The parts of ``description``, keyed as in the configuration: ``model``, or ``conditioning.class``."""
    groups = {role: group for group, role in ROLES.items()}
    return {groups.get(role, role): part for role, part in description.parts.items()}


def _of_group(parts: Mapping[str, Part], group: str) -> dict[str, Part]:
    return {where: part for where, part in parts.items() if where.partition(".")[0] == group}


def _part_of(group: str, key: str, parts: Mapping[str, Part]) -> tuple[str, str]:
    """Which of ``parts`` the key ``group.key`` belongs to; keys of several conditionings begin with the part's name."""
    if key == "_target_" or group in parts:
        return group, key
    name, _, key = key.partition(".")
    return f"{group}.{name}", key


def _classes_of(config: DictConfig, group: str) -> dict[str, type]:
    """The classes that ``config`` has in ``group``, keyed as in ``conditioning.class``."""
    return {where: target_of(config, where) for where in parts_of(config, group)}


def _shown(value: Any) -> Any:
    if isinstance(value, dict):  # classes of a group's parts
        shown = [_shown(one) for one in value.values()]
        return shown[0] if len(shown) == 1 else f"[{','.join(shown)}]"
    return getattr(value, "name", value.__name__) if isinstance(value, type) else value


def revise(
    stored: ModelDescription,
    init_from: str,
    config: DictConfig,
    overrides: list[str],
    image: ImageShape,
    condition_sizes: Mapping[str, int],
) -> ModelDescription:
    """The model in the file ``init_from``, changed by what ``overrides`` set in its groups, such as another dropout.

    Raises UserError if the data set's images are of another kind, or the stored model has no such option.
    `require_same_weights` checks whether the weights fit the revised model.
    """
    _require_kind(stored, f"init_from={init_from}", image)
    parts, order = by_group(stored), stored.order
    for group, key in chosen(overrides):
        where, key = _part_of(group, key, parts)
        if (where, key) == ("model", ORDER):
            order = config.model.order
        elif key == "_target_":
            before, parts = parts, {one: part for one, part in parts.items() if one.partition(".")[0] != group}
            for one, target in _classes_of(config, group).items():
                same = one in before and before[one].target is target
                parts[one] = before[one] if same else Part(target, own_arguments(config, one))
        elif where in parts and key in parts[where].arguments:
            value = OmegaConf.select(config, f"{where}.{key}")
            parts[where] = replace(parts[where], arguments={**parts[where].arguments, key: value})
        else:
            has = _shown({one: part.target for one, part in _of_group(parts, group).items()})
            raise UserError(f"{where}.{key} is not a key of {group}={has} in init_from={init_from}: leave it out.")
    of_conditions = _of_group(parts, CONDITIONING)
    if of_conditions == _of_group(by_group(stored), CONDITIONING):
        require_conditions(stored, f"init_from={init_from}", condition_sizes)
        conditioning = stored.conditioning
    else:
        parts_of_data = {where: (part.target, part.arguments) for where, part in of_conditions.items()}
        conditioning = _for_the_data(parts_of_data, condition_sizes)
    return _that_fits(ModelDescription(image, parts["model"], parts["likelihood"], conditioning, order))


def require_same_weights(stored: ModelDescription, revised: ModelDescription, init_from: str) -> None:
    """Raise UserError, naming the first option responsible, if weights of ``stored`` do not fit ``revised``."""
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
        own: Mapping[str, Any] = {}
        kept = after
        if isinstance(before, Part) and isinstance(after, Part):
            own = after.arguments
            shared = {key: value for key, value in before.arguments.items() if key in own}
            kept = replace(after, arguments={**own, **shared})
        culprit = f"init_from={init_from}, a model with {group}"
        if _weights_of(replace(stored, **{role: kept})) != fitting:  # whatever its options
            raise UserError(
                f"{group}={after.name} does not fit the weights of {culprit}={before.name}: leave one of them out."
            )
        for key, asked in own.items():
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
    channels, levels = stored.image.channels, stored.image.levels
    if (image.channels, image.levels) == (channels, levels):
        return
    keys = [f"data.channels={channels}"] if image.channels != channels and channels in (1, 3) else []
    keys += [f"data.levels={levels}"] if image.levels > levels else []
    instead = f", or convert its images by {' '.join(keys)} where it has such keys" if keys else ""
    raise UserError(
        f"data has images of {_described(image)}, {source} is a model of {_described(stored.image)}: "
        f"choose a data set like the one it was trained on{instead}."
    )


def other_size(stored: ModelDescription, checkpoint: str, image: ImageShape) -> str | None:
    """A sentence if the images' size is not that of the model in the file ``checkpoint``, else None."""
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
