"""The arguments of a constructor as a schema: their names, types and defaults, and whether given values fit them.

All parts of a configuration are checked with it, the project's own and a user's alike.
"""

import inspect
import math
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pixelcnn.errors import UnknownKeyError, UserError, meant

KINDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Path: "a path",
    NoneType: "null",
}
LARGEST = 2**53  # floats represent every whole number up to this
PLAIN = (NoneType, bool, int, float, str)


@dataclass(frozen=True)
class Argument:
    """One argument of a constructor."""

    hint: Any  # Any if it has no annotation, or one that cannot be resolved
    default: Any = inspect.Parameter.empty

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty


def arguments_of(target: Callable[..., Any]) -> dict[str, Argument]:
    """The arguments of a class's constructor or of a function, by name.

    If a constructor passes ``**`` on, the arguments of its parent's constructor are included.
    """
    return _arguments_and_openness(target)[0]


def takes_any_keyword(target: Callable[..., Any]) -> bool:
    """Whether ``target`` takes arbitrary keywords: a ``**`` that it does not pass to its parent."""
    return _arguments_and_openness(target)[1]


def _arguments_and_openness(target: Callable[..., Any]) -> tuple[dict[str, Argument], bool]:
    found: dict[str, Argument] = {}
    hands_on = False
    for constructor in _constructors(target):
        hints = _hints(constructor)
        parameters = list(inspect.signature(constructor).parameters.values())
        for parameter in parameters[isinstance(target, type) :]:
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                found.setdefault(parameter.name, Argument(hints.get(parameter.name, Any), parameter.default))
        hands_on = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        if not hands_on:
            break
    return found, hands_on


