"""Calls constructors of optimisers and schedules, the project's or any others, with what their signatures ask for."""

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pixelcnn.errors import UserError
from pixelcnn.optim.groups import parameter_groups
from pixelcnn.optim.matrices import hidden_matrices
from pixelcnn.optim.memory import order_as_parameters


def build_optimizer(
    make: Callable[..., Optimizer], model: nn.Module, groups: Sequence[Mapping[str, Any]] = ()
) -> Optimizer:
    """``make(parameters)`` for all of ``model``'s parameters, split into ``groups`` (`parameter_groups`).

    ``make`` is an optimiser's class or a partial of it. It is given ``matrices`` too (`hidden_matrices`) if it has an
    argument of this name. What it loads takes the parameters' order in memory. UserError for groups that match nothing,
    or whose options ``make`` refuses.
    """
    parameters = parameter_groups(model.named_parameters(), groups)
    for group in groups:
        _check(make, group)
    if "matrices" in signature(make).parameters:
        optimizer = make(parameters, matrices=hidden_matrices(model))
        for group in optimizer.param_groups:
            group.pop("param_names", None)  # checkpoints need none
    else:
        unnamed = [{**group, "params": [parameter for _, parameter in group["params"]]} for group in parameters]
        optimizer = make(unnamed)
    optimizer.register_load_state_dict_post_hook(order_as_parameters)
    return optimizer


def _check(make: Callable[..., Optimizer], group: Mapping[str, Any]) -> None:
    """UserError unless ``make`` has a group's options, and has them in range.

    torch checks its constructors' arguments, but neither the names nor the ranges of what a group says.
    """
    options = {key: value for key, value in group.items() if key != "match"}
    where = "groups: " + " ".join(f"{key}={value}" for key, value in group.items())
    try:
        known = make([torch.zeros(1, requires_grad=True)], **options).defaults
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {error}") from error
    if not options.keys() <= known.keys():
        alone = ", ".join(sorted(options.keys() - known.keys()))
        raise UserError(f"{where}: {alone} cannot differ between groups, use one of {', '.join(known)}.")


def build_schedule(make: Callable[..., LRScheduler], optimizer: Optimizer, total_steps: int | None) -> LRScheduler:
    """``make(optimizer)``, with the run's ``total_steps`` if it has an argument of this name.

    ``total_steps`` is the number of optimiser steps of the whole run, None where nothing bounds it. A ``total_steps``
    that a partial sets already stands.
    """
    argument = signature(make).parameters.get("total_steps")
    if argument is None or getattr(make, "keywords", {}).get("total_steps") is not None:
        return make(optimizer)
    return make(optimizer, total_steps=total_steps)
