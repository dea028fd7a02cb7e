"""A part of a model as data: a constructor and its arguments, as a checkpoint stores them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pixelcnn.errors import UserError
from pixelcnn.signature import arguments_of, checked_arguments, name_of, refusal, require_plain


@dataclass(frozen=True)
class Part:
    """``target``, called with ``arguments`` and those that the model adds, makes the part.

    The arguments are plain values and include all defaults, so a stored model stays the same when a default changes.
    """

    target: type
    arguments: Mapping[str, Any]

    @classmethod
    def of(cls, chosen: "Part | Callable[..., Any]", given: Collection[str], prefix: str = "") -> "Part":
        """The part for a class, or for a ``functools.partial`` of a class with keyword arguments.

        ``given``: the arguments that the model adds. UserError if an argument is unknown, missing, of a wrong type, or
        not a plain value; it names the key as ``prefix`` and the argument's name.
        """
        if isinstance(chosen, Part):
            return chosen
        target, values = (chosen.func, chosen.keywords) if isinstance(chosen, partial) else (chosen, {})
        if not isinstance(target, type) or (isinstance(chosen, partial) and chosen.args):
            raise UserError(f"{chosen} is not a class or a functools.partial of one with keyword arguments.")
        for name, value in values.items():
            require_plain(value, prefix + name)
        return cls(target, checked_arguments(target, values, given, prefix))

    def build(self, prefix: str, **given: Any) -> Any:
        """Construct the part, with those of ``given`` that its constructor takes.

        UserError, naming the key as ``prefix`` and the argument's name, if that raises ValueError or TypeError.
        """
        taken = arguments_of(self.target)
        try:
            return self.target(**{name: value for name, value in given.items() if name in taken}, **self.arguments)
        except (UserError, ValueError, TypeError) as error:
            raise refusal(error, self.target, self.arguments, prefix) from error

    @property
    def name(self) -> str:
        """Its name in messages: its option in ``conf/``, or its class."""
        return getattr(self.target, "name", self.target.__name__)

    def to_dict(self) -> dict[str, Any]:
        """Plain values: ``_target_`` and the arguments."""
        return {"_target_": name_of(self.target), **self.arguments}

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]
