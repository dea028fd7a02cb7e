"""Checks of the composed configuration before anything is loaded or written: keys, types, ranges."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import InterpolationResolutionError

from pixelcnn.configuration.groups import (
    GROUPS,
    checked_group,
    imported,
    instantiated,
    instantiated_parts,
    own_arguments,
    partially,
    parts_of,
    target_of,
)
from pixelcnn.configuration.messages import sentence
from pixelcnn.configuration.origins import is_of_replaced_class, preset_of, require_parts_to_leave_out
from pixelcnn.configuration.root import Initialisation, Root, check_start
from pixelcnn.configuration.tasks import Task, require_one_condition
from pixelcnn.configuration.trainer import check_trainer
from pixelcnn.errors import UnknownKeyError, UserError, meant
from pixelcnn.signature import arguments_of, checked, checked_arguments, is_own, refusal

STAND_IN_STEPS = 10**9


def check(config: DictConfig, overrides: Sequence[str] = ()) -> Task:
    """Raise UserError for the first thing wrong with a composed configuration, and fill in all defaults.

    Afterwards every key of every group is set and has its constructor's type. Returns the task. ``overrides`` are those
    typed on the command line, given while Hydra is set up; an error caused by one of them names it.
    """
    try:
        OmegaConf.to_container(config, resolve=True)
    except InterpolationResolutionError as error:
        raise UserError(sentence(error)) from error
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise UserError(f"{missing[0]} has no value: give {missing[0]}=VALUE.")
    known = (*arguments_of(Root), "initialisation", *GROUPS)
    for key in map(str, config):
        if key not in known:
            told = meant(key, known, f"choose one of {', '.join(known)}.")
            raise UserError(f"{key} is not a key of the configuration: {told}")
    _check_root(config)
    check_groups(config, overrides)
    check_trainer(config.trainer)
    task, objective = instantiated(config, "task"), instantiated(config, "objective")
    expected = arguments_of(type(task))["name"].default
    if task.name != expected:
        raise UserError(f"task.name={task.name} does not choose a task: write task={task.name}.")
    instantiated(config, "ema")
    _try_parts_of_the_model(config)
    _try_optimiser(config)
    _try_callbacks(config)
    if len(parts_of(config, "conditioning")) == 1 and "://" not in str(config.checkpoint):  # a model not here yet
        require_one_condition(task)
    check_start(config, task, objective, target_of(config, "likelihood"))
    return task


def check_groups(config: DictConfig, overrides: Sequence[str]) -> None:
    """`checked_group` for all groups; UserError also if ``overrides`` leave out a part that does not exist."""
    require_parts_to_leave_out(overrides)
    for group in GROUPS:
        try:
            checked_group(config, group)
        except UnknownKeyError as error:
            preset = preset_of(error.key, overrides) if overrides else None
            if preset is None and is_of_replaced_class(error.key, overrides):
                told = f"{error.key} is not a key of {error.owner}, but of the class that it replaces"
                raise UserError(f"{told}: leave it out with ~{error.key}.") from error
            if preset is None:
                raise
            raise UserError(
                f"{error.key} is set by {preset}, but is not a key of {error.owner}: choose another "
                f"{preset.partition('=')[0]}, or the {group} that it belongs to."
            ) from error


def _check_root(config: DictConfig) -> None:
    plain: dict[str, Any] = OmegaConf.to_container(config)  # type: ignore[assignment]
    root = Root(**checked_arguments(Root, {key: value for key, value in plain.items() if key in arguments_of(Root)}))
    values = checked(plain.get("initialisation", {}), dict, "initialisation")
    arguments = checked_arguments(Initialisation, values, prefix="initialisation.")
    try:
        initialisation = Initialisation(**arguments)
    except UserError as error:
        raise refusal(error, Initialisation, arguments, "initialisation.") from error
    with open_dict(config):
        config.update({**asdict(root), "initialisation": asdict(initialisation)})


def _try_callbacks(config: DictConfig) -> None:
    """Construct the project's own callbacks, which check ranges; a user's may have side effects when constructed."""
    own = {name: part for name, part in config.callbacks.items() if is_own(imported(part["_target_"], "callbacks"))}
    stand_in = OmegaConf.create({"callbacks": own}, flags={"allow_objects": True})
    list(instantiated_parts(stand_in, "callbacks", run_dir=Path(), resume_command=""))


def _try_optimiser(config: DictConfig) -> None:
    """Construct the optimiser and the scheduler for a dummy parameter, since they check ranges."""
    import torch

    from pixelcnn.optim import build_schedule

    optimizer = partially(config, "optim")([torch.zeros(1, requires_grad=True)])
    build_schedule(partially(config, "scheduler"), optimizer, STAND_IN_STEPS)


def _try_parts_of_the_model(config: DictConfig) -> None:
    """Construct the project's own parts, which check ranges, before the data set is loaded.

    They are on torch's meta device, where weights take neither memory nor time, and for a dummy image shape.
    """
    from pixelcnn.conditioning import Several
    from pixelcnn.image_shape import ImageShape
    from pixelcnn.weighing import TooLargeError, weightless

    any_size: dict[str, Any] = {"num_classes": 1, "num_features": 1, "num_codes": 1}
    given = {
        "image": ImageShape(3, 256, 256),
        "image_channels": 3,
        "num_parameters": 30,
        "scale": lambda levels: levels,
    }
    made = {}
    for where in (one for group in ("model", "likelihood", "conditioning") for one in parts_of(config, group)):
        target = target_of(config, where)
        if not is_own(target):
            continue
        own = own_arguments(config, where)
        known = arguments_of(target)
        arguments = {name: value for name, value in {**any_size, **given, **own}.items() if name in known}
        try:
            with weightless():
                made[where] = target(**arguments)
        except UserError as error:
            raise refusal(error, target, own, f"{where}.") from error
        except TooLargeError as error:
            largest = max(own, key=lambda name: own[name] if isinstance(own[name], int) else 0)
            raise UserError(
                f"{where}.{largest}={own[largest]} needs more memory than is available: use less."
            ) from error
    if not config.conditioning:
        raise UserError("conditioning is empty: write conditioning=none, or the NAME of a kind of condition.")
    several = {where.partition(".")[2]: part for where, part in made.items() if where.startswith("conditioning.")}
    if several and len(several) == len(config.conditioning):
        Several(several)
