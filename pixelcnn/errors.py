"""The one exception that is shown to users as a sentence."""


class UserError(Exception):
    """Something the user can fix: its message is one sentence naming the key or file, the fault and the remedy.

    The command line prints the message and exits with status 1; any other exception is a bug and keeps its traceback.
    """


def require(condition: bool, key: str, value: object, remedy: str) -> None:
    """Raise UserError naming ``key``, its ``value`` and what it should be, unless ``condition`` holds."""
    if not condition:
        raise UserError(f"{key}={value} is out of range: {remedy}.")
