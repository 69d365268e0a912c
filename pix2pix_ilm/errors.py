"""The one exception that means "the person can fix this"."""


class UserError(Exception):
    """A mistake or an obstacle outside the program.

    The message is one line: what was expected, what was found, what to do.
    The command line prints it without a traceback and exits with code 2.
    """
