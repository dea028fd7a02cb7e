"""log softmax at given levels, in little more memory than the logits take (for 1,024 levels 1,024 numbers per
sub-pixel).

``F.cross_entropy`` keeps all log-probabilities beside the logits, and makes two more tensors of their size in the
backward pass. Here both passes compute them for a few images at a time, or a few rows of one.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

AT_ONCE = 2**21  # logits, 8 MiB in float32


def logits_of(rows: Tensor, place: int, before: Tensor) -> Tensor:
    """(N, L, H, W) of channel number ``place`` of a group, whose earlier ones are ``before`` (N, place, H, W).

    rows (N, R, L, H, W): for each channel in turn its logits, then a coefficient for each channel before it.
    """
    first = first_row(place)
    logits = rows[:, first]
    for earlier in range(place):
        logits = logits + rows[:, first + 1 + earlier] * before[:, earlier, None]
    return logits


def first_row(place: int) -> int:
    """Where the rows of channel number ``place`` of a group begin."""
    return place * (place + 1) // 2


class LogSoftmaxAt(torch.autograd.Function):
    """log p of integers ``levels`` int64 (N, C, H, W), from ``parameters`` (N, P, H, W) of ``num_groups`` groups.

    ``x`` (N, C, H, W) is what `logits_of` multiplies coefficients by. With ``spend`` the backward pass writes the
    gradient over ``parameters``.
    """

    @staticmethod
    def forward(ctx: Any, parameters: Tensor, levels: Tensor, x: Tensor, num_groups: int, spend: bool) -> Tensor:
        """(N, C, H, W), nats."""
        log_prob = parameters.new_empty(levels.shape)
        for part in _parts(parameters):
            for channel, _, _, logits in by_channel(parameters[part], x[part], num_groups):
                of_channel = levels[part][:, channel, None]
                log_prob[part][:, channel, None] = F.log_softmax(logits, dim=1).gather(1, of_channel)
        ctx.save_for_backward(parameters, levels, x)
        ctx.num_groups, ctx.spend = num_groups, spend
        return log_prob

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of ``parameters``."""
        parameters, levels, x = ctx.saved_tensors
        parameters = parameters.detach()
        gradient = parameters if ctx.spend else torch.empty_like(parameters)
        for part in _parts(parameters):
            for channel, group, place, logits in by_channel(parameters[part], x[part], ctx.num_groups):
                of_channel = grad[part][:, channel, None]
                of_logits = F.softmax(logits, dim=1).mul_(-of_channel)
                of_logits.scatter_add_(1, levels[part][:, channel, None], of_channel)
                rows = _rows(gradient[part], ctx.num_groups, logits.shape[1])[:, group]
                first = first_row(place)
                for earlier in range(place):
                    before = x[part][:, channel - place + earlier, None]
                    torch.mul(of_logits, before, out=rows[:, first + 1 + earlier])
                rows[:, first] = of_logits
        return gradient, None, None, None, None


def _parts(parameters: Tensor) -> Iterator[tuple[slice, slice, slice]]:
    """Stretches of images and of rows of at most AT_ONCE parameters, or of one row."""
    n, p, height, width = parameters.shape
    images = max(1, AT_ONCE // (p * height * width))
    rows = height if images > 1 else max(1, min(height, AT_ONCE // (p * width)))
    for first in range(0, n, images):
        for row in range(0, height, rows):
            yield slice(first, first + images), slice(None), slice(row, row + rows)


def _rows(parameters: Tensor, num_groups: int, levels: int) -> Tensor:
    """(N, groups, R, L, H, W)."""
    return parameters.unflatten(1, (num_groups, -1, levels))


def by_channel(parameters: Tensor, x: Tensor, num_groups: int) -> Iterator[tuple[int, int, int, Tensor]]:
    """Each channel with its group, its place in it, and its logits (N, L, H, W)."""
    in_group = x.shape[1] // num_groups
    rows = _rows(parameters, num_groups, parameters.shape[1] // (num_groups * first_row(in_group)))
    for channel in range(x.shape[1]):
        group, place = divmod(channel, in_group)
        yield channel, group, place, logits_of(rows[:, group], place, x[:, channel - place : channel])
