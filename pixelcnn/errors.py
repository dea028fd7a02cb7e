"""The one exception that is shown to users as a sentence."""


class UserError(Exception):
    """Something the user can mend: its message is one sentence naming the key or file, the fault and the remedy.

    ``run.py`` prints the message and exits with status 1; any other exception is a bug and keeps its traceback.
    """
