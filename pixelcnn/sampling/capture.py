"""Work on tensors that stay in place, captured once and replayed: CUDA graphs."""

from collections.abc import Callable

import torch

Work = Callable[[], None]


def cuda_graphs() -> Callable[[Work], Work]:
    """A function that does some work once, captures it as a CUDA graph, and returns what does it again.

    The work reads and writes tensors that outlive it, never waits for the device, and does the same when done twice.
    Its graphs share the memory of their temporaries: they run one after another.
    """
    pool = torch.cuda.graph_pool_handle()

    def capture(work: Work) -> Work:
        # Libraries set themselves up at the first call, which a capture forbids.
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            work()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            work()
        return graph.replay

    return capture
