"""The one exception for anything the user can put right, and how messages show a value."""


class UserError(ValueError):
    """Bad input. The message is one line: the file, row or flag, what was found, what was expected.

    The scripts print it as `error: <message>` and exit with status 1, without a traceback.
    """


def shown(value):
    """Returns `value` (str) quoted for a message, cut to 60 characters."""
    return repr(value if len(value) <= 60 else value[:57] + "...")
