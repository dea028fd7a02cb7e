"""The processes of a data loader (data.num_workers): what they send, and how they end."""

import os
import signal
import threading

from torch.utils.data import get_worker_info

from pixelcnn.data.batches import Batch


def in_shared_memory(batch: Batch) -> Batch:
    """The batch, in a worker moved to where it is sent from: without room there it fails here, and not unheard."""
    if get_worker_info() is not None:
        for column in batch.values():
            column.share_memory_()
    return batch


def leave_signals_to_the_run(worker: int) -> None:
    """A terminal and Slurm send signals to every process of a run, which would fail if its workers died of them."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # not on a Mac
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_when_the_run_says_so, args=(os.getppid(),), daemon=True).start()


def _end_when_the_run_says_so(run: int) -> None:
    """Python ends by SIGTERM the workers that a run which failed has left, and waits for them."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != run:
        continue
    os._exit(0)
