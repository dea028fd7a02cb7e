"""Composing many configurations in a test: what groups are chosen is composed once, values are set upon it."""

from collections.abc import Iterator
from functools import cache

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict

from pixelcnn.cli import CONF
from pixelcnn.configuration.checks import check
from pixelcnn.configuration.groups import register


def composed(arguments: list[str]) -> DictConfig:
    """What Hydra makes of ``arguments``, with its own node; unknown keys and wrong types raise OmegaConf's errors.

    Of a sweep's arguments those are left out that have several values.
    """
    parsed = zip(arguments, OverridesParser.create().parse_overrides(arguments), strict=True)
    single = [(argument, override) for argument, override in parsed if not override.is_sweep_override()]
    groups = tuple(argument for argument, override in single if (CONF / override.key_or_group).is_dir())
    plugins = tuple(argument for argument, _ in single if argument.startswith("hydra/"))
    config = _of_groups(groups + plugins).copy()
    OmegaConf.set_readonly(config.hydra, False)
    for argument, override in single:
        if override.is_delete():
            parent, _, key = override.key_or_group.rpartition(".")
            with open_dict(config):
                del OmegaConf.select(config, parent)[key]
        elif argument not in groups + plugins:
            OmegaConf.update(config, override.key_or_group, override.value())
    return config


def keys_of(config: DictConfig, prefix: str = "") -> Iterator[str]:
    """All keys of ``config``, groups and values, with dots and in order."""
    for name in config:
        yield f"{prefix}{name}"
        child = None if OmegaConf.is_missing(config, name) or OmegaConf.is_interpolation(config, name) else config[name]
        if isinstance(child, DictConfig):
            yield from keys_of(child, f"{prefix}{name}.")


def without_hydra(config: DictConfig) -> DictConfig:
    """``config`` as a job gets it."""
    job = config.copy()
    with open_dict(job):
        del job["hydra"]
    return job


def ready(arguments: list[str]) -> DictConfig:
    """The configuration of ``arguments`` as a task gets it: checked."""
    job = without_hydra(composed(arguments))
    check(job)
    return job


@cache
def _of_groups(arguments: tuple[str, ...]) -> DictConfig:
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(arguments), return_hydra_config=True)
