"""The exceptions that mean "the person can fix this"."""

SHOWN = 80  # characters of a value that a message repeats


class UserError(Exception):
    """A mistake or an obstacle outside the program.

    The message is one line: what was expected, what was found, what to do.
    The command line prints it without a traceback and exits with code 2.
    """


class LockedError(UserError):
    """Another process is at work on the same files."""


class SettingError(UserError):
    """A setting that cannot be used, as data: whoever shows it names it as its readers do.

    It is no ValueError, so that it passes unchanged through what builds the configurations: tyro
    and pydantic wrap those into errors of their own.

    Attributes:
        path: dotted path of the setting, such as "generator.norm_options.key_group_size".
        expected: what it may be.
        found: what it is.
        advice: what to do, where that does not follow from ``expected``.
    """

    def __init__(self, path: str, expected: str, found: object, advice: str = "") -> None:
        super().__init__(path, expected, found, advice)
        self.path = path
        self.expected = expected
        self.found = found
        self.advice = advice

    def __str__(self) -> str:
        return self.describe(self.path)

    def describe(self, name: str) -> str:
        """Return the whole line, with the setting under this name, such as that of its flag."""
        advice = f"; {self.advice}" if self.advice else ""
        return f"{name}: expected {self.expected}, found {shorten(self.found)}{advice}"


class ArgumentError(SettingError, ValueError):
    """A bad argument of a function or layer, which is the ValueError that its callers expect."""


def shorten(value: object) -> str:
    """Return a value as Python writes it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 4]} ..."
