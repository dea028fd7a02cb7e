"""Checks that a checkpoint has the state to resume a run: entries of the same kinds as the run's own.

Optimisers' kernels trust the shapes of what is loaded, and Lightning silently skips what a checkpoint lacks.
"""

import copy
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, NotRequired, TypedDict

import torch
from packaging.version import InvalidVersion, Version
from pytorch_lightning import Callback, Trainer
from torch import Tensor
from torch.optim import Optimizer

from pixelcnn.errors import UserError
from pixelcnn.optim import build_optimizer, build_schedule
from pixelcnn.training.callback_states import STATES, faults_of_states, keys_of
from pixelcnn.training.lightning_internals import BETWEEN_STEPS, adapt
from pixelcnn.training.module import DensityEstimation
from pixelcnn.typed import misfit, shown

STAND_IN_STEPS = 10**9  # of the run, whose data are not loaded yet
LIGHTNING = "pytorch-lightning_version"
OLDEST_LIGHTNING = Version("2.0")


class _Extra(TypedDict):
    averaging_state: dict[str, Tensor]
    skipped_steps: NotRequired[int]
    wandb_run_id: NotRequired[str | None]
    metrics: NotRequired[dict[str, float]]


def require_restorable(
    checkpoint: dict[str, Any],
    module: DensityEstimation,
    named: str,
    callbacks: Sequence[type[Callback]] = tuple(STATES),
) -> None:
    """Raise UserError unless a run of ``module`` can be resumed from ``checkpoint``, the file ``named``.

    ``checkpoint`` has passed `has_training_state`, and is not changed. ``callbacks``: the run's among `STATES`.
    """
    fault = next(filter(None, _faults(checkpoint, module, callbacks)), None)
    if fault is not None:
        raise UserError(
            f"{named} holds a training state that cannot be resumed ({fault}): use another one, or start a new run "
            "from its weights with init_from=."
        )


