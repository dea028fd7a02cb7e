"""The tests tested: each of `tests.breaks` alone, in a copy of the code, has to make the suite's fast part fail.

``python -m tests.mutation [--jobs N] [PATTERN]``, with a PATTERN for the breaks alone whose description or file it is
in. A copy has the files that git tracks, as they are now. The tests near a break are run first, and all of the fast
part if they let it pass. A line a break says which test has failed; the exit status is 1 if a break survived.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copy2

from tests.breaks import BREAKS, Break

ROOT = Path(__file__).parents[1]
SECONDS = 600  # for the tests of one break
FAILED = 1  # pytest's status where tests have failed; 2 where they could not be collected, which shows nothing


@dataclass(frozen=True)
class Outcome:
    """Of a run of pytest; ``test`` is the first that failed."""

    status: int | None  # None where it took too long
    test: str = ""
    said: str = ""

    @property
    def fault(self) -> str:
        """Why nothing is shown by it, where it neither passed nor has a test that failed."""
        return "took too long" if self.status is None else f"pytest ended with status {self.status}"


@contextmanager
def copied() -> Iterator[Path]:
    """A folder with the tracked files of this one."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    with tempfile.TemporaryDirectory(prefix="mutation_") as folder:
        for name in filter(None, names.split("\0")):
            target = Path(folder, "code", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            copy2(ROOT / name, target)
        yield Path(folder, "code")


def apply(each: Break, code: Path) -> None:
    """Break the copy in ``code``."""
    file = code / each.file
    text = file.read_text()
    if text.count(each.line) != 1:
        raise SystemExit(f"{each.line!r} is {text.count(each.line)} times in {each.file}: update tests/breaks.")
    file.write_text(text.replace(each.line, each.broken))


def tested(code: Path, tests: Iterable[str], seconds: float, *more: str) -> Outcome:
    """The first failure of the fast part of ``tests``, files or names of single ones, in the copy in ``code``.

    ``more`` are options of pytest.
    """
    # Of the breaks' own test every break takes the line that it looks for.
    options = [
        "--ignore=tests/test_breaks.py",
        "-x",
        "-rfE",
        "-p",
        "no:cacheprovider",
        f"--basetemp={code.parent / 'run'}",
    ]
    command = [sys.executable, "-m", "pytest", *options, "-m", "not slow", *more, *tests]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_PROFILE": "whole",
    }
    # To a file: a pipe would be waited for until all ended that tests have started.
    output = code.parent / "said.txt"
    with output.open("w") as file:
        try:
            status = subprocess.run(
                command, cwd=code, env=environment, stdout=file, stderr=file, timeout=max(seconds, 1), check=False
            ).returncode
        except subprocess.TimeoutExpired:
            return Outcome(None)
    said = output.read_text()
    failed = re.search(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", said, re.MULTILINE)
    return Outcome(status, failed[1] if failed else "", said)


def tried(each: Break) -> tuple[bool, str, float]:
    """Whether a break is caught, by which test or why not, and after how many seconds."""
    since = time.monotonic()
    with copied() as code:
        apply(each, code)
        outcome = tested(code, each.near, SECONDS)
        far = outcome.status == 0
        if far:
            outcome = tested(code, [], SECONDS - (time.monotonic() - since))
    seconds = time.monotonic() - since
    if outcome.status != FAILED:
        return False, "no test fails" if outcome.status == 0 else outcome.fault, seconds
    if far:
        with copied() as code:
            if tested(code, [outcome.test], SECONDS).status != 0:
                return False, f"{outcome.test} fails without it too", seconds
    return True, outcome.test, seconds


def require_passing(breaks: list[Break], jobs: int) -> None:
    """End here where the tests near the breaks fail by themselves: whatever was broken would count as caught."""
    files = sorted({name for each in breaks for name in each.near})
    print(f"{len(files)} files of tests are near {len(breaks)} breaks; first without any …", flush=True)
    with copied() as code:
        outcome = tested(code, files, 3 * SECONDS, "-n", str(jobs))
    if outcome.status != 0:
        raise SystemExit(
            f"{outcome.said}\nThe unbroken code fails too: {outcome.test or outcome.fault}. Fix that first."
        )


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("pattern", nargs="?", default="", help="breaks with this in their description or file")
    parser.add_argument("--jobs", type=int, default=2, help="at a time")
    options = parser.parse_args()
    breaks = [each for each in BREAKS if options.pattern in f"{each.file}: {each.what}"]
    if not breaks:
        raise SystemExit(f"No break has {options.pattern!r} in its description or file.")
    since = time.monotonic()
    require_passing(breaks, options.jobs)
    survivors = []
    pool = ThreadPoolExecutor(options.jobs)
    try:
        futures = {pool.submit(tried, each): each for each in breaks}
        for future in as_completed(futures):
            each, (caught, told, seconds) = futures[future], future.result()
            survivors += [] if caught else [each]
            state = "caught  " if caught else "SURVIVED"
            print(f"{state} {seconds:5.1f} s  {each.file}: {each.what} ({told})", flush=True)
    finally:
        pool.shutdown(cancel_futures=True)
    minutes = (time.monotonic() - since) / 60
    print(f"{len(breaks) - len(survivors)} of {len(breaks)} breaks are caught, in {minutes:.1f} minutes.")
    if survivors:
        raise SystemExit("\n".join(["Not caught:", *(f"  {each.file}: {each.what}" for each in survivors)]))


if __name__ == "__main__":
    main()
