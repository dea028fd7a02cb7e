"""Builds optimisers and schedules, the project's or others, with the arguments that their signatures ask for."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from pixelcnn.errors import UserError, meant
from pixelcnn.optim.groups import options_of, parameter_groups
from pixelcnn.optim.matrices import hidden_matrices
from pixelcnn.optim.memory import order_as_parameters
from pixelcnn.signature import arguments_of, checked, name_of, refusal, takes_any_keyword

GIVEN = ("params", "matrices")  # to an optimiser, by `build_optimizer`


def build_optimizer(
    make: Callable[..., Optimizer], model: nn.Module, groups: Sequence[Mapping[str, Any]] = ()
) -> Optimizer:
    """``make(parameters)`` for all of ``model``'s parameters, split into ``groups`` (`parameter_groups`).

    ``make`` is an optimiser's class or a partial of it. If it has an argument ``matrices``, it receives
    `hidden_matrices`. State that it loads is laid out in memory like the parameters. UserError for groups that match
    nothing, or whose options ``make`` refuses.
    """
    parameters = parameter_groups(model.named_parameters(), groups)
    for number, group in enumerate(groups):
        _check(make, group, f"groups[{number}]")
    if "matrices" in signature(make).parameters:
        optimizer = make(parameters, matrices=hidden_matrices(model))
        for group in optimizer.param_groups:
            group.pop("param_names", None)  # checkpoints need none
    else:
        unnamed = [{**group, "params": [parameter for _, parameter in group["params"]]} for group in parameters]
        optimizer = make(unnamed)
    optimizer.register_load_state_dict_post_hook(order_as_parameters)
    return optimizer


def _check(make: Callable[..., Optimizer], group: Mapping[str, Any], where: str) -> None:
    """UserError, naming the key, unless ``make`` has the options of the group ``where``, and they are in range.

    torch checks its constructors' arguments, but neither names nor ranges of a group's options.
    """
    target, own = (make.func, make.keywords) if isinstance(make, partial) else (make, {})
    arguments = {name: known for name, known in arguments_of(target).items() if name not in GIVEN}
    for key in options_of(group):
        if key not in arguments and not takes_any_keyword(target):
            told = meant(key, arguments, f"its options are {', '.join(arguments)}.")
            raise UserError(f"{where}.{key} is not an option of {name_of(target)}: {told}")
    hints = {key: arguments[key].hint if key in arguments else Any for key in options_of(group)}
    options = {key: checked(value, hints[key], f"{where}.{key}") for key, value in options_of(group).items()}
    try:
        known = target([torch.zeros(1, requires_grad=True)], **{**own, **options}).defaults
    except (UserError, TypeError, ValueError) as error:
        raise refusal(error, target, options, f"{where}.") from error
    if not options.keys() <= known.keys():
        alone = sorted(options.keys() - known.keys())[0]
        raise UserError(f"{where}.{alone} cannot differ between groups: use one of {', '.join(known)}.")


def build_schedule(make: Callable[..., LRScheduler], optimizer: Optimizer, total_steps: int | None) -> LRScheduler:
    """``make(optimizer)``, with the run's ``total_steps`` if it has an argument of this name.

    ``total_steps`` is the number of optimiser steps of the whole run, None if unlimited. A ``total_steps`` already set
    by a partial is kept. UserError for a schedule that depends on a score instead of steps.
    """
    argument = signature(make).parameters.get("total_steps")
    if argument is None or getattr(make, "keywords", {}).get("total_steps") is not None:
        schedule = make(optimizer)
    else:
        schedule = make(optimizer, total_steps=total_steps)
    if isinstance(schedule, ReduceLROnPlateau):
        raise UserError(
            "scheduler=ReduceLROnPlateau needs a score, but schedules depend on the step only: use another one."
        )
    return schedule
