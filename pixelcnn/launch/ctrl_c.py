"""Ctrl-C ends the command with status 130 and without a traceback."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 128 + signal.SIGINT


@contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """Around everything: exit with status 130 if Ctrl-C was pressed, even if Lightning caught it and exits."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        print("Interrupted.", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from interrupt
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):
            raise SystemExit(INTERRUPTED) from end
        raise
