"""Numbers that all ranks agree on while they train, without waiting for each other or for a GPU."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class Agreement:
    """The largest of all ranks' numbers, each known at the call after the one that it was given to.

    All ranks call it equally often. Between two calls they meet anyway, as gradients are averaged, so that what the
    call before has started is done by then: nothing is waited for. The numbers are in the hosts' memory and travel by
    gloo, beside what the GPUs exchange. ``processes``: how many ranks there are; one agrees with itself at once.
    """

    def __init__(self, processes: int) -> None:
        self._group: Any = dist.new_group(backend="gloo") if processes > 1 else None
        self._pending: tuple[Tensor, dist.Work] | None = None

    def on(self, number: int) -> int:
        """The largest number that was given to the call before this one, 0 if none was.

        One above 0 ends an exchange: the number given with it is not passed on.
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
        """What the last call has started comes to, 0 if it has been read."""
        if self._pending is None:
            return 0
        value, work = self._pending
        self._pending = None
        work.wait()
        return int(value.numpy())  # not as a tensor's item(), which is how a GPU would be read
