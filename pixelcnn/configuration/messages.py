"""Hydra's and OmegaConf's multi-line errors, in one line."""

import re
from dataclasses import fields

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from pixelcnn.configuration.groups import GROUPS
from pixelcnn.configuration.root import Root
from pixelcnn.errors import meant

# Unhelpful lines: Hydra's search path, OmegaConf's type names, advice that would fail.
LEFT_OUT = ("To append", "See https", "full_key", "object_type", "reference_type")
# Optuna's, with a storage and without, if no trial has finished.
NO_TRIAL = ("Record does not exist", "No trials are completed yet")
PLUGINS = ("hydra/sweeper/", "hydra/launcher/")


def sentence(error: Exception) -> str:
    """One sentence for a user about ``error``, raised while Hydra composed or set up a run."""
    # Logging wraps what it meets when it opens run.log.
    of_file = error if isinstance(error, OSError) else error.__cause__
    if isinstance(of_file, OSError) and not isinstance(error, MissingConfigException):
        where, fault = of_file.filename or "The run directory", of_file.strerror
        return f"{where} cannot be written ({fault}): choose another hydra.run.dir=DIR, or hydra.sweep.dir=DIR with -m."
    told = in_a_line(error)
    option = re.search(r"Could not (?:find|load) '([a-z]+)/([^']+)'\.?(?: Available options in '[^']*': (.*))?", told)
    if option is not None and option[1] != "hydra":
        group, name, options = option.groups()
        some = f"choose one of {', '.join(options.split())}" if options else f"see conf/{group}"
        return f"{group}={name} is not an option: {some}. Options of your own need --config-dir=DIR."
    if told in NO_TRIAL:
        return "No trial of the search finished. See the errors above."
    if isinstance(error, OverrideParseException):
        return f"{error.override} is not understood ({told}): write key=value, with quotes where needed."
    if isinstance(error, OmegaConfBaseException) and error.full_key:
        told = f"{error.full_key} is refused ({told})"
    elif isinstance(error.__cause__, OmegaConfBaseException):
        told = f"{told}: {in_a_line(error.__cause__)}"
    unknown = re.match(r"Could not override '(\w+)([\w.]*)': Key '\1' is not in struct", told)
    if unknown is not None:
        keys = [*GROUPS, *(field.name for field in fields(Root))]
        remedy = meant(unknown[1], keys, f"choose one of {', '.join(keys)}.", f"{{}}{unknown[2]}")
        return f"{unknown[1]}{unknown[2]} is not a key of the configuration: {remedy}"
    if any(f"'{plugin}" in told for plugin in PLUGINS):
        told += ". More of them: pip install -r requirements-sweeps.txt"
    return f"{told}."


def in_a_line(error: Exception) -> str:
    """The message of ``error``, without unhelpful lines."""
    lines = [line.strip() for line in str(error).partition("Config search path")[0].splitlines()]
    return " ".join(line for line in lines if line and not line.startswith(LEFT_OUT)).rstrip(".")
