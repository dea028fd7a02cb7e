"""Wrong input exits with one sentence and status 1; bugs keep their traceback. HYDRA_FULL_ERROR=1 shows all."""

import errno
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import hydra._internal.utils
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from pixelcnn.configuration.messages import in_a_line, sentence
from pixelcnn.durable import trouble_when_full
from pixelcnn.errors import UserError
from pixelcnn.launch.run_directory import EARLIER_FILES

# Faults of paths that no check looks for: no permission, too long, a loop of links, a failing disk.
OF_THE_FILE_SYSTEM = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR),
    *(errno.EIO, errno.ESTALE),
)


def tracebacks_wanted() -> bool:
    """Whether the user asked to see tracebacks of wrong input too."""
    return os.environ.get("HYDRA_FULL_ERROR") == "1"


@contextmanager
def refusals(task: Callable[..., Any]) -> Iterator[None]:
    """Around Hydra's main: wrong input exits with one sentence, whether found by Hydra or by ``task``."""
    if tracebacks_wanted():
        yield
        return
    # Hydra would print its errors itself. Its own switch is the environment variable, which child processes inherit.
    hydra._internal.utils.run_and_report = lambda func: func()
    try:
        yield
    except UserError as error:
        raise SystemExit(str(error)) from error
    except _storage_errors() as error:
        told = f"hydra.sweeper.storage cannot be used ({in_a_line(error)}): move its study.db away, "
        raise SystemExit(f"{told}or begin in another hydra.sweep.dir=DIR.") from error
    except (HydraException, OmegaConfBaseException, OSError, ValueError, YAMLError) as error:
        frames = traceback.walk_tb(error.__traceback__)
        if any(frame.f_code is task.__code__ for frame, _ in frames):
            raise
        raise SystemExit(sentence(error)) from error


def _storage_errors() -> tuple[type[Exception], ...]:
    """The errors that the storage of a search raises; none if no storage was opened."""
    sqlalchemy = sys.modules.get("sqlalchemy.exc")
    return () if sqlalchemy is None else (sqlalchemy.SQLAlchemyError,)


@contextmanager
def job_refusals() -> Iterator[None]:
    """Around a single job: exit with the sentence at once, before Hydra adds its own lines about a failed job.

    A job of a multirun must not exit, since others follow; its error goes to the sweeper.
    """
    try:
        yield
    except UserError as error:
        EARLIER_FILES.restore(Path(HydraConfig.get().runtime.output_dir))
        _end(error, error)
    except (MemoryError, RuntimeError, OSError) as error:  # torch's own are RuntimeErrors
        run_dir = Path(HydraConfig.get().runtime.output_dir)
        trouble = trouble_when_full(error, run_dir)
        if trouble is not None:
            _end(UserError(f"{trouble}: free some space there, or use another hydra.run.dir=DIR."), error)
        if _is_out_of_memory(error):
            told = f"Out of memory ({in_a_line(error)}): use a smaller data.batch_size, task.batch_size, "
            told += "task.num_samples, objective.num_samples or model; task=info shows what a model needs."
            _end(UserError(told), error)
        if not isinstance(error, OSError):
            raise
        within = error.filename is not None and run_dir in Path(os.path.abspath(error.filename)).parents
        if within:
            _end(UserError(sentence(error)), error)
        if error.filename is None or error.errno not in OF_THE_FILE_SYSTEM:
            raise
        told = f"{error.filename} cannot be used ({error.strerror}): make it accessible, or name another path."
        _end(UserError(told), error)


def _end(refusal: UserError, error: Exception) -> NoReturn:
    if tracebacks_wanted() or HydraConfig.get().mode == RunMode.MULTIRUN:
        raise refusal from (None if refusal is error else error)
    raise SystemExit(str(refusal)) from error


def _is_out_of_memory(error: Exception) -> bool:
    """For any device: torch has an exception class for GPUs only, and messages for others."""
    told = str(error)
    return type(error).__name__ in ("MemoryError", "OutOfMemoryError") or any(
        words in told for words in ("can't allocate memory", "Storage size calculation overflowed")
    )


@contextmanager
def callback_refusals() -> Iterator[None]:
    """Around a Hydra callback, whose errors Hydra turns into warnings: exit with the sentence."""
    try:
        yield
    except UserError as error:
        if tracebacks_wanted():
            traceback.print_exception(error)
        raise SystemExit(str(error)) from error
    except OSError as error:
        raise SystemExit(sentence(error)) from error


def require_options(arguments: Sequence[str], conf: Path) -> None:
    """Raise UserError if a group is given something other than an option's name; Hydra's message lacks the group."""
    typed = [argument for argument in arguments if "=" in argument and not argument.startswith("-")]
    for override in OverridesParser.create().parse_overrides(typed):
        group, value = override.key_or_group, override.value()
        if not override.is_delete() and isinstance(value, int | float | None) and (conf / group).is_dir():
            raise UserError(f"{override.input_line} does not name an option: write {group or 'KEY'}=NAME, see --help.")
