"""What can go wrong, sorted by whose fault it is.

Denials are not here: they are values. An exception of these families is
caught once, at the edge, and its message is shown to a person; it therefore
says what is wrong, where, and what was expected, and never holds a secret.
"""


class WicketgateError(Exception):
    """The root of everything that wicketgate raises on purpose."""


class ConfigurationError(WicketgateError):
    """The operator's settings or files cannot be used. Mend them and start again.

    Attributes:
        mistakes: One line for each mistake, all of them at once.
    """

    def __init__(self, *mistakes: str) -> None:
        """Keep every mistake that was found."""
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class EnvironmentFaultError(WicketgateError):
    """The machine refuses: a port in use, a file that cannot be read, a missing program."""


class DependencyError(WicketgateError):
    """A service that wicketgate relies on failed: Clerk, Postgres."""


class InternalError(WicketgateError):
    """Wicketgate broke a promise to itself. A defect: please report it."""
