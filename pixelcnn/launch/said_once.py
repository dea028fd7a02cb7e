"""An error that all processes of a distributed run raise is printed once per machine."""

import hashlib
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pixelcnn.launch.ranks import is_first

SECONDS_FOR_THE_OTHERS = 3  # for other processes to reach the same error
# What identifies a run to its processes: Lightning's and torchrun's rendezvous address, and Slurm's step.
NAMES = ("MASTER_ADDR", "MASTER_PORT"), ("SLURM_JOB_ID", "SLURM_STEP_ID")


@contextmanager
def said_once() -> Iterator[None]:
    """Around a command that may exit with a sentence: exit silently if another process of the run has printed it.

    A silent process exits with status 0, except the first: Lightning kills the first one when another one fails.
    """
    try:
        yield
    except SystemExit as refusal:
        named = (names for names in NAMES if all(name in os.environ for name in names))
        run = next(([os.environ[name] for name in names] for names in named), None)  # None: the only process
        if not isinstance(refusal.code, str) or run is None or sys.platform != "linux":
            raise
        name = hashlib.sha256(f"{os.getuid()} {run} {refusal.code}".encode()).hexdigest()
        with socket.socket(socket.AF_UNIX) as claim:
            try:
                claim.bind(f"\0pixelcnn-{name}")  # the system's, not a file; it ends with the process
            except OSError:
                raise SystemExit(1 if is_first() else 0) from refusal
            print(refusal.code, file=sys.stderr, flush=True)
            time.sleep(SECONDS_FOR_THE_OTHERS)
        raise SystemExit(1) from refusal
