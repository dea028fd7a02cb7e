"""Log handlers: the terminal, and ``run.log``, which a run can do without."""

import logging
import sys
from typing import Any, TextIO

from pixelcnn.durable import FULL


class RunLog(logging.FileHandler):
    """Leaves out what a full disk has no room for: the terminal has it, and the run says what it could not save."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        error = sys.exc_info()[1]
        if not (isinstance(error, OSError) and error.errno in FULL):
            super().handleError(record)


class Terminal(logging.StreamHandler):
    """Writes to what standard output is at the time: a progress bar replaces it, and puts what it gets above itself."""

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stdout

    @stream.setter
    def stream(self, value: Any) -> None:
        pass