def _constructors(target: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """The constructors that a call of ``target`` may reach, its own first, without those of object and nn.Module.

    The class identifies them, not the function: torch.compile replaces nn.Module's constructor with a wrapper.
    """
    if not isinstance(target, type):
        yield target
        return
    for owner in target.__mro__:
        if owner.__module__ in ("builtins", "torch.nn.modules.module"):
            return
        if "__init__" in vars(owner):
            yield vars(owner)["__init__"]


def _hints(constructor: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(constructor)
    except NameError:  # a name imported only for type checkers
        return {}


def checked_arguments(
    target: Callable[..., Any], values: Mapping[str, Any], given: Collection[str] = (), prefix: str = ""
) -> dict[str, Any]:
    """``values`` for the constructor ``target``, converted to its types, and its plain defaults for all others.

    ``given`` are the arguments that the caller adds, which ``values`` must not contain. Raises UserError, naming the
    key as ``prefix`` and the argument's name, if one is unknown, missing, not finite or of a wrong type.
    """
    known = {name: argument for name, argument in arguments_of(target).items() if name not in given}
    is_open = takes_any_keyword(target)
    for name in values:
        if name not in known and (name in given or not is_open):
            instead = f"its keys are {', '.join(known)}." if known else "it has none."
            raise UnknownKeyError(f"{prefix}{name}", name_of(target), meant(name, known, instead, f"{prefix}{{}}"))
    missing = [name for name, argument in known.items() if argument.required and name not in values]
    if missing:
        raise UserError(f"{prefix}{missing[0]} has no value: give {prefix}{missing[0]}=VALUE.")
    defaults = {name: argument.default for name, argument in known.items() if _is_plain(argument.default)}
    hints = {name: known[name].hint if name in known else Any for name in values}
    return {**defaults, **{name: checked(value, hints[name], prefix + name) for name, value in values.items()}}


def refusal(error: Exception, target: Callable[..., Any], values: Mapping[str, Any], prefix: str) -> UserError:
    """The UserError for ``error``, by which the constructor ``target`` refused ``values``; it names the key."""
    told = " ".join(str(error).split()).rstrip(".")
    kind = type(error) if isinstance(error, UserError) else UserError
    if any(told.startswith(f"{name}=") for name in values):
        return kind(f"{prefix}{told}.")
    if isinstance(error, UserError):
        return kind(told if told.endswith("?") else f"{told}.")
    guilty = [name for name in values if re.search(rf"\b{re.escape(name)}\b", told)]
    guilty = guilty or _quoted(told, values) or _unlike_defaults(target, values) or _not_numbers(values) or list(values)
    where = " with ".join(f"{prefix}{name}={values[name]}" for name in guilty) or prefix.rstrip(".")
    return UserError(f"{where} is rejected by {name_of(target)} ({told}): change it.")


def _quoted(told: str, values: Mapping[str, Any]) -> list[str]:
    """The argument whose value a message quotes, as in torch's "Invalid learning rate: -1.0"."""
    words = told.casefold().split()
    found = [name for name, value in values.items() if type(value) is not bool and str(value).casefold() in words]
    return found if len(found) == 1 else []


def _unlike_defaults(target: Callable[..., Any], values: Mapping[str, Any]) -> list[str]:
    """The arguments without annotation that are text although their default is a number."""
    known = arguments_of(target)
    numbers = [name for name in values if name in known and isinstance(known[name].default, (int, float))]
    return [name for name in numbers if known[name].hint is Any and isinstance(values[name], str)]


def _not_numbers(values: Mapping[str, Any]) -> list[str]:
    """The arguments other than numbers and switches, whose types and ranges have been checked."""
    return [name for name, value in values.items() if not isinstance(value, int | float)]


def name_of(target: Callable[..., Any]) -> str:
    """The dotted name to import ``target`` from: by the outermost package that offers it."""
    module = target.__module__
    packages = module.split(".")
    for depth in range(1, len(packages)):
        package = ".".join(packages[:depth])
        if vars(sys.modules.get(package, object)).get(target.__name__) is target:
            return f"{package}.{target.__name__}"
    return f"{module}.{target.__qualname__}"


def is_own(target: Callable[..., Any]) -> bool:
    """Whether ``target`` is of this project."""
    return target.__module__.partition(".")[0] == "pixelcnn"


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    return type(value) in PLAIN


def require_plain(value: Any, key: str) -> None:
    """Raise UserError unless ``value`` consists of numbers, text, lists and dictionaries, as checkpoints hold them."""
    if not _is_plain(value):
        kind = type(value).__name__
        raise UserError(f"{key} is a {kind}: give numbers, text, lists or dictionaries, which a checkpoint can store.")


def checked(value: Any, hint: Any, key: str) -> Any:
    """``value`` converted to ``hint``; UserError naming ``key`` if it is of another type or not finite."""
    try:
        return _converted(value, hint)
    except TypeError as error:
        items = _items_of(hint)
        if items is not None and isinstance(value, list | tuple):
            for place, item in enumerate(value):
                checked(item, items, f"{key}[{place}]")
        shown = "null" if value is None else str(value).lower() if isinstance(value, bool) else value
        raise UserError(f"{key}={shown} is of the wrong type: it takes {expected(hint)}.") from error
    except ArithmeticError as error:
        raise UserError(f"{key}={value} is out of range: use {error}.") from error


def _items_of(hint: Any) -> Any:
    """The item type of the list annotation ``hint``; None if it is not one, or has any items."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else [hint]
    lists = [kind for kind in kinds if _is_sequence(get_origin(kind)) and get_args(kind)]
    return get_args(lists[0])[0] if lists else None


def expected(hint: Any) -> str:
    """The annotation ``hint`` in words."""
    origin, of = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(expected(kind) for kind in of)
    if origin is Annotated:
        return expected(of[0])
    if origin is Literal:
        return f"one of {', '.join(map(str, of))}"
    if _is_sequence(origin or hint):
        items = [kind for kind in of if kind is not Ellipsis]
        count = f" of {len(items)}" if origin is tuple and Ellipsis not in of else ""
        return f"a list{count}, each item {expected(items[0])}" if items else "a list"
    if _is_mapping(origin or hint):
        return "a group of keys"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return f"one of {', '.join(hint.__members__)}"
    if hint in KINDS:
        return KINDS[hint]
    return f"{{_target_: a {hint.__name__}, …}}" if isinstance(hint, type) else str(hint)


def _is_sequence(kind: Any) -> bool:
    return (isinstance(kind, type) and issubclass(kind, list | tuple | set)) or kind in (Sequence, Iterable, Collection)


def _is_mapping(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Mapping)


def _converted(value: Any, hint: Any) -> Any:
    """``value`` converted to ``hint``; TypeError for another type, ArithmeticError if it is not finite or too large."""
    origin, of = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _converted_to_one(value, of)
    if origin is Annotated:
        return _converted(value, of[0])
    if origin is Literal:
        if any(type(value) is type(choice) and value == choice for choice in of):
            return value
        raise TypeError
    if _is_sequence(origin or hint):
        return _converted_items(value, origin or hint, of)
    if _is_mapping(origin or hint):
        if isinstance(value, Mapping):
            return dict(value)
        raise TypeError
    return _converted_value(value, hint)


def _converted_to_one(value: Any, kinds: Sequence[Any]) -> Any:
    # True is a bool before it is an int, 3 an int before it is a float.
    for kind in sorted(kinds, key=lambda kind: type(value) is not kind):
        try:
            return _converted(value, kind)
        except TypeError:
            continue
    raise TypeError


def _converted_items(value: Any, kind: Any, of: Sequence[Any]) -> Any:
    if not isinstance(value, list | tuple | set):
        raise TypeError
    if kind is tuple and of and of[-1] is not Ellipsis:
        if len(of) != len(value):
            raise TypeError
        return tuple(_converted(one, hint) for one, hint in zip(value, of, strict=True))
    items = [_converted(one, of[0] if of else Any) for one in value]
    return tuple(items) if kind is tuple else set(items) if kind is set else items


def _converted_value(value: Any, hint: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ArithmeticError("a finite number")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise ArithmeticError("at most 2^53")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is float and number:
        return float(value)
    if hint is str and number:
        return str(value)
    if hint is Path and isinstance(value, str | Path):
        return Path(value)
    if isinstance(hint, type) and issubclass(hint, Enum) and value in hint.__members__:
        return hint[value]
    if not _is_of(value, hint):
        raise TypeError
    return value


def _is_of(value: Any, hint: Any) -> bool:
    if hint in PLAIN:
        return type(value) is hint
    is_class = isinstance(hint, type) and hint not in (Any, object) and not getattr(hint, "_is_protocol", False)
    made_by_instantiation = isinstance(value, Mapping) and "_target_" in value
    return not is_class or made_by_instantiation or isinstance(value, hint)
