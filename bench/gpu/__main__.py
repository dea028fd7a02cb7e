"""Check and measure everything on one GPU, in blocks that fail alone.

    python -m bench.gpu                              at most eight minutes of one GPU
    python -m bench.gpu --output DIR/gpu.json --minutes 9
    python -m bench.gpu --blocks capture,sampling    some of them
    python -m bench.gpu --cpu                        all of it at tiny size, to see that it runs

It needs torch, pytorch-lightning and torchmetrics, and neither Hydra nor Weights & Biases nor a network. Each
check is a line, PASS or FAIL, as it comes; each number is a line with its name. All are in the JSON file too, written
after every line. If a block fails, hangs or breaks the GPU's context, the next ones run in a
new process. Exits with 1 if anything failed.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.gpu.worker import LIMITS, Options, work

SECONDS_TO_START = 120
SLOWNESS_OF_CPUS = 20  # which are shared


class Results:
    """All lines so far, printed and in a file."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.blocks: dict[str, dict[str, Any]] = {}
        self.failed: list[str] = []

    def begin(self, block: str) -> None:
        """The following lines belong to ``block``."""
        print(f"# {block}", flush=True)
        self.blocks[block] = {"checks": {}, "values": {}}

    def check(self, block: str, name: str, passed: bool, detail: str) -> None:
        """One line of PASS or FAIL."""
        print(f"{'PASS' if passed else 'FAIL'} {block}: {name}" + (f" ({detail})" if detail else ""), flush=True)
        self.blocks[block]["checks"][name] = {"passed": passed, "detail": detail}
        if not passed:
            self.failed.append(f"{block}: {name}")
        self._write()

    def value(self, block: str, name: str, value: Any) -> None:
        """One line of a number or a text."""
        print(f"     {name}: {value:.4g}" if isinstance(value, float) else f"     {name}: {value}", flush=True)
        self.blocks[block]["values"][name] = value
        self._write()

    def _write(self) -> None:
        self.output.write_text(json.dumps({"failed": self.failed, "blocks": self.blocks}, indent=1) + "\n")


class Supervisor:
    """Runs blocks in order, in a process that is replaced when one of them ends it or outlasts its limit."""

    def __init__(self, names: Sequence[str], options: Options, results: Results, seconds: float) -> None:
        self.left = list(names)  # to run, the current one included
        self.current: str | None = None
        self.options, self.results = options, results
        self.end = time.monotonic() + seconds
        self._limit = self.end

    def run(self) -> None:
        """Run all of them; those without time left count as failed."""
        spawn = multiprocessing.get_context("spawn")  # a process that has used a GPU cannot be forked
        while self.left and time.monotonic() < self.end:
            here, there = spawn.Pipe()
            process = spawn.Process(target=work, args=(there, self.left, self.options, self.end))
            process.start()
            there.close()
            self._limit = time.monotonic() + SECONDS_TO_START
            trouble = self._listen(here)
            process.kill()
            process.join()
            if trouble is not None and time.monotonic() < self.end:
                self._give_up(*trouble)
        for name in self.left:
            if name != self.current:  # which keeps what it has said
                self.results.begin(name)
            self.results.check(name, "had time", False, "--minutes were over")

    def _give_up(self, name: str, detail: str) -> None:
        """Report that the current block failed, or the first if none has begun."""
        if self.current is None:
            self.results.begin(self.left[0])
        self.results.check(self.left.pop(0), name, False, detail)
        self.current = None

    def _listen(self, here: Connection) -> tuple[str, str] | None:
        """Read the process's messages until it ends or times out; returns the failed check and why, else None."""
        while self.left:
            if not here.poll(max(0.0, min(self._limit, self.end) - time.monotonic())):
                return "ends in time", "killed when its time was over"
            try:
                kind, *content = here.recv()
            except (EOFError, ConnectionResetError):
                return "survives", "its process has ended"
            if kind == "begin":
                self.current = self.left[0]
                self._limit = time.monotonic() + self.options.limit(self.current)
                self.results.begin(self.current)
            elif kind == "end":
                self.left.pop(0)
                self.current, self._limit = None, time.monotonic() + SECONDS_TO_START
                if content[0]:  # with an error, after which the device may not be sound
                    return None
            else:
                assert self.current is not None
                getattr(self.results, kind)(self.current, *content)
        return None


def main() -> None:
    """Run the blocks and say what failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("gpu.json"), help="file of the results")
    parser.add_argument("--minutes", type=float, default=8.0, help="in all; blocks that are left then count as failed")
    parser.add_argument("--blocks", default=",".join(LIMITS), help="which, in this order (default: %(default)s)")
    parser.add_argument("--cpu", action="store_true", help="tiny, on the CPU")
    arguments = parser.parse_args()
    names = arguments.blocks.split(",")
    unknown = [name for name in names if name not in LIMITS]
    if unknown:
        parser.error(f"--blocks={','.join(unknown)} do not exist: choose of {', '.join(LIMITS)}.")
    results = Results(arguments.output)
    options = Options(arguments.cpu, SLOWNESS_OF_CPUS if arguments.cpu else 1)
    Supervisor(names, options, results, 60 * arguments.minutes * options.slowness).run()
    count = sum(len(block["checks"]) for block in results.blocks.values())
    print(f"{count - len(results.failed)} of {count} checks passed; results in {arguments.output}")
    for name in results.failed:
        print(f"FAIL {name}")
    sys.exit(1 if results.failed else 0)


if __name__ == "__main__":
    main()
