"""Weight normalisation: W = g * V / max(||V||, 1e-6), the norm of each output channel (Salimans and Kingma 2016).

It reads every weight at every step and computes little: its cost is passes over memory and, on a GPU, kernel launches.
`normalized` therefore takes many layers at once.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

SMALLEST_NORM = 1e-6
# Weights of a layer above which a CPU normalises it alone: copying them beside others' takes longer than sharing saves.
LARGE = 2**16


def normalized(
    directions: Sequence[Tensor], gains: Sequence[Tensor], out_dims: Sequence[int], dtype: torch.dtype
) -> list[Tensor]:
    """W of each layer, in the shape of its V, computed in V's type and rounded to ``dtype``.

    In memory the output channels of W come first, wherever V has them; within a channel W is laid out as V is.
    ``directions``: V; ``gains``: g (channels,); ``out_dims``: which axis of V is the output channel. All are of one
    type and device. Layers whose channels have as many weights share their operations, forward and backward.
    """
    if torch.compiler.is_compiling():  # which fuses the formula by itself
        return [_formula(*of_layer).to(dtype) for of_layer in zip(directions, gains, out_dims, strict=True)]
    groups: dict[tuple[int, int | None], list[int]] = defaultdict(list)
    for k, (v, g) in enumerate(zip(directions, gains, strict=True)):
        groups[v.numel() // len(g), k if v.is_cpu and v.numel() > LARGE else None].append(k)
    weights: dict[int, Tensor] = {}
    for group in groups.values():
        orders = [_rows_first(directions[k], out_dims[k]) for k in group]
        of_group = _WeightNorm.apply(orders, dtype, *(directions[k] for k in group), *(gains[k] for k in group))
        weights.update(zip(group, of_group, strict=True))
    return [weights[k] for k in range(len(directions))]


def _formula(v: Tensor, g: Tensor, out_dim: int) -> Tensor:
    others = [d for d in range(v.ndim) if d != out_dim]
    norm = torch.linalg.vector_norm(v, dim=others, keepdim=True)
    g = g.view([-1 if d == out_dim else 1 for d in range(v.ndim)])
    return v * (g / norm.clamp_min(SMALLEST_NORM))


def _rows_first(v: Tensor, out_dim: int) -> list[int]:
    """The axes of v, that of the output channel first and the others as they follow each other in memory."""
    return [out_dim, *sorted((d for d in range(v.ndim) if d != out_dim), key=v.stride, reverse=True)]


def _rows(values: Sequence[Tensor], orders: Sequence[list[int]]) -> Tensor:
    """(channels of all, weights of a channel)."""
    rows = [value.permute(order).flatten(1) for value, order in zip(values, orders, strict=True)]
    return rows[0] if len(rows) == 1 else torch.cat(rows)


def _unstacked(rows: Tensor, like: Sequence[Tensor], orders: Sequence[list[int]]) -> list[Tensor]:
    """The values that `_rows` has stacked, in their shapes, as views of ``rows``."""
    values = []
    parts = rows.split([value.shape[order[0]] for value, order in zip(like, orders, strict=True)])
    for part, value, order in zip(parts, like, orders, strict=True):
        back = sorted(range(value.ndim), key=order.__getitem__)
        values.append(part.view([value.shape[d] for d in order]).permute(back))
    return values


class _WeightNorm(torch.autograd.Function):
    """W of layers with rows of one length; keeps V and the norms, and finds the gradient in half of autograd's passes.

    Its arguments are the axes of each V as `_rows_first` has them, the type of W, every V, and every g.
    """

    @staticmethod
    def forward(
        ctx: Any, orders: list[list[int]], dtype: torch.dtype, *directions_and_gains: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.orders = orders
        ctx.set_materialize_grads(False)
        directions, gains = directions_and_gains[: len(orders)], directions_and_gains[len(orders) :]
        v, g = _rows(directions, orders), torch.cat(gains)[:, None]
        norm = torch.linalg.vector_norm(v, dim=1, keepdim=True)
        ctx.save_for_backward(*directions_and_gains, *norm.split([len(g) for g in gains]))
        w = torch.empty_like(v, dtype=dtype)
        torch.mul(v, g / norm.clamp_min(SMALLEST_NORM), out=w)
        return tuple(_unstacked(w, directions, orders))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        # A layer that has computed its weight by itself, in another precision, has no gradient here.
        of_layers = {k: gradient for k, gradient in enumerate(gradients) if gradient is not None}
        n, saved = len(gradients), ctx.saved_tensors
        directions, gains, norms = ([saved[first + k] for k in of_layers] for first in (0, n, 2 * n))
        found: list[Tensor | None] = [None] * (2 * n)
        if of_layers:
            orders = [ctx.orders[k] for k in of_layers]
            v, g, norm = _rows(directions, orders), torch.cat(gains)[:, None], torch.cat(norms)
            gradient = _rows(list(of_layers.values()), orders).to(v.dtype)
            divisor = norm.clamp_min(SMALLEST_NORM)
            of_g = (gradient * v).sum(1, keepdim=True) / divisor
            # Below the smallest norm the divisor is constant.
            radial = torch.where(norm < SMALLEST_NORM, 0.0, g * of_g / divisor.square())
            of_v = (gradient * (g / divisor)).addcmul_(v, radial, value=-1)
            of_directions, of_gains = _unstacked(of_v, directions, orders), of_g.flatten().split(list(map(len, gains)))
            for k, of_direction, of_gain in zip(of_layers, of_directions, of_gains, strict=True):
                found[k], found[n + k] = of_direction, of_gain
        return None, None, *found
