"""The one exception for anything the user can put right."""


class UserError(ValueError):
    """Bad input. The message is one line: the file, row or flag, what was found, what was expected.

    The scripts print it as `error: <message>` and exit with status 1, without a traceback.
    """
