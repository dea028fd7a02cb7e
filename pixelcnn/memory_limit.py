"""Makes allocations beyond the machine's memory fail with an error instead of killing the process.

Linux grants more memory than there is, and silently kills a process that uses it.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/proc/meminfo")
OF_PROCESS = Path("/proc/self/statm")
GROUPS = Path("/sys/fs/cgroup")
SHARE = 0.95  # of what is available; other processes need some too


@contextmanager
def limited_memory() -> Iterator[None]:
    """Within it, this process cannot allocate more private memory than the machine has available.

    No limit is set if that is unknown, or if there is a GPU, whose driver reserves more than it uses.
    """
    import torch  # heavy

    available, in_use = available_memory(), _data_of_process()
    if available is None or in_use is None or torch.cuda.is_available():
        yield
        return
    before, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limits = [limit for limit in (before, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([in_use + int(SHARE * available), *limits]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, hard))


def available_memory() -> int | None:
    """Bytes that this process could still have, by the machine and by its control groups; None if unknown."""
    if not MEMORY.is_file():
        return None
    lines = dict(line.split(":", 1) for line in MEMORY.read_text().splitlines())
    machine = sum(int(lines[name].split()[0]) * 1024 for name in ("MemAvailable", "SwapFree"))
    return min([machine, *_limits_of_groups()])


def _limits_of_groups() -> Iterator[int]:
    """The limits of this process's control groups (version 2), each for all processes in it."""
    told = Path("/proc/self/cgroup").read_text().splitlines()
    own = next((line.removeprefix("0::/") for line in told if line.startswith("0::/")), None)
    if own is None:
        return
    folder = GROUPS / own
    for group in (folder, *folder.parents):
        file = group / "memory.max"
        if file.is_file() and (limit := file.read_text().strip()) != "max":
            yield int(limit)


def _data_of_process() -> int | None:
    if not OF_PROCESS.is_file():
        return None
    return int(OF_PROCESS.read_text().split()[5]) * resource.getpagesize()
