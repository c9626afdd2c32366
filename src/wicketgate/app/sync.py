"""``wicketgate sync``: built, run, reported."""

import time
from random import random
from typing import TextIO

from wicketgate.adapters.clerk_api import BackendApi, ClerkDirectory, instance_of, open_session
from wicketgate.adapters.postgres_sync import open_mirror
from wicketgate.errors import ConfigurationError
from wicketgate.settings import SyncSettings
from wicketgate.sync import MAX_DELETES_PERCENT, Reconciliation
from wicketgate.sync_report import BarReport, LineReport


async def run_sync(
    settings: SyncSettings,
    *,
    out: TextIO,
    bar: TextIO,
    dry_run: bool = False,
    restart: bool = False,
    as_json: bool = False,
    max_deletes_percent: float = MAX_DELETES_PERCENT,
) -> int:
    """Compare Clerk's users with the table; return the exit status.

    Args:
        settings: Where both are.
        out: For what is reported.
        bar: For the progress of it, when that is a terminal.
        dry_run: Report what would change, and change nothing.
        restart: Begin anew, also when the last run was cut short.
        as_json: Report in JSON lines, also to a terminal.
        max_deletes_percent: How much of the table may become tombstones.

    Raises:
        ConfigurationError: Clerk does not take the secret key, or it is of another
            instance than the settings say.
        DependencyError: Clerk or Postgres failed, or too many users would go.
        EnvironmentFaultError: another run is under way.
    """
    report = (
        LineReport(out, timer=time.monotonic, is_dry=dry_run)
        if as_json or not bar.isatty()
        else BarReport(bar, out, timer=time.monotonic, is_dry=dry_run)
    )
    async with open_session() as session:
        api = BackendApi(settings.api_url, session, secret_key=settings.secret_key, jitter=random)
        instance_id = _agreed(settings.instance_id, await instance_of(api))
        async with open_mirror(
            settings.database_url,
            schema=settings.database_schema,
            instance_id=instance_id,
            dry_run=dry_run,
        ) as mirror:
            run = Reconciliation(
                ClerkDirectory(api, instance_id=instance_id),
                mirror,
                clock=time.time,
                observer=report,
                max_deletes_percent=max_deletes_percent,
            )
            try:
                await run.run(restart=restart)
            finally:
                report.close()
    return 0


def _agreed(expected: str | None, found: str | None) -> str | None:
    """Return the instance, which Clerk must not contradict."""
    if expected is not None and found is not None and found != expected:
        # One instance's users would be added to those of the other, and these deleted.
        msg = (
            f"CLERK_SECRET_KEY is of the instance {found}, and CLERK_INSTANCE_ID says {expected}; "
            "expected both of the same instance"
        )
        raise ConfigurationError(msg)
    return expected or found
