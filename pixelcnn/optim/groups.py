"""Parameter groups by name: other options for some of a model's parameters, such as no weight decay on g and b."""

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

    Each of ``groups`` has a glob ``match`` of whole names and the optimiser's options for what matches, as in
    ``{"match": "*.[gb]", "weight_decay": 0.0}``. A parameter goes to the first group that matches it, those that none
    matches come first, with the optimiser's own options. A parameter that appears twice is taken once, under its first
    name. UserError for a group without parameters.
    """
    remaining: dict[str, Parameter] = {}
    seen: set[int] = set()
    for name, parameter in named_parameters:
        if id(parameter) not in seen:
            seen.add(id(parameter))
            remaining[name] = parameter
    names = list(remaining)
    matched = []
    for group in groups:
        options = dict(group)
        if "match" not in options:
            raise UserError(f"groups={dict(group)} has no match: give match=GLOB, such as match='*.g'.")
        pattern = options.pop("match")
        taken = [name for name in remaining if fnmatchcase(name, pattern)]
        if not taken:
            every = any(fnmatchcase(name, pattern) for name in names)
            why = "only parameters of earlier groups" if every else "no parameter"
            raise UserError(
                f"match={pattern} matches {why}: use a glob of names such as {', '.join(_examples(names))}."
            )
        matched.append({"params": [(name, remaining.pop(name)) for name in taken], **options})
    unmatched = [{"params": list(remaining.items())}] if remaining else []
    return unmatched + matched


def _examples(names: Sequence[str]) -> list[str]:
    """A few names, spread over all."""
    return [names[k * (len(names) - 1) // (SHOWN - 1)] for k in range(SHOWN)] if len(names) > SHOWN else list(names)
