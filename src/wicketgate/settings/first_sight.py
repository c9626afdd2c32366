"""The settings of first sight: whether a user's row is made when the gate first sees them."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from wicketgate.core.identity import LOCAL_ID_HEADER, spellings_of
from wicketgate.settings.reader import EnvironReader
from wicketgate.settings.values import word_of

_FIRST_SIGHT: Final = "WICKETGATE_FIRST_SIGHT"
_HEADER: Final = "WICKETGATE_USER_ID_HEADER"


class FirstSightMode(StrEnum):
    """When the row of a user is made whom the gate has not seen before."""

    OFF = "off"
    """Never: webhooks and ``wicketgate sync`` make rows."""
    ASYNC = "async"
    """While the request goes on."""
    SYNC = "sync"
    """Before the request goes on, as long as that takes a moment only."""


@dataclass(frozen=True, slots=True)
class FirstSightSettings:
    """Whether, when, and what for.

    Attributes:
        mode: When rows are made.
        tells_ids: Tell upstreams the ``id`` of the row.
    """

    mode: FirstSightMode
    tells_ids: bool


def first_sight(reader: EnvironReader, aliases: Iterable[str]) -> FirstSightSettings:
    """Read the settings of first sight.

    Args:
        reader: The environment.
        aliases: Further headers that carry the id that Clerk gave a user.
    """
    word = reader.optional(_FIRST_SIGHT, word_of(FirstSightMode))
    is_mistaken = word is None and reader.is_set(_FIRST_SIGHT)
    mode = word or FirstSightMode.OFF
    tells_ids = reader.flag(_HEADER)
    if mode is not FirstSightMode.OFF and not reader.is_set("DATABASE_URL"):
        reader.mistake(
            "DATABASE_URL",
            f"is not set, but {_FIRST_SIGHT} is {mode}; expected the Postgres with the users",
        )
    if tells_ids and mode is FirstSightMode.OFF and not is_mistaken:
        reader.mistake(
            _FIRST_SIGHT, f"is off, but {_HEADER} is on; expected async or sync, which look ids up"
        )
    if tells_ids and not set(spellings_of(LOCAL_ID_HEADER)).isdisjoint(aliases):
        reader.mistake(
            "WICKETGATE_IDENTITY_ALIASES",
            f"names {LOCAL_ID_HEADER}, which carries another id while {_HEADER} is on; "
            "expected other names",
        )
    return FirstSightSettings(mode, tells_ids)
