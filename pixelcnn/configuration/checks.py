"""What is checked when Hydra has composed, before anything is loaded or written: keys, types, ranges."""

from dataclasses import asdict
from importlib import import_module
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import InterpolationResolutionError

from pixelcnn.configuration.groups import GROUPS, checked_group, imported, instantiated, own_arguments, target_of
from pixelcnn.configuration.messages import keys_of, sentence, unknown_key
from pixelcnn.configuration.root import Initialisation, Root, check_start
from pixelcnn.configuration.trainer import check_trainer
from pixelcnn.errors import UserError
from pixelcnn.signature import arguments_of, checked_arguments, name_of, refusal

OWN = "pixelcnn."  # the project's parts, whose constructors may be tried


def check(config: DictConfig) -> None:
    """Raise UserError for the first thing wrong with a composed configuration, and give it all its defaults.

    Afterwards every key of every group is there, of its constructor's type.
    """
    try:
        OmegaConf.to_container(config, resolve=True)
    except InterpolationResolutionError as error:
        raise UserError(sentence(error)) from error
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise UserError(f"{missing[0]} has no value: give {missing[0]}=VALUE.")
    for key in map(str, config):
        if key not in (*GROUPS, *arguments_of(Root), "initialisation"):
            raise UserError(unknown_key(key, [known for known in keys_of(config) if known.partition(".")[0] != key]))
    _check_root(config)
    for group in GROUPS:
        checked_group(config, group)
    check_trainer(config.trainer)
    task, objective = instantiated(config, "task"), instantiated(config, "objective")
    instantiated(config, "ema")
    _try_parts_of_the_model(config)
    check_start(config, task, objective, target_of(config, "likelihood"))


def _check_root(config: DictConfig) -> None:
    own = {name: OmegaConf.to_container(config).get(name) for name in arguments_of(Root)}  # type: ignore[union-attr]
    root = Root(**checked_arguments(Root, own))
    values = OmegaConf.to_container(config.initialisation)
    assert isinstance(values, dict)
    arguments = checked_arguments(Initialisation, values, prefix="initialisation.")
    try:
        initialisation = Initialisation(**arguments)
    except UserError as error:
        raise refusal(error, Initialisation, arguments, "initialisation.") from error
    with open_dict(config):
        config.update({**asdict(root), "initialisation": asdict(initialisation)})


def _try_parts_of_the_model(config: DictConfig) -> None:
    """Have the constructors of the project's own parts say what is out of range, before the data set is loaded.

    On torch's meta device, where weights take neither memory nor time, and for images that stand in for the data set's.
    """
    import torch

    from pixelcnn.image_shape import ImageShape

    any_size: dict[str, Any] = {"num_classes": 1, "num_features": 1}
    given = {"image": ImageShape(3, 256, 256), "image_channels": 3, "num_parameters": 30, "scale": lambda levels: levels}
    for group in ("model", "likelihood", "conditioning"):
        target = target_of(config, group)
        if not name_of(target).startswith(OWN):
            continue
        own = own_arguments(config, group)
        known = arguments_of(target)
        arguments = {name: value for name, value in {**any_size, **given, **own}.items() if name in known}
        try:
            with torch.device("meta"):
                target(**arguments)
        except UserError as error:
            raise refusal(error, target, own, f"{group}.") from error


def task_module(config: DictConfig) -> Any:
    """The module that runs the task of ``config``."""
    return import_module(f"pixelcnn.tasks.{imported(config.task._target_, 'task').module}")
