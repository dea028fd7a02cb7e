"""A parallel map over all cores, in processes that never outlive their parent."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from pixelcnn.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_processes(call: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[int, Result]]:
    """Yield the place of each of ``items`` and the result of ``call``, as they become ready.

    ``call``, items and results are pickled. The first exception is raised, and no further item is started; UserError if
    a process was killed.
    """
    pool = ProcessPoolExecutor(max(1, min(len(items), cores())), initializer=_belong_to_parent)
    try:
        places = {pool.submit(call, item): place for place, item in enumerate(items)}
        for future in as_completed(places):
            yield places[future], future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "A process that was converting images was killed, possibly out of memory: run the same command again to "
            "continue, under `taskset -c 0` to use one process and the least memory."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _belong_to_parent() -> None:
    # Ctrl-C reaches all processes; the parent ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
