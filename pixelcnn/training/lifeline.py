"""If one process of a run dies, the others exit with how to resume it.

gloo raises in the survivors at once, and torchrun and ``srun --kill-on-bad-exit=1`` kill them. But processes launched
by Lightning may wait for a dead one where nothing raises, as in NCCL's operations or during startup. These watch each
other's process ids: Lightning's own observer kills the launcher silently, and leaves the launched processes behind when
the launcher dies.
"""

import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytorch_lightning import Callback, LightningModule, Trainer

LAUNCHER = "PIXELCNN_LAUNCHER"  # environment variable, a process id
SECONDS_BETWEEN_LOOKS = 0.05  # the observer has five
SECONDS_TO_RAISE = 2  # for an operation that does raise, so that loggers are finished
OF_A_LOST_PEER = re.compile(  # gloo's words, NCCL's, and those of torch's store
    "Connection (closed|reset) by peer|Broken pipe|remote process exit|Connection was .*closed"
)


class Lifeline(Callback):
    """``checkpoint``: the file to resume the run from, on rank 0."""

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        self._watching = True
        self._said = False

    @contextmanager
    def holding(self, trainer: Trainer) -> Iterator[None]:
        """Around ``trainer.fit``: if a process died, exit instead of raising the collective operation's error."""
        launcher = int(os.environ.setdefault(LAUNCHER, str(os.getpid())))
        threading.Thread(target=self._watch, args=(trainer, launcher), name="lifeline", daemon=True).start()
        try:
            yield
        except RuntimeError as error:
            if not self._said:
                raise
            raise SystemExit(1) from error
        finally:
            self._watching = False
            if launcher == os.getpid():
                del os.environ[LAUNCHER]

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.checkpoint = trainer.strategy.broadcast(self.checkpoint)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._watching = False
        if isinstance(exception, RuntimeError) and OF_A_LOST_PEER.search(str(exception)):
            self._say()

    def _watch(self, trainer: Trainer, launcher: int) -> None:
        while self._watching:
            launched = getattr(trainer.strategy.launcher, "procs", [])
            if any(process.poll() for process in launched) or launcher not in (os.getpid(), os.getppid()):
                self._say()
                time.sleep(SECONDS_TO_RAISE)
                if self._watching:
                    for process in launched:
                        process.kill()
                    os._exit(1)
            time.sleep(SECONDS_BETWEEN_LOOKS)

    def _say(self) -> None:
        if self._said:
            return
        self._said = True
        exists = self.checkpoint.exists()
        remedy = (
            f"resume it with checkpoint={self.checkpoint}" if exists else "there is no checkpoint yet, start it again"
        )
        print(f"A process has died, which ends the run on all ranks: {remedy}.", file=sys.stderr, flush=True)
