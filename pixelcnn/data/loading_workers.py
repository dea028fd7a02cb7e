"""Worker processes of a data loader (data.num_workers): sending batches, and ending."""

import os
import signal
import threading
from typing import Any

from torch.utils.data import DataLoader, get_worker_info

from pixelcnn.data.batches import Batch

OF_THE_RUN = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class Loader(DataLoader[Batch]):
    """A data loader with `leave_signals_to_the_run` as ``worker_init_fn``, which signals cannot precede."""

    def __iter__(self) -> Any:
        # Workers start with these signals blocked: one that came before its handler is set would end them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, OF_THE_RUN if self.num_workers else ())
        try:
            return super().__iter__()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def in_shared_memory(batch: Batch) -> Batch:
    """The batch, moved to shared memory if in a worker: a lack of room then raises here instead of being lost."""
    if get_worker_info() is not None:
        for column in batch.values():
            column.share_memory_()
    return batch


def leave_signals_to_the_run(worker: int) -> None:
    """Ignore signals in a worker: terminals and Slurm signal every process, and a run fails if its workers die."""
    for number in OF_THE_RUN:
        signal.signal(number, signal.SIG_IGN)
    waited_for = set()
    if hasattr(signal, "sigwaitinfo"):  # not on a Mac
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        waited_for = {signal.SIGTERM}
        threading.Thread(target=_end_when_the_run_says_so, args=(os.getppid(),), daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, set(OF_THE_RUN) - waited_for)


def _end_when_the_run_says_so(run: int) -> None:
    """Wait for the run's own SIGTERM, by which Python ends the workers of a failed run; others' are ignored."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != run:
        continue
    os._exit(0)
