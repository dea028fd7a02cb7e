"""Which file of ``conf/`` a key of the composed configuration is from."""

from collections.abc import Sequence

from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from pixelcnn.configuration.groups import GROUPS
from pixelcnn.errors import UserError, meant


def preset_of(key: str, overrides: Sequence[str]) -> str | None:
    """The option of another group, such as ``experiment=digits``, that sets ``key``; None if it is typed."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    if any(override.key_or_group == key for override in parsed):
        return None
    found, (parent, _, last) = None, key.rpartition(".")
    for path, config in _composed_of(overrides) or ():
        group, _, name = path.partition("/")
        # By the names alone: values may refer to what is in other files.
        if name and group != key.partition(".")[0] and last in list(OmegaConf.select(config, parent) or ()):
            found = f"{group}={name}"
    return found


def is_of_replaced_class(key: str, overrides: Sequence[str]) -> bool:
    """Whether ``key`` is from the option whose class ``overrides`` replace by ``_target_``, and not typed itself."""
    typed = {override.key_or_group for override in OverridesParser.create().parse_overrides(list(overrides))}
    return key not in typed and f"{key.rpartition('.')[0]}._target_" in typed


def require_parts_to_leave_out(overrides: Sequence[str]) -> None:
    """Raise UserError if one of ``overrides`` leaves out a part that does not exist: ``callbacks.sampels=null``."""
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        group, _, name = override.key_or_group.partition(".")
        several = group in GROUPS and GROUPS[group].several
        sets_one = name and not (override.is_delete() or override.is_sweep_override())
        if not (several and sets_one and override.value() is None):
            continue
        files = _composed_of(overrides)
        if files is None:
            return
        there = _parts_in(group, overrides, files)
        if name not in there and "." not in name:
            told = meant(name, there, f"{group} has {', '.join(there) or 'none'}.", f"{group}.{{}}=null")
            raise UserError(f"{group}.{name}=null leaves out a part that is not there: {told}")


def _parts_in(group: str, overrides: Sequence[str], files: Sequence[tuple[str, DictConfig]]) -> list[str]:
    """The names of the parts in the options of ``group`` and of those that ``overrides`` and ``files`` add."""
    loader = GlobalHydra.instance().config_loader()
    options = (f"{group}/{name}" for name in loader.get_group_options(group, ObjectType.CONFIG))
    alone = [_loaded(path, group) for path in options]
    found = [OmegaConf.select(config, group) or {} for config in (*alone, *(keys for _, keys in files))]
    typed = (override.partition("=")[0].lstrip("+").split(".") for override in overrides)
    added = [key[1] for key in typed if key[0] == group and len(key) > 2]
    return list(dict.fromkeys([*(str(name) for parts in found for name in parts), *added]))


def _composed_of(overrides: Sequence[str]) -> list[tuple[str, DictConfig]] | None:
    """The composed files in order: each one's name within ``conf/``, and the keys that it sets.

    None if a file is found by ``hydra.searchpath``, which Hydra searches only while it composes.
    """
    loader = GlobalHydra.instance().config_loader()
    try:
        files = loader.compute_defaults_list("config", list(overrides), RunMode.RUN).defaults
    except MissingConfigException:
        return None
    return [
        (file.config_path, _loaded(file.config_path, file.package)) for file in files if file.config_path is not None
    ]


def _loaded(path: str, package: str | None) -> DictConfig:
    found = GlobalHydra.instance().config_loader().repository.load_config(path)  # type: ignore[attr-defined]
    assert found is not None
    config = OmegaConf.create({})
    if package:
        OmegaConf.update(config, package, found.config)
    else:
        config.merge_with(found.config)
    return config
