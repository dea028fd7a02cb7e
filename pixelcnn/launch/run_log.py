"""Log handlers: the terminal, and ``run.log``, which may fail without ending the run."""

import logging
import sys
from typing import Any, TextIO

from pixelcnn.durable import FULL


class RunLog(logging.FileHandler):
    """Skips lines that a full disk has no room for: the terminal has them."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        error = sys.exc_info()[1]
        if not (isinstance(error, OSError) and error.errno in FULL):
            super().handleError(record)


class Terminal(logging.StreamHandler):
    """Writes to the current standard output: a progress bar replaces it, and prints lines above itself."""

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stdout

    @stream.setter
    def stream(self, value: Any) -> None:
        pass
