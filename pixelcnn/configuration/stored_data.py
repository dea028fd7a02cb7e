"""The data set that a checkpoint was trained on, which its other tasks use unless the command line chooses one."""

from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from pixelcnn.configuration.groups import imported, trusted_packages
from pixelcnn.errors import UserError


def typed(hydra: HydraConf | DictConfig) -> list[str]:
    """The overrides of the job whose Hydra node is ``hydra``, as they were typed: interpolations are not resolved."""
    return list(OmegaConf.to_container(hydra.overrides.task, resolve=False))  # type: ignore[arg-type]


def take_stored_data(config: DictConfig, overrides: list[str]) -> None:
    """Give a task that reads a checkpoint the ``data`` of that checkpoint's run, and keys that ``overrides`` set in it.

    Nothing changes where ``overrides`` choose a data set, by an experiment too, or the checkpoint has none. UserError
    where the data set's class is from a package that is not trusted.
    """
    task = imported(config.task._target_, "task")
    path = Path(str(config.checkpoint))
    if not (task.needs_checkpoint and task.uses_data) or not path.exists() or _chosen(overrides):
        return
    from pixelcnn.checkpoint import glance  # torch takes seconds to import, and tab completion must not wait for it

    stored = glance(path)["pixelcnn"]["config"].get("data")
    if not stored:
        return
    package = str(stored.get("_target_")).partition(".")[0]
    if package not in ("pixelcnn", *trusted_packages(config)):
        raise UserError(
            f"checkpoint={path} was trained on data of {stored.get('_target_')!r}, from outside this project, which "
            f"would be imported: choose data=NAME, or give trust=[{package}] if you trust the file."
        )
    _require_data_set(stored, path)
    data = OmegaConf.create(stored, flags={"struct": False})
    for override in OverridesParser.create().parse_overrides(overrides):
        group, _, key = override.key_or_group.partition(".")
        if group == "data" and key:
            OmegaConf.update(data, key, override.value())
    with open_dict(config):
        config.data = data


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
    """Whether ``data`` is chosen by one of ``overrides`` or by an experiment among them; not all of them choose one."""
    loader = GlobalHydra.instance().config_loader()
    return "data" in loader.compute_defaults_list("config", overrides, RunMode.RUN).overrides.override_choices
