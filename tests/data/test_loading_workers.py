"""Signals that reach the processes of a data loader too, as those of a terminal and of Slurm do."""

import signal
import subprocess

import pytest
import torch

from pixelcnn.data.loading_workers import OF_THE_RUN, Loader, in_shared_memory, leave_signals_to_the_run


class Ones(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, place):
        return {"images": torch.ones(2)}


@pytest.mark.parametrize("attempt", range(3))
def test_workers_live_on_even_where_a_signal_comes_before_they_have_begun(attempt):
    loader = Loader(
        Ones(), batch_size=None, num_workers=2, worker_init_fn=leave_signals_to_the_run, collate_fn=in_shared_memory
    )
    batches = iter(loader)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
    for number in OF_THE_RUN:  # not sent by the run itself, by whose SIGTERM they end
        subprocess.run(["kill", "-s", str(int(number)), *(str(worker.pid) for worker in batches._workers)], check=True)
    assert len(list(batches)) == 4
