"""The eight raster orders in which an image can be read, line by line, each a product of conditionals (equation 1).

An order is named after the direction of the next pixel and that of the next line: ``right_down``, the usual one, reads
rows from left to right, the top row first; ``up_left`` reads columns from bottom to top, the rightmost first.

Networks always read in the usual order. For other orders the images that they see are flipped or transposed, and their
parameters transformed back: exact, at the cost of a copy.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelcnn.conditioning.several import joined
from pixelcnn.errors import UserError

OrderName = Literal["right_down", "left_down", "right_up", "left_up", "down_right", "down_left", "up_right", "up_left"]
ModelOrder = Literal[OrderName, "all"]
ORDERS: tuple[OrderName, ...] = get_args(OrderName)
USUAL: OrderName = "right_down"
ALL: Literal["all"] = "all"


@dataclass(frozen=True)
class Order:
    """One order, by its name."""

    name: OrderName

    @property
    def _flipped(self) -> list[int]:
        return [dim for towards, dim in (("up", -2), ("left", -1)) if towards in self.name.split("_")]

    @property
    def _by_columns(self) -> bool:
        return self.name.startswith(("down", "up"))

    def shown(self, maps: Tensor) -> Tensor:
        """``maps`` (…, H, W) of any kind such that reading them in the usual order reads the pixels in this one.

        They are (…, W, H) where the order reads columns; themselves in the usual order.
        """
        if self.name == USUAL:
            return maps
        flipped = maps.flip(self._flipped)
        return (flipped.mT if self._by_columns else flipped).contiguous()

    def back(self, maps: Tensor) -> Tensor:
        """The inverse of `shown`."""
        if self.name == USUAL:
            return maps
        return (maps.mT if self._by_columns else maps).flip(self._flipped).contiguous()


@dataclass(frozen=True)
class Orders:
    """The orders that a model knows: one, or all eight. With all, a one-hot vector beside h tells the network which."""

    name: ModelOrder

    @property
    def features(self) -> int:
        """The number of features that name the order."""
        return len(ORDERS) if self.name == ALL else 0

    def chosen(self, asked: str | None) -> Order:
        """The order named ``asked``; None: the model's only order, or the usual one. UserError for unknown orders."""
        known = ORDERS if self.name == ALL else (self.name,)
        for name in known:
            if asked in (None, name):
                return Order(name)
        if asked in ORDERS:
            raise UserError(
                f"order={asked} is not known to this model, whose order is {self.name}: leave it out, or train a "
                "model with model.order=all."
            )
        raise UserError(f"order={asked} is not an order of this model: choose one of {', '.join(known)}.")

    def with_first(self, known: Tensor) -> Order | None:
        """An order in which the pixels where ``known`` bool (H, W) is True come before all others, if there is one."""
        orders = map(Order, ORDERS if self.name == ALL else (self.name,))
        return next((order for order in orders if comes_first(order.shown(known))), None)

    def shown(self, images: Tensor, h: Tensor | None, order: Order, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
        """``images`` (N, C, H, W) and their features h, (N, D), (N, D, H, W) or None, as the network takes them.

        ``dtype``: of the features that name the order.
        """
        images = order.shown(images)
        if h is not None and h.ndim == 4:
            h = order.shown(h)
        if self.name == ALL:
            place = torch.full((len(images),), ORDERS.index(order.name), device=images.device)
            name = F.one_hot(place, len(ORDERS)).to(dtype)
            h = joined([name] if h is None else [h, name], *images.shape[2:])
        return images, h

    def drawn(self, images: Tensor, h: Tensor | None, dtype: torch.dtype) -> tuple[Tensor, Tensor | None, Order]:
        """`shown` in an order that torch's generator for the CPU draws, and that order."""
        order = Order(ORDERS[int(torch.randint(len(ORDERS), (), device="cpu"))])
        return *self.shown(images, h, order, dtype), order


def averaged(log_probs: Tensor) -> Tensor:
    """log of the mean over orders of probabilities, whose logarithms are (K, …): (…)."""
    return log_probs.logsumexp(dim=0) - math.log(len(log_probs))


def comes_first(known: Tensor) -> bool:
    """Whether the pixels where ``known`` bool (H, W) is True precede all others in the usual order."""
    flat = known.flatten()
    return not bool((flat[1:] & ~flat[:-1]).any())
