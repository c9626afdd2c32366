"""What psycopg raises, in our words.

A failure is either the row's (this delivery will fail on every retry, the next
will not) or the database's (the next delivery will fail as well). Only the
second kind is an error to the caller. What Postgres says about a row may quote
it, so of a row's failure nothing but the condition's name is kept; and no
message of ours ever holds a connection string.

Source: PostgreSQL, "Error Codes"; class 54 is what a single value can exceed.
"""

import re
from typing import Final

import psycopg
from psycopg import errors
from psycopg_pool import PoolTimeout

from wicketgate.errors import DependencyError

ROW_FAULTS: Final = (
    psycopg.DataError,
    psycopg.IntegrityError,
    # An address too long for its index; metadata nested too deeply to be read.
    errors.ProgramLimitExceeded,
    errors.StatementTooComplex,
    # What cannot even be sent: a lone surrogate, a number or a nesting beyond Python's limits.
    ValueError,
    RecursionError,
)
"""Raised for what a row holds. The connection is as good as before."""


class RowLockedError(DependencyError):
    """Somebody else holds a row and does not let it go."""


_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]+")
_LONGEST: Final = 300

_MIGRATE: Final = "the tables are not there: run wicketgate migrate"
_NEXT_STEPS: Final = (
    (errors.UndefinedTable, _MIGRATE),
    (errors.InvalidSchemaName, _MIGRATE),
    (errors.UndefinedColumn, _MIGRATE),
    # Those of an earlier version are there, or the functions are in another schema.
    (errors.UndefinedFunction, _MIGRATE),
    (errors.InsufficientPrivilege, "this role may not do that: see the roles script"),
    (errors.ReadOnlySqlTransaction, "it is read-only: DATABASE_URL must name the primary"),
    (errors.QueryCanceled, "the statement took too long"),
    (errors.TooManyConnections, "it has no connection left"),
    (PoolTimeout, "no connection was to be had in time: it is down, or overloaded"),
)


def row_fault(error: Exception) -> str:
    """Return what is wrong with a row, without a word of what it holds."""
    state = getattr(error, "sqlstate", None)
    name = type(error).__name__
    return f"Postgres refuses it: {name} ({state})" if state else f"cannot be stored: {name}"


def database_fault(error: Exception) -> DependencyError:
    """Return the error to raise instead of `error`: one line, with the next step if known."""
    if isinstance(error, errors.LockNotAvailable):
        return RowLockedError("Postgres failed: a row is locked, and was not let go in time")
    for kind, next_step in _NEXT_STEPS:
        if isinstance(error, kind):
            return DependencyError(f"Postgres failed: {next_step}")
    return DependencyError(f"Postgres failed: {_one_line(error)}")


def too_slow(seconds: float) -> DependencyError:
    """Return the error for an answer that did not come within `seconds`."""
    return DependencyError(f"Postgres failed: no answer within {seconds:g} s")


def _one_line(error: Exception) -> str:
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    text = _UNPRINTABLE.sub(" ", primary or str(error)).strip()
    return text[:_LONGEST] or type(error).__name__
