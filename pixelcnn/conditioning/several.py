"""Several kinds of condition at once: in every block their contributions are added."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, cast

import torch
from torch import Tensor, nn

from pixelcnn.conditioning.condition import Condition
from pixelcnn.errors import UserError

if TYPE_CHECKING:
    from pixelcnn.conditioning import Conditioning

MAPPED = ("maps", "coarse")  # the batch's names of conditions that differ between pixels


class Several(nn.Module):
    """The condition is a mapping from each kind's ``batch_key``, such as "labels" or "maps", to that kind's condition.

    h concatenates the features of all kinds, so h hw is the sum of the kinds' own products. If one of them is a map,
    all become maps: vectors are repeated at every pixel, and their products cost as much as those of a map.
    """

    batch_key: ClassVar[str | None] = None  # see `kinds_of`
    size_key: ClassVar[str | None] = None

    def __init__(self, kinds: Mapping[str, nn.Module]) -> None:
        """``kinds``: conditionings by name. UserError if two take the same array, or one takes nothing."""
        super().__init__()
        self.name = name_of_several(kinds)
        self.kinds = nn.ModuleList(kinds.values())
        for called, kind in kinds.items():
            if kind.batch_key is None:
                raise UserError(f"conditioning={self.name} has {called}, which takes no condition: leave it out.")
        keys = [kind.batch_key for kind in self._each()]
        for key in keys:
            if keys.count(key) > 1:
                raise UserError(f"conditioning={self.name} takes {key} twice: leave one of them out.")
        self.features = sum(kind.features for kind in self._each())
        self.sees_the_image = any(kind.sees_the_image for kind in self._each())

    @property
    def by_key(self) -> "dict[str, Conditioning]":
        """The kinds by their ``batch_key``."""
        return {str(kind.batch_key): kind for kind in self._each()}

    def examples(self, n: int) -> Condition:
        """Conditions for a grid of n samples if every kind has some, else None."""
        made = {key: kind.examples(n) for key, kind in self.by_key.items()}
        return None if any(one is None for one in made.values()) else cast(dict[str, Tensor], made)

    def encode(self, condition: Condition, n: int, height: int, width: int) -> Tensor | None:
        """h, (N, D) or a map (N, D, height, width); UserError if a kind refuses its condition."""
        kinds, condition = self.by_key, {} if condition is None else condition
        if not isinstance(condition, Mapping) or not condition.keys() <= kinds.keys():
            told = f"has {', '.join(map(str, condition))}" if isinstance(condition, Mapping) else "is not a mapping"
            raise UserError(
                f"condition {told}: a model with conditioning={self.name} takes a mapping of {' and '.join(kinds)}."
            )
        missing = [key for key in kinds if condition.get(key) is None]
        if missing:
            raise UserError(
                f"condition has no {missing[0]}: a model with conditioning={self.name} takes a mapping of "
                f"{' and '.join(kinds)}."
            )
        features = [kind.encode(condition[key], n, height, width) for key, kind in kinds.items()]
        return joined(cast(list[Tensor], features), height, width)

    def _each(self) -> "list[Conditioning]":
        return list(self.kinds)  # type: ignore[arg-type]


def name_of_several(names: Mapping[str, object]) -> str:
    """Their name in messages, written like the option: [class,spatial]."""
    return f"[{','.join(names)}]"


def joined(features: Sequence[Tensor], height: int, width: int) -> Tensor:
    """Concatenate features (N, D) or (N, D, height, width), as maps if one of them is a map."""
    if all(h.ndim == 2 for h in features):
        return torch.cat(list(features), dim=1)
    maps = [h if h.ndim == 4 else h[:, :, None, None].expand(-1, -1, height, width) for h in features]
    return torch.cat(maps, dim=1)


def kinds_of(conditioning: "Conditioning") -> "dict[str, Conditioning]":
    """The kinds of condition that a model takes, by ``batch_key``: none, one or several."""
    if isinstance(conditioning, Several):
        return conditioning.by_key
    return {} if conditioning.batch_key is None else {conditioning.batch_key: conditioning}


def gathered(conditioning: "Conditioning", by_key: Mapping[str, Tensor]) -> Condition:
    """The condition for ``conditioning``, from its kinds' tensors ``by_key``."""
    if isinstance(conditioning, Several):
        return dict(by_key)
    return next(iter(by_key.values()), None)


def by_key(conditioning: "Conditioning", condition: Condition) -> dict[str, Tensor]:
    """The inverse of `gathered`; empty for None."""
    if isinstance(condition, Mapping):
        return dict(condition)
    return {} if condition is None else {key: condition for key in kinds_of(conditioning)}
