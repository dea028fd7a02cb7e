"""Hydra's and OmegaConf's errors, of many lines each, as one sentence: key or file, fault, remedy."""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationResolutionError,
    OmegaConfBaseException,
)

# Hydra's plugins that are optional.
EXTRA = {"hydra/sweeper": ("optuna",), "hydra/launcher": ("joblib", "submitit_local", "submitit_slurm")}
# Optuna's, with a storage and without, asked for the best of none.
NO_TRIAL = ("Record does not exist.", "No trials are completed yet.")
CONF = Path(__file__).resolve().parents[2] / "conf"
ALL_KEYS = "`python run.py --cfg job` prints all keys"


def sentence(error: Exception) -> str:
    """What ``error``, raised while Hydra composed or set up a run, means to its user."""
    if isinstance(error, MissingConfigException):
        return _missing_option(error)
    if isinstance(error, OverrideParseException):
        return f"{error.override} is not understood ({_first_line(error)}): write key=value, with quotes where needed."
    # Logging wraps what it meets when it opens run.log.
    of_file = error if isinstance(error, OSError) else error.__cause__
    if isinstance(of_file, OSError):
        where, fault = of_file.filename or "The run directory", of_file.strerror
        return f"{where} cannot be written ({fault}): choose another hydra.run.dir=DIR, or hydra.sweep.dir=DIR with -m."
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__ or error.__context__
    if isinstance(cause, OmegaConfBaseException):
        where = re.match(r"In '(.+?)'", str(error))
        return (f"In conf/{where[1]}.yaml, " if where else "") + _invalid(cause, str(error))
    return _of_hydra(error)


def _of_hydra(error: Exception) -> str:
    """What it says of the command line, in other words."""
    ambiguous = re.match(r"Ambiguous value for argument '(.+?)=(.+)'", str(error))
    if ambiguous:
        key, values = ambiguous.groups()
        return f"{key}={values} has several values: add -m to run each of them, or write {key}=[{values}] for a list."
    twice = re.match(r"Multiple values for ([\w/]+)\.", str(error))
    if twice:
        return f"{twice[1]} has an option already: write {twice[1]}=NAME once, and without a +."
    told = " ".join(str(error).split())
    if told.startswith("BasicSweeper does not support"):
        return "interval(A, B) is for searches: add sweep=optuna, or write the values as KEY=A,B."
    if told in NO_TRIAL:
        return "No trial of the search finished. See the errors above."
    return told if told.endswith((".", "?")) else f"{told}."


def out_of_memory(error: Exception) -> str:
    """What to do where a task's model or batch is too large for the machine."""
    return (
        f"Memory does not suffice ({_first_line(error)}): use a smaller data.batch_size, task.batch_size, "
        "task.num_samples, objective.num_samples or model; task=info tells what a model takes here."
    )


def damaged_storage(error: Exception) -> str:
    """What to do where the file that a search is kept in cannot be used."""
    return (
        f"hydra.sweeper.storage cannot be used ({_first_line(error)}): move its study.db away, "
        "or begin in another hydra.sweep.dir=DIR."
    )


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Refusal of ``key``, with the one among ``known`` (all with dots) that was probably meant."""
    return f"{key} is not a key of the configuration: {suggestion(key, list(known))}"


def keys_of(config: DictConfig, prefix: str = "") -> Iterator[str]:
    """All keys of ``config``, groups and values, with dots and in order."""
    names: Any = list(config)  # of mappings not always text
    for name in names:
        yield f"{prefix}{name}"
        # Missing values and broken interpolations are keys as well.
        child = None if OmegaConf.is_missing(config, name) or OmegaConf.is_interpolation(config, name) else config[name]
        if isinstance(child, DictConfig):
            yield from keys_of(child, f"{prefix}{name}.")


def _missing_option(error: MissingConfigException) -> str:
    if error.missing_cfg_file is None:  # no folder of options at all
        return f"{_first_line(error)}: leave --config-path out."
    path = str(error.missing_cfg_file)
    group, _, option = path.rpartition("/")
    available = re.search(r"Available options in '(.+?)'", str(error))
    if available and path.startswith(f"{available[1]}/"):
        group, option = available[1], path.removeprefix(f"{available[1]}/")
    if not error.options:
        return f"{group or 'config'}={option} does not exist: there is no conf/{path}.yaml."
    if option in EXTRA.get(group, ()):
        return f"{group}={option} is not installed: pip install -r requirements-sweeps.txt."
    top, _, _ = path.partition("/")
    # Those in folders too, such as experiment=ablation/base, of which Hydra tells only the folder asked for.
    below = [str(file.relative_to(CONF / top).with_suffix("")) for file in sorted((CONF / top).glob("*/*.yaml"))]
    options = error.options if top == "hydra" else [*error.options, *below]
    asked = option if top == "hydra" else path.partition("/")[2]
    close = get_close_matches(asked.lower(), options, 1)
    meant = f"did you mean {close[0]}? The options" if close else "the options"
    return f"{group}={option} does not exist: {meant} are {', '.join(options)}."


def _invalid(error: OmegaConfBaseException, told: str) -> str:
    override = re.match(r"(?:Error merging override [+~]*([^=]+)|Could not override '(.+?)')", told)
    typed = next(filter(None, override.groups())) if override else ""
    key = error.full_key or typed
    if isinstance(error, ConfigAttributeError | ConfigKeyError):
        # For trainr.devices=8 it is `trainr` that does not exist, for model={a: 1} it is `model.a`.
        key = max(key, typed, key=len)
        root = error.parent_node._get_root()
        in_hydra = key.startswith("hydra")
        return unknown_key(key, [known for known in keys_of(root) if known.startswith("hydra") == in_hydra])
    if isinstance(error, InterpolationResolutionError):
        return f"{key} cannot be resolved ({_first_line(error)}): give it a value of its own."
    return f"{key} is refused ({_first_line(error)}): {ALL_KEYS} and their values."


def suggestion(key: str, known: list[str]) -> str:
    """The same name elsewhere, else the likest in the same group, else the likest of all, else all of the group."""
    group, _, name = key.rpartition(".")
    known = [candidate for candidate in known if not key.startswith(f"{candidate}.")]
    parts = {candidate: candidate.rpartition(".") for candidate in known}
    namesakes = [candidate for candidate in known if parts[candidate][2] == name]
    siblings = {parts[candidate][2]: candidate for candidate in known if parts[candidate][0] == group}
    names = {parts[candidate][2]: candidate for candidate in known}
    meant = (
        get_close_matches(key, namesakes, 1, cutoff=0.0)
        or [siblings[close] for close in get_close_matches(name, siblings, 1)]
        or get_close_matches(key, [] if siblings else known, 1, cutoff=0.8)
        or [names[close] for close in get_close_matches(name, names, 1, cutoff=0.75)]
    )
    if meant:
        return f"did you mean {meant[0]}?"
    return f"the keys of {group} are {', '.join(siblings)}." if group and siblings else f"{ALL_KEYS}."


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
