"""What Hydra leaves unchecked when it has composed: added and missing keys, ranges, devices, the data set's types."""

import math
from dataclasses import fields, is_dataclass
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError

from pixelcnn.configuration.data import check_data
from pixelcnn.configuration.devices import check_devices
from pixelcnn.configuration.messages import keys_of, sentence, unknown_key
from pixelcnn.configuration.store import GROUPS
from pixelcnn.errors import UserError

LARGEST = 2**53  # up to which floats hold every whole number


def check(config: DictConfig) -> None:
    """Raise UserError for the first thing wrong with a composed ``pixelcnn.configuration.schemas.Config``.

    Its types have been checked while it was composed, but for the data set's, whose class is the schema.
    """
    try:
        OmegaConf.to_container(config, resolve=True)
    except InterpolationResolutionError as error:
        raise UserError(sentence(error)) from error
    added = _added(config, "")
    if added is not None:
        raise UserError(unknown_key(added, [key for key in keys_of(config) if key != added]))
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise UserError(f"{missing[0]} has no value: give {missing[0]}=VALUE.")
    infinite = _not_finite(config, "")
    if infinite is not None:
        raise UserError(f"{infinite} is out of range: use a finite number, and a whole one of at most {LARGEST}.")
    _check_options(config)
    checked: Any = OmegaConf.to_object(config)
    if checked.task.uses_devices:
        check_devices(checked.trainer)
    if checked.task.uses_data:
        check_data(config.data)


def _check_options(config: DictConfig) -> None:
    for group, schemas in GROUPS.items():
        name = config[group].get("name")
        if name is not None and schemas.get(name) is not OmegaConf.get_type(config[group]):
            raise UserError(f"{group}.name={name} does not choose an option: write {group}={name}.")


def _not_finite(node: Any, key: str) -> str | None:
    """The first KEY=VALUE that is infinite, not a number, or of more digits than any is needed; arguments of callbacks
    and plugins are their own."""
    if isinstance(node, float | int):
        return None if math.isfinite(node) and (isinstance(node, float) or abs(node) <= LARGEST) else f"{key}={node}"
    if not isinstance(node, DictConfig | ListConfig) or key in ("trainer.callbacks", "trainer.plugins"):
        return None
    if isinstance(node, DictConfig):
        items = [(f"{key}." * bool(key) + str(name), value) for name, value in node.items()]
    else:
        items = [(f"{key}[{place}]", value) for place, value in enumerate(node)]
    below = (_not_finite(value, path) for path, value in items)
    return next((found for found in below if found is not None), None)


def _added(node: DictConfig, prefix: str) -> str | None:
    """The first key that +key=value has put where the schema has none."""
    schema = OmegaConf.get_type(node)
    known = {field.name for field in fields(schema)} if is_dataclass(schema) else set(node)
    for name in map(str, node):
        key = f"{prefix}{name}"
        if name not in known:
            return key
        below = None if OmegaConf.is_missing(node, name) else node[name]
        found = _added(below, f"{key}.") if isinstance(below, DictConfig) else None
        if found is not None:
            return found
    return None
