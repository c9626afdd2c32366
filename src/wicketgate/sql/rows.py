"""Records of the core, as the statements take them.

Source: PostgreSQL, "Date/Time Types": timestamps are whole microseconds, so a
millisecond is exact as long as no float comes near it.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from wicketgate.core.event import Milliseconds, UserProfile

EPOCH: Final = datetime.fromtimestamp(0, UTC)


def moment(milliseconds: Milliseconds) -> datetime:
    """Return the time, exactly: the guard compares it."""
    return EPOCH + timedelta(milliseconds=milliseconds)


def now() -> datetime:
    """Return the time it is."""
    return datetime.now(UTC)


def user_row(profile: UserProfile) -> dict[str, Any]:
    """Return `profile` as JSON for ``jsonb_to_recordset``."""
    created_at, updated_at = profile.clerk_created_at, profile.clerk_updated_at
    # Not `asdict`: its deep copies cost more than all else here.
    row = {name: getattr(profile, name) for name in profile.__slots__}
    row["clerk_created_at"] = moment(created_at).isoformat() if created_at else None
    row["clerk_updated_at"] = moment(updated_at).isoformat()
    return row
