"""The description of a model, from the configuration or, where there is a checkpoint, in agreement with it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from pixelcnn.configuration.network import EXECUTION, execution_of, network_options
from pixelcnn.errors import UserError
from pixelcnn.memory_limit import available_memory
from pixelcnn.options import ClassOptions, ImageShape, ModelDescription, SpatialOptions, VectorOptions
from pixelcnn.shapes import TooLargeError, weights_of
from pixelcnn.typed import shown

GROUPS = ("model", "likelihood", "conditioning")
# What decides which images a run holds out, and what a resumed run has to keep in all.
HELD_OUT = ("seed", "data._target_", "data.val_size")
RESUMED = (
    *HELD_OUT,
    *("data.batch_size", "objective.name", "objective.num_samples"),
    *("optim.lr", "optim.betas", "optim.lr_decay", "ema.decay", "ema.warmup"),
)


# By kind of condition: its name in a batch, and the option that says how many values it has.
SIZES = {
    ClassOptions: ("labels", "num_classes"),
    VectorOptions: ("embeddings", "num_features"),
    SpatialOptions: ("maps", "num_features"),
}


def describe(config: DictConfig, image: ImageShape, condition_sizes: Mapping[str, int]) -> ModelDescription:
    """The model that ``config`` asks for, on images of the data set's shape and with conditions of its sizes.

    ``condition_sizes``: the number of classes of its ``labels``, of features of its ``embeddings`` and ``maps``.
    """
    model, likelihood, conditioning = (_options(config, group) for group in GROUPS)
    return _that_fits(ModelDescription(image, model, likelihood, _sized(conditioning, condition_sizes)))


def _that_fits(description: ModelDescription) -> ModelDescription:
    """``description``; UserError where its weights alone take more memory than there is, before any are made."""
    available = available_memory()
    try:
        weights_of(description, math.inf if available is None else available)
    except TooLargeError as error:
        told = "there is" if available is None else f"the {available / 1e9:.3g} GB that are free"
        raise UserError(
            f"model={description.model.name} takes more memory than {told}, for its weights alone: use fewer filters, "
            "layers, mixture components or features."
        ) from error
    return description


def _options(config: DictConfig, group: str) -> Any:
    options = OmegaConf.to_object(config[group])
    return network_options(options) if group == "model" else options


def _sized(conditioning: Any, sizes: Mapping[str, int]) -> Any:
    """``conditioning`` with the size that it leaves open; UserError where that is none, or not the data set's."""
    if type(conditioning) not in SIZES:
        return conditioning
    column, option = SIZES[type(conditioning)]
    asked, present = getattr(conditioning, option), sizes.get(column)
    if asked is None and present is None:
        name = conditioning.name
        raise UserError(f"conditioning={name} needs {column}, which the data set does not have: use conditioning=none.")
    if not _fits(option, asked, present):
        count = "classes" if option == "num_classes" else "features"
        raise UserError(
            f"conditioning.{option}={asked} is not the number of {count} of the data set's {column}, {present}: "
            "leave it out."
        )
    return conditioning if asked is not None else replace(conditioning, **{option: present})


def _fits(option: str, size: int | None, present: int | None) -> bool:
    """Whether a model of ``size`` classes or features takes what a data set has; labels may leave some out."""
    if size is None or present is None:
        return True
    return present <= size if option == "num_classes" else present == size


def require_conditions(stored: ModelDescription, source: str, sizes: Mapping[str, int]) -> None:
    """Raise UserError where the data set lacks what the model in the file ``source`` is conditioned on, or has others.

    ``sizes`` is the data set's ``condition_sizes``.
    """
    conditioning = stored.conditioning
    if type(conditioning) not in SIZES:
        return
    column, option = SIZES[type(conditioning)]
    size, present = getattr(conditioning, option), sizes.get(column)
    if present is None:
        raise UserError(f"data has no {column}, which {source} is conditioned on: choose a data set with them.")
    if not _fits(option, size, present):
        has, knows = (
            (f"labels up to {present - 1}", f"knows 0 to {size - 1}")
            if option == "num_classes"
            else (f"{column} of {present} features", f"takes {size}")
        )
        raise UserError(f"data has {has}, {source} {knows}: choose a data set like the one that it was trained on.")


def recorded(config: DictConfig, description: ModelDescription) -> dict[str, Any]:
    """``config`` as plain containers, with the model that it came to, be it from a checkpoint."""
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    came_to = {group: asdict(getattr(description, group)) for group in GROUPS}
    return {**plain, **came_to, "model": {**came_to["model"], **asdict(execution_of(config))}}


