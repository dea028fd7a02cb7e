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
        # Workers are born with these signals blocked: one that came before they are dealt with would end them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, OF_THE_RUN if self.num_workers else ())
        try:
            return super().__iter__()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def in_shared_memory(batch: Batch) -> Batch:
    """The batch, in a worker moved to where it is sent from: without room there it fails here, and not unheard."""
    if get_worker_info() is not None:
        for column in batch.values():
            column.share_memory_()
    return batch


def leave_signals_to_the_run(worker: int) -> None:
    """A terminal and Slurm send signals to every process of a run, which would fail if its workers died of them."""
    for number in OF_THE_RUN:
        signal.signal(number, signal.SIG_IGN)
    waited_for = set()
    if hasattr(signal, "sigwaitinfo"):  # not on a Mac
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        waited_for = {signal.SIGTERM}
        threading.Thread(target=_end_when_the_run_says_so, args=(os.getppid(),), daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, set(OF_THE_RUN) - waited_for)


def _end_when_the_run_says_so(run: int) -> None:
    """Python ends by SIGTERM the workers that a run which failed has left, and waits for them."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != run:
        continue
    os._exit(0)
