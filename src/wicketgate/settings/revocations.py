"""The settings of the revocation feed: where it is read, and what counts while it is not."""

from dataclasses import dataclass, field
from typing import Final

from wicketgate.settings import groups, locations
from wicketgate.settings.reader import EnvironReader
from wicketgate.settings.values import seconds_between

_URL: Final = "WICKETGATE_REVOCATION_DATABASE_URL"
_MAX_STALE: Final = "WICKETGATE_REVOCATION_MAX_STALE"
_OFF: Final = "off"
_LEAST_STALE: Final = 5
"""A feed in good health is as stale as its beat of 2 s and an answer within 1 s make it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationSettings:
    """Where revocations come from. Its `repr` holds no secret.

    Attributes:
        database_url: Postgres, as libpq reads it; `None` for no feed.
        max_stale_seconds: How far behind the feed may be before users are refused;
            `None` for as far as it gets.
        start_wait_seconds: How long a gate that starts waits for the revocations
            before it takes Checks.
    """

    database_url: str | None = field(repr=False)
    max_stale_seconds: float | None
    start_wait_seconds: float


def revocations(reader: EnvironReader, shared: str | None) -> RevocationSettings:
    """Read where revocations come from, and what counts while they do not.

    Args:
        reader: The environment.
        shared: ``DATABASE_URL``, which counts unless there is one for this alone.
    """
    groups.refuse_blank(reader, _MAX_STALE)
    own = reader.optional(_URL, _url_or_off)
    max_stale = reader.optional(_MAX_STALE, seconds_between(_LEAST_STALE, groups.DAY))
    is_off = own == _OFF
    has_url = not is_off and (reader.is_set(_URL) or reader.is_set("DATABASE_URL"))
    if max_stale is not None and not has_url:
        reader.mistake(
            _URL,
            f"is {'off' if is_off else 'not set, and neither is DATABASE_URL'}, but {_MAX_STALE} "
            "is set; expected the Postgres that knows who was revoked",
        )
    return RevocationSettings(
        database_url=None if is_off else own or shared,
        max_stale_seconds=max_stale,
        start_wait_seconds=reader.seconds("WICKETGATE_REVOCATION_START_WAIT", 0, groups.HOUR),
    )


def _url_or_off(text: str) -> str:
    return _OFF if text.lower() == _OFF else locations.database_url(text)
