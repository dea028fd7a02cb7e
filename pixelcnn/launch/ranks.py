"""The rank of this process in a distributed run, before any framework is initialised."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# Where a process stands among all, in the order in which Lightning looks: torchrun's name, those of one machine's
# processes and of the machine, and Slurm's.
ORDER = (("RANK",), ("LOCAL_RANK", "NODE_RANK"), ("SLURM_PROCID",))


def is_first(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process logs and writes for all: rank 0, or the only one."""
    for names in ORDER:
        given = [environment[name] for name in names if name in environment]
        if given:
            return all(rank == "0" for rank in given)
    return True


def started_outside(environment: Mapping[str, str] = os.environ) -> int:
    """How many processes torchrun or Slurm's srun started for this run, including this one."""
    if "TORCHELASTIC_RUN_ID" in environment:
        return int(environment["WORLD_SIZE"])
    if interactive(environment) or not started_by_srun(environment):
        return 1
    return int(environment["SLURM_NTASKS"])


def interactive(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this is an interactive Slurm job, judged by its name as in Lightning."""
    return environment.get("SLURM_JOB_NAME") in ("bash", "interactive")


def started_by_srun(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether srun started this process as a task; a job's script also has the number of tasks, but is not one."""
    return environment.get("SLURM_STEP_NUM_TASKS", "") == environment.get("SLURM_NTASKS")


@contextmanager
def directory_of_its_own(arguments: list[str]) -> Iterator[None]:
    """Unless this is the first process, redirect its Hydra files to a temporary directory.

    Adds a key to the command line's ``arguments``. torchrun and Slurm start all processes alike, and each would make a
    run directory by its own clock; with Lightning each would write its own log.
    """
    if is_first():
        yield
        return
    with tempfile.TemporaryDirectory(prefix="rank_") as directory:
        # After what was typed, so that it counts, but before flags at the end.
        typed = [i for i, argument in enumerate(arguments) if "=" in argument and not argument.startswith("-")]
        end = typed[-1] + 1 if typed else len(arguments)
        arguments[end:end] = [f"hydra.run.dir={directory}", "hydra.output_subdir=null"]
        yield