def require_agreement(
    stored: ModelDescription, checkpoint: str, config: DictConfig, overrides: list[str], image: ImageShape | None = None
) -> None:
    """Raise UserError where the command line or the data set contradict the model in the file ``checkpoint``.

    Only what ``overrides`` (Hydra's, as typed) set in the groups model, likelihood and conditioning is compared: the
    defaults and an ``experiment=`` are no wishes for the architecture of a model that exists. Choosing an option, as in
    ``model=pixelcnn_pp``, compares the names. ``image`` is the data set's shape, where there is a data set; its
    channels and levels have to agree.
    """
    for group, key in chosen(overrides):
        asked = config[group][key]
        present = asdict(getattr(stored, group)).get(key)
        if asked != present:
            option = group if key == "name" else f"{group}.{key}"
            has = f"{option}={present}" if present is not None else f"no {option}"
            raise UserError(f"{option}={asked} disagrees with checkpoint={checkpoint}, which has {has}: leave it out.")
    if image is not None:
        _require_kind(stored, f"checkpoint={checkpoint}", image)


def require_same_run(stored: dict[str, Any], config: DictConfig, keys: tuple[str, ...]) -> None:
    """Raise UserError where ``config`` has another value of one of ``keys`` than the run that left the checkpoint.

    ``stored`` is that run's configuration; keys that it does not have (an imported model's) are free.
    """
    now = OmegaConf.to_container(config, resolve=True)
    for key in keys:
        was, asked = _entry(stored, key), _entry(now, key)
        if was is not None and was != asked:
            option = key.removesuffix(".name")
            raise UserError(
                f"{option}={asked} disagrees with checkpoint={config.checkpoint}, whose run has {option}={shown(was)}: "
                "give that one (or start a new run from its weights, by init_from=)."
            )


def _entry(plain: Any, key: str) -> Any:
    """What nested dictionaries hold under ``key``, with dots; None for nothing. What a file holds is not resolved."""
    for name in key.split("."):
        plain = plain.get(name) if isinstance(plain, dict) else None
    return plain


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
    groups = {group: getattr(stored, group) for group in GROUPS}
    for group, key in chosen(overrides):
        if key == "name":
            if config[group].name != groups[group].name:
                groups[group] = _options(config, group)
        elif hasattr(groups[group], key):
            groups[group] = replace(groups[group], **{key: config[group][key]})
        else:
            name = groups[group].name
            raise UserError(f"{group}.{key} is no option of {group}={name} in init_from={init_from}: leave it out.")
    if groups["conditioning"] == stored.conditioning:
        require_conditions(stored, f"init_from={init_from}", condition_sizes)
    else:
        groups["conditioning"] = _sized(groups["conditioning"], condition_sizes)
    return _that_fits(ModelDescription(image, **groups))


def require_same_weights(stored: ModelDescription, revised: ModelDescription, init_from: str) -> None:
    """Raise UserError, naming the first option that is why, where the weights of ``stored``, which the file
    ``init_from`` holds, do not fit the model ``revised``."""
    fitting = _weights_of(stored)
    if _weights_of(revised) == fitting:
        return
    for group in GROUPS:
        before, after = asdict(getattr(stored, group)), getattr(revised, group)
        kept = replace(after, **{key: value for key, value in before.items() if hasattr(after, key) and key != "name"})
        culprit = f"init_from={init_from}, a model with {group}"
        if _weights_of(replace(stored, **{group: kept})) != fitting:  # whatever its options
            raise UserError(
                f"{group}={after.name} does not fit the weights of {culprit}={before['name']}: leave one of them out."
            )
        changed = {key: asked for key, asked in asdict(after).items() if key != "name" and asked != before.get(key)}
        for key, asked in changed.items():
            if _weights_of(replace(stored, **{group: replace(kept, **{key: asked})})) != fitting:
                raise UserError(
                    f"{group}.{key}={asked} does not fit the weights of {culprit}.{key}={before.get(key)}: give that."
                )
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
            "choose a data set like the one that it was trained on."
        )


def chosen(overrides: list[str]) -> Iterator[tuple[str, str]]:
    """Group and key of each value that ``overrides`` set of a model; the key of an option is `name`."""
    for override in OverridesParser.create().parse_overrides(overrides):
        group, _, key = override.key_or_group.partition(".")
        value = override.value()
        if group in GROUPS:
            for name in [key] if key else value if isinstance(value, dict) else ["name"]:
                if group != "model" or name not in EXECUTION:
                    yield group, name


def _described(image: ImageShape) -> str:
    return f"{image.channels} channels with {image.levels} levels"
