"""Numbers that all ranks agree on during training, without waiting for each other or for a GPU."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class Agreement:
    """The largest of all ranks' numbers, known one call later.

    All ranks call it equally often. Between two calls they synchronise anyway, to average gradients, so the exchange
    started by the previous call has finished and nobody waits. The numbers are in host memory and travel by gloo,
    independent of the GPUs' communication. ``processes``: the number of ranks; a single one agrees at once.
    """

    def __init__(self, processes: int) -> None:
        self._group: Any = dist.new_group(backend="gloo") if processes > 1 else None
        self._pending: tuple[Tensor, dist.Work] | None = None

    def on(self, number: int) -> int:
        """The largest number passed in the previous call, 0 if there was none.

        If that is above 0, ``number`` is not exchanged.
        """
        if self._group is None:
            return number
        agreed = self.last()
        if agreed == 0:
            value = torch.tensor(number)
            work = dist.all_reduce(value, dist.ReduceOp.MAX, group=self._group, async_op=True)
            assert work is not None  # as it is asynchronous
            self._pending = value, work
        return agreed

    def last(self) -> int:
        """The result of the last call's exchange, 0 if it has been read."""
        if self._pending is None:
            return 0
        value, work = self._pending
        self._pending = None
        work.wait()
        return int(value.numpy())  # not by item(), which would look like a GPU synchronisation
