"""The exception that is shown to users as one sentence."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Something the user can fix: its message is one sentence naming the key or file, the fault and the remedy.

    The command line prints the message and exits with status 1; any other exception is a bug and keeps its traceback.
    Characters that do not print, such as those that control a terminal, are escaped: messages quote what files hold.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message))


class UnknownKeyError(UserError):
    """``owner`` has no key ``key``; ``meant`` ends the sentence with a suggestion."""

    def __init__(self, key: str, owner: str, meant: str) -> None:
        super().__init__(f"{key} is not a key of {owner}: {meant}")
        self.key, self.owner = key, owner


class OutOfRangeError(UserError):
    """A key's value is out of range, whatever the other keys are."""


def meant(given: str, known: Iterable[str], otherwise: str, written: str = "{}") -> str:
    """The end of a sentence about an unknown name: the ``known`` one like it, as it is ``written``, if any."""
    close = get_close_matches(given, list(known), 1)
    return f"did you mean {written.format(close[0])}?" if close else otherwise


def require(condition: bool, key: str, value: object, remedy: str) -> None:
    """Raise OutOfRangeError naming ``key``, its ``value`` and the ``remedy``, unless ``condition`` holds."""
    if not condition:
        raise OutOfRangeError(f"{key}={value} is out of range: {remedy}.")
