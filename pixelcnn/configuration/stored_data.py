"""What a run takes from its checkpoint before keys are checked: model parts and data set."""

import os
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from pixelcnn.configuration.groups import GROUPS, imported, trusted_packages
from pixelcnn.configuration.root import LAST
from pixelcnn.errors import UserError


def typed(hydra: HydraConf | DictConfig) -> list[str]:
    """The overrides of the job whose Hydra node is ``hydra``, as typed, with interpolations unresolved."""
    return list(OmegaConf.to_container(hydra.overrides.task, resolve=False))  # type: ignore[arg-type]


def take_stored(config: DictConfig, overrides: list[str]) -> None:
    """Put the parts of the checkpoint's model into ``config``, and for tasks that read images its run's data set.

    Keys set by ``overrides`` stay, and so does a group whose option they choose (for data, also through an experiment).
    UserError if a class is from a package that is not trusted, or if a run to resume had another kind of data set and
    none was chosen.
    """
    key = "init_from" if config.checkpoint is None else "checkpoint"
    path = Path(str(config[key]))
    if config[key] in (None, "", LAST) or not os.path.exists(path):  # Path.exists raises if a name is too long
        return
    from pixelcnn.checkpoint import glance  # torch takes seconds to import, and tab completion must not wait for it

    content = glance(path, key)
    stored = content["pixelcnn"]
    _take_model(config, overrides, stored["description"], f"{key}={path}")
    task = imported(config.task._target_, "task")
    data = stored["config"].get("data")
    if not task.uses_data or _chosen(overrides):
        return
    if task.needs_checkpoint:
        _take_data(config, overrides, data, path)
    elif config.task.name == "train" and key == "checkpoint" and "optimizer_states" in content:
        _require_same_kind(data, config.data._target_, path)


def _take_model(config: DictConfig, overrides: list[str], parts: dict[str, dict[str, Any]], named: str) -> None:
    """Only parts whose class differs from the configured one; for equal classes all keys are known."""
    from pixelcnn.configuration.description import ROLES, chosen
    from pixelcnn.description import are_several, stored_parts

    wanted = {group for group, key in chosen(overrides) if key == "_target_"}
    for group, role in ROLES.items():
        stored = parts.get(role, {})
        several = are_several(stored, role)
        # Parts without a target are of an earlier format, with parts of the project, or damaged.
        if group in wanted or (not several and stored.get("_target_") in (None, config[group].get("_target_"))):
            continue
        try:
            part = stored_parts(stored, role, trusted_packages(config))
        except UserError as error:
            raise UserError(f"{named} describes a model whose {error}") from error
        beside = {key: config[group][key] for key in GROUPS[group].beside() if key in config[group]}
        _replace(config, group, {**part.to_dict(), **beside}, overrides)


def _take_data(config: DictConfig, overrides: list[str], stored: Any, path: Path) -> None:
    if not stored:
        return
    package = str(stored.get("_target_")).partition(".")[0]
    if package not in ("pixelcnn", *trusted_packages(config)):
        raise UserError(
            f"checkpoint={path} was trained on data of {stored.get('_target_')!r}, from outside this project, which "
            f"would be imported: choose data=NAME, or give trust=[{package}] if you trust the file."
        )
    _require_data_set(stored, path)
    _replace(config, "data", stored, overrides)


def _require_same_kind(stored: Any, target: str, path: Path) -> None:
    """Raise UserError if ``stored``, the data set of the run to resume, is of another class than ``target``."""
    if isinstance(stored, dict) and stored.get("_target_") not in (None, target):
        raise UserError(
            f"checkpoint={path} is of a run on data of {stored['_target_']}, not of {target}: to resume it, repeat the "
            "command in its run.json with this checkpoint=."
        )


def _replace(config: DictConfig, group: str, stored: dict[str, Any], overrides: list[str]) -> None:
    """Replace ``group`` by ``stored``, keeping the keys that ``overrides`` set in it."""
    values = OmegaConf.create(stored, flags={"struct": False})
    for override in OverridesParser.create().parse_overrides(overrides):
        of, _, key = override.key_or_group.partition(".")
        if of == group and key and not override.is_delete():
            OmegaConf.update(values, key, OmegaConf.select(config, override.key_or_group))
    with open_dict(config):
        config[group] = values


def _require_data_set(stored: dict[str, Any], path: Path) -> None:
    """Raise UserError unless ``stored``, read from the file ``path``, is a data set and plain values for it."""
    from pixelcnn.data.base import ImageDataModule

    target = imported(stored["_target_"], f"data of checkpoint={path}")
    refused = [key for key, value in stored.items() if key != "_target_" and not _is_value({key: value})]
    if refused or not (isinstance(target, type) and issubclass(target, ImageDataModule)):
        what = f"data.{refused[0]}" if refused else "data"
        raise UserError(f"checkpoint={path} has a {what} that is not a data set's: choose data=NAME.")


def _is_value(value: Any) -> bool:
    """Whether nothing in ``value`` would be resolved or called."""
    if isinstance(value, dict):
        return not any(str(key).startswith("_") for key in value) and all(map(_is_value, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_value, value))
    return not (isinstance(value, str) and "${" in value)


def _chosen(overrides: list[str]) -> bool:
    """Whether one of ``overrides``, or an experiment among them, chooses ``data``."""
    loader = GlobalHydra.instance().config_loader()
    return "data" in loader.compute_defaults_list("config", overrides, RunMode.RUN).overrides.override_choices
