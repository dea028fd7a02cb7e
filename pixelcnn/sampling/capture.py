"""Work on tensors that stay in place, captured once and replayed: CUDA graphs."""

from collections.abc import Callable

import torch

Work = Callable[[], None]


def cuda_graphs(device: torch.device) -> Callable[[Work], Work]:
    """A function that runs work on ``device`` once, captures it as a CUDA graph, and returns a function to replay it.

    The work must read and write tensors that outlive it, never wait for the device, and do the same when run twice.
    The graphs share memory for temporaries, so they have to run one after another.
    """
    with torch.cuda.device(device):
        torch.cuda.empty_cache()  # a capture cannot free memory that training has cached
        pool, aside = torch.cuda.graph_pool_handle(), torch.cuda.Stream()

    def capture(work: Work) -> Work:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(device):
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                work()  # libraries initialise at the first call, which a capture forbids
                # Not by torch.cuda.graph, which empties the cache each time. Other threads, such as NCCL's, may run.
                graph.capture_begin(pool, capture_error_mode="thread_local")
                try:
                    work()
                finally:
                    graph.capture_end()
            torch.cuda.current_stream().wait_stream(aside)

        def replay() -> None:
            with torch.cuda.device(device):
                graph.replay()

        return replay

    return capture
