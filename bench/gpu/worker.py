"""The process that runs the blocks, and what a block may use."""

import importlib
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

# Blocks in the order of their importance, each a function ``run`` of a module here, and their seconds on a GPU.
LIMITS = {
    "environment": 60,
    "capture": 120,
    "numerics": 90,
    "memory_order": 30,
    "synchronisation": 60,
    "compiled": 240,
    "training": 120,
    "sampling": 120,
    "profile": 60,
    "convolutions": 40,
}
UNKNOWN = 1  # seconds of others, by MODULE:FUNCTION


@dataclass(frozen=True)
class Options:
    """What to run on: one GPU, or with ``cpu`` tiny models on the CPU."""

    cpu: bool
    slowness: float = 1.0  # multiplies all limits

    @property
    def device(self) -> str:
        """torch's name for it."""
        return "cpu" if self.cpu else "cuda"

    @property
    def side(self) -> int:
        """Of the images."""
        return 8 if self.cpu else 32

    @property
    def size(self) -> dict[str, int]:
        """Of the network that is measured: the paper's."""
        return {"num_filters": 4 if self.cpu else 160, "num_resnet_blocks": 1 if self.cpu else 5}

    def limit(self, block: str) -> float:
        """Seconds after which it is ended."""
        return LIMITS.get(block, UNKNOWN) * self.slowness


class Report:
    """Where a block says what it found, at once."""

    def __init__(self, connection: Connection, seconds: float) -> None:
        self._connection = connection
        self._end = time.monotonic() + seconds

    def check(self, name: str, passed: bool, detail: str = "") -> None:
        """A line of PASS or FAIL."""
        self._connection.send(("check", name, bool(passed), detail))

    def value(self, name: str, value: Any) -> None:
        """A number or text, with its unit in the name."""
        self._connection.send(("value", name, value))

    def has(self, seconds: float) -> bool:
        """Whether so much of the block's time is left."""
        return time.monotonic() + seconds < self._end

    def attempt(self, name: str, call: Any, *arguments: Any) -> Any:
        """What ``call`` returns; None after a line of FAIL where it raises what torch raises, as when memory is short.

        An error of CUDA, after which nothing works, ends the block all the same.
        """
        try:
            return call(*arguments)
        except RuntimeError as error:
            if "CUDA error" in str(error):
                raise
            self.check(f"{name} runs", False, f"{type(error).__name__}: {error}"[:400])
            return None


def work(connection: Connection, blocks: Sequence[str], options: Options, end: float) -> None:
    """Run ``blocks``, saying ("begin", name), what they report and ("end", whether it failed).

    ``end``: when all time is over, by the monotonic clock.
    """
    for name in blocks:
        connection.send(("begin", name))
        report = Report(connection, min(options.limit(name), end - time.monotonic()))
        try:
            start = time.monotonic()
            _block(name)(report, options)
            report.value("block_seconds", time.monotonic() - start)
        except BaseException as error:  # whatever it is, the other blocks run
            where = traceback.extract_tb(error.__traceback__)[-1]
            report.check("runs", False, f"{type(error).__name__}: {error} at {where.filename}:{where.lineno}")
            report.value("traceback", traceback.format_exc())
            connection.send(("end", True))
            return
        connection.send(("end", False))


def _block(name: str) -> Callable[[Report, Options], None]:
    module, _, function = name.partition(":")
    found = importlib.import_module(module if function else f"bench.gpu.{module}")
    return getattr(found, function or "run")
