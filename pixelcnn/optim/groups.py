"""Parameter groups by name: separate options for some parameters, such as no weight decay on g and b."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch.nn import Parameter

from pixelcnn.errors import UserError

SHOWN = 4  # names in a message


def parameter_groups(
    named_parameters: Iterable[tuple[str, Parameter]], groups: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """The parameters split into groups, in the form that every ``torch.optim`` class takes.

    Each of ``groups`` has a glob ``match`` of whole names, or a list of them, and the optimiser's options for what
    matches, such as ``{"match": ["*.[gb]", "*.bias"], "weight_decay": 0.0}``. A parameter goes to the first group that
    matches it. Unmatched ones come first, with the optimiser's own options. A parameter that appears twice is taken
    once, under its first name. UserError for a group without parameters, unless it has ``optional: true``.
    """
    remaining: dict[str, Parameter] = {}
    seen: set[int] = set()
    for name, parameter in named_parameters:
        if id(parameter) not in seen:
            seen.add(id(parameter))
            remaining[name] = parameter
    names = list(remaining)
    matched = []
    for number, group in enumerate(groups):
        options = options_of(group)
        globs = _globs(group, f"groups[{number}]")
        taken = [name for name in remaining if _matches(name, globs)]
        if taken:
            matched.append({"params": [(name, remaining.pop(name)) for name in taken], **options})
        elif not group.get("optional", False):
            every = any(_matches(name, globs) for name in names)
            why = "only parameters of earlier groups" if every else "no parameter"
            raise UserError(
                f"groups[{number}].match={group['match']} matches {why}: use a glob of names such as "
                f"{', '.join(_examples(names))}."
            )
    unmatched = [{"params": list(remaining.items())}] if remaining else []
    return unmatched + matched


def options_of(group: Mapping[str, Any]) -> dict[str, Any]:
    """The optimiser's options of a group."""
    return {key: value for key, value in group.items() if key not in ("match", "optional")}


def _globs(group: Mapping[str, Any], where: str) -> list[str]:
    if "match" not in group:
        raise UserError(f"{where}={dict(group)} has no match: give match=GLOB, such as match='*.g'.")
    match = group["match"]
    globs = [match] if isinstance(match, str) else match
    if not isinstance(globs, Sequence) or not all(isinstance(glob, str) for glob in globs):
        raise UserError(f"{where}.match={match} is of the wrong type: it takes a glob of names, or a list of them.")
    return list(globs)


def _matches(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def _examples(names: Sequence[str]) -> list[str]:
    """A few names, spread over all."""
    return [names[k * (len(names) - 1) // (SHOWN - 1)] for k in range(SHOWN)] if len(names) > SHOWN else list(names)