def _faults(
    checkpoint: dict[str, Any], module: DensityEstimation, callbacks: Sequence[type[Callback]]
) -> Iterator[str | None]:
    yield misfit(checkpoint, _Extra, "checkpoint")
    yield from _version(checkpoint.get(LIGHTNING))
    if not re.fullmatch(r"[\w-]{0,128}", checkpoint.get("wandb_run_id") or ""):
        yield f"wandb_run_id={shown(checkpoint['wandb_run_id'])}"
    steps, skipped = checkpoint["global_step"], checkpoint.get("skipped_steps", 0)
    if not 0 <= skipped <= steps:
        yield f"skipped_steps={skipped} of global_step={steps}"
    own = dict(module.state_dict())
    for part in ("state_dict", "current_model_state"):
        yield _unlike(checkpoint[part], own, part)
        odd = (name for name, value in checkpoint[part].items() if not value.isfinite().all())
        yield from (f"{part}.{name} is not finite" for name in odd)
    yield _unlike(checkpoint["averaging_state"], {"n_averaged": torch.tensor(0)}, "averaging_state")
    seen = int(checkpoint["averaging_state"]["n_averaged"])
    fewest = steps - skipped + 1 if "skipped_steps" in checkpoint else 1  # the initial weights and every step taken
    if not fewest <= seen <= steps - skipped + 1:
        yield f"averaging_state.n_averaged={seen} after {steps} steps"
    optimizer, scheduler = module.optimizer_and_scheduler(STAND_IN_STEPS)
    assert scheduler is not None
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    order = [names[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]
    unmoved = {index for index, name in enumerate(order) if steps == skipped or _was_not_moved(name, checkpoint)}
    yield from _faults_of_optimizer(checkpoint["optimizer_states"][0], _stepped(module), unmoved, steps)
    yield from _faults_of_scheduler(checkpoint["lr_schedulers"][0], scheduler.state_dict(), steps)
    rates = [group["lr"] for group in checkpoint["optimizer_states"][0]["param_groups"]]
    if rates != checkpoint["lr_schedulers"][0].get("_last_lr", rates):
        yield f"the optimiser's lr={rates} is not the schedule's"
    loops = checkpoint["loops"]["fit_loop"]
    yield _unlike(loops, _loops(), "loops.fit_loop", optional=("validation_due", BETWEEN_STEPS))
    for key, progress in loops.items():
        if not key.startswith("epoch_loop.val_loop."):  # starts from scratch, and is reset within a validation
            yield from _faults_of_progress(progress, f"loops.fit_loop.{key}")
    taken = loops["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]["step"]["total"]["completed"]
    if taken != steps:
        yield f"loops count {taken} steps and global_step {steps}"
    is_begun = loops["epoch_progress"]["total"]["ready"] > 0  # unlike an imported one's
    needed = keys_of(callbacks, f"val/{module.score_name}") if is_begun else set()
    yield from faults_of_states(checkpoint["callbacks"], needed, steps)


def _version(found: Any) -> Iterator[str]:
    try:
        old = Version(found) < OLDEST_LIGHTNING
    except (InvalidVersion, TypeError):
        yield f"{LIGHTNING}={shown(found)} is not a version"
    else:
        if old:
            yield f"{LIGHTNING}={found} is older than {OLDEST_LIGHTNING}"


def _unlike(value: Any, own: Any, where: str, optional: Sequence[str] = ()) -> str | None:
    """Where ``value`` differs in kind from the run's ``own``: in keys, lengths, types, or the shapes of tensors."""
    if isinstance(own, Tensor):
        fits = isinstance(value, Tensor) and (value.shape, value.dtype) == (own.shape, own.dtype)
        return None if fits else f"{where} is {_kind(value)}, not {_kind(own)}"
    if isinstance(own, float):
        return None if type(value) in (int, float) and math.isfinite(value) else f"{where}={shown(value)}"
    if type(value) is not type(own):
        return f"{where}={shown(value)} is not of type {type(own).__name__}"
    if isinstance(own, dict):
        odd = own.keys() ^ value.keys()
        odd = {key for key in odd if key in value or key not in optional}
        if odd:
            return f"{where} {'has' if odd & value.keys() else 'lacks'} {shown(min(odd, key=str))}"
        pairs = [(key, entry, own[key]) for key, entry in value.items()]
    elif isinstance(own, list | tuple):
        if len(value) != len(own):
            return f"{where} has {len(value)} entries, not {len(own)}"
        pairs = [(place, entry, own[place]) for place, entry in enumerate(value)]
    else:
        return None
    found = (_unlike(entry, its, f"{where}.{shown(key)}", optional) for key, entry, its in pairs)
    return next((one for one in found if one is not None), None)


def _kind(value: Any) -> str:
    return f"{value.dtype} of {tuple(value.shape)}" if isinstance(value, Tensor) else shown(value)


def _was_not_moved(name: str, checkpoint: dict[str, Any]) -> bool:
    """Whether a parameter still has its initial value, as if the loss does not depend on it: then it has no state."""
    raw, average = checkpoint["current_model_state"][name], checkpoint["state_dict"][name]
    return bool((raw == average).all())


def _faults_of_optimizer(stored: Any, optimizer: Optimizer, unmoved: set[int], steps: int) -> Iterator[str | None]:
    where, own = "optimizer_states.0", optimizer.state_dict()
    yield from _faults_of_groups(stored["param_groups"], own["param_groups"], f"{where}.param_groups")
    missing = own["state"].keys() - stored["state"].keys() - unmoved
    if missing:
        yield f"{where}.state lacks {min(missing)}"
    needed = {index: state for index, state in own["state"].items() if index in stored["state"]}
    yield _unlike(stored["state"], needed, f"{where}.state")
    memory = set()
    for index, state in stored["state"].items():
        for key, value in state.items():
            if not isinstance(value, Tensor):
                continue
            if not value.isfinite().all() or (key == "step" and not 0 <= value.item() <= steps):
                yield f"{where}.state.{index}.{key} is out of range"
            if value.untyped_storage().data_ptr() in memory:
                yield f"{where}.state.{index}.{key} shares memory with another"
            memory.add(value.untyped_storage().data_ptr())


def _faults_of_groups(stored: list[dict[str, Any]], own: list[dict[str, Any]], where: str) -> Iterator[str | None]:
    if len(stored) != len(own):
        yield f"{where} has {len(stored)} entries, not {len(own)}"
    for group, its in zip(stored, own, strict=True):
        # Another release of torch may have fewer switches for the same optimiser.
        kept = {key: value for key, value in its.items() if key in group or not isinstance(value, bool | None)}
        yield _unlike(group, kept, where)
        for key, value in kept.items():
            if not isinstance(value, float | tuple) and group[key] != value:
                yield f"{where}.{key}={shown(group[key])}, not {shown(value)}"


def _stepped(module: DensityEstimation) -> Optimizer:
    """The optimiser of ``module`` for a copy of its model, after a step, so that its state for each parameter exists.

    The schedule's entries in its groups exist too.
    """
    own = build_optimizer(module.make_optimizer, copy.deepcopy(module.model), module.parameter_groups)
    if module.make_scheduler is not None:
        build_schedule(module.make_scheduler, own, STAND_IN_STEPS)
    for group in own.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    own.step(lambda: 0.0)  # as Lightning calls it: some optimisers need a closure
    return own


def _faults_of_scheduler(stored: dict[str, Any], own: dict[str, Any], steps: int) -> Iterator[str | None]:
    where = "lr_schedulers.0"
    # As for groups of parameters.
    kept = {key: value for key, value in own.items() if key in stored or not isinstance(value, bool)}
    yield _unlike(stored, kept, where)
    if stored.get("base_lrs") != own.get("base_lrs"):
        yield f"{where}.base_lrs={stored.get('base_lrs')}, not {own.get('base_lrs')}"
    if not 0 <= stored.get("last_epoch", 0) <= steps:
        yield f"{where}.last_epoch={stored['last_epoch']} after {steps} steps"


def _loops() -> dict[str, Any]:
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    adapt(trainer)
    return trainer.fit_loop.state_dict()


def _faults_of_progress(entry: Any, where: str) -> Iterator[str]:
    """Lightning counts each event as it gets ready, starts, is processed and completes, one at a time."""
    if not isinstance(entry, dict):
        if type(entry) is int and entry < 0:
            yield f"{where}={entry}"
        return
    if "ready" in entry and "completed" in entry and not entry["ready"] - 1 <= entry["completed"] <= entry["ready"]:
        yield f"{where} counts {entry['completed']} completed of {entry['ready']}"
    if "ready" in entry and any(not entry["completed"] <= count <= entry["ready"] for count in entry.values()):
        yield f"{where} does not count events in turn"
    if "total" in entry and "current" in entry:
        for key, count in entry["current"].items():
            if count > entry["total"][key]:
                yield f"{where}.current.{key}={count} of {entry['total'][key]}"
    for key, value in entry.items():
        yield from _faults_of_progress(value, f"{where}.{key}")
