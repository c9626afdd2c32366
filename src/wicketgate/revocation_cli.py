"""``wicketgate revoke`` and ``revocations``: their arguments, and what is printed where.

What was done is printed to stdout; what is only said to people goes to stderr.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from typing import Final

from wicketgate.core.revocation_table import Kind
from wicketgate.settings import DatabaseSettings
from wicketgate.tools.revocation_arguments import (
    DEFAULT_REASON,
    SKEW_SECONDS,
    complaint_about_id,
    parse_duration,
    parse_reason,
)

REVOKE: Final = """\
Refuse the tokens of a user or of a session, at every gate, within milliseconds.

A user's tokens that were issued until now are refused, whatever they say; a session's
all are. It lasts until no such token can be valid any more, and Clerk does not lift it.

Clerk is not told: a user who may sign in gets tokens that count again, and a session
that goes on has some when this ends. So ban the user, or revoke the session, at Clerk
as well. With --for a user's new tokens are refused for that long, too, and a session's
for that much longer.

  wicketgate revoke user user_2xLk9QmVb3TnR8sWfYh1JdZpAc0 --reason "stolen laptop"
  wicketgate revoke user user_2xLk9QmVb3TnR8sWfYh1JdZpAc0 --for 1h
  wicketgate revoke session sess_2xLmA1
"""

REVOCATIONS: Final = """\
List what is revoked, by Clerk's webhooks and by operators, and take it back.
"""

_LIST: Final = """\
List the revocations in force, last changed first.
"""

_LIFT: Final = """\
Let the tokens of a user or of a session count again, whoever revoked them.

Tokens that have expired stay expired, and a user who is banned at Clerk stays banned.
Exit status: 0 lifted, 1 nothing was in force.
"""

_GOES_ON: Final = {
    Kind.USER: "Clerk is not told: to keep the user out, ban them there, too.\n",
    Kind.SESSION: "Clerk is not told: to end the session, revoke it there, too.\n",
}
_FROM_CLERK: Final = """\
It came from Clerk ({reason}): the next webhook that says so again revokes again.
"""


def add_revoke(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``wicketgate revoke`` to `parser`, and its `run`."""
    _add_target(parser)
    parser.add_argument(
        "--reason",
        type=_read(parse_reason),
        default=DEFAULT_REASON,
        metavar="TEXT",
        help=f"why, for the list (default: {DEFAULT_REASON})",
    )
    parser.add_argument(
        "--for",
        dest="ahead_seconds",
        type=_read(parse_duration),
        default=SKEW_SECONDS,
        metavar="TIME",
        help="also refuse tokens issued within this time, such as 1h "
        f"(default: {SKEW_SECONDS:g}s, which clocks may differ)",
    )
    parser.set_defaults(run=run_revoke, refuse=parser.error)


def add_revocations(parser: argparse.ArgumentParser) -> None:
    """Add ``list`` and ``lift`` to `parser`, which is that of ``wicketgate revocations``."""
    add_parser = parser.add_subparsers(required=True, metavar="COMMAND").add_parser
    listing = _command(add_parser, "list", "list what is revoked", _LIST)
    listing.add_argument("--json", action="store_true", help="print one JSON document")
    listing.add_argument(
        "--all", action="store_true", help="also what was lifted, or has expired just now"
    )
    listing.set_defaults(run=run_list)
    lift = _command(add_parser, "lift", "let tokens count again", _LIFT)
    _add_target(lift)
    lift.set_defaults(run=run_lift, refuse=lift.error)


def run_revoke(parsed: argparse.Namespace) -> int:
    """Run ``wicketgate revoke``; return the exit status."""
    kind = _kind(parsed)
    settings = DatabaseSettings.from_environ(os.environ)
    # Imported late: Postgres' library takes a while that --help and mistakes need not wait for.
    from wicketgate.app.revoke import revoke  # noqa: PLC0415
    from wicketgate.tools.revocation_report import revoked_line  # noqa: PLC0415

    row = asyncio.run(
        revoke(settings, kind, parsed.id, reason=parsed.reason, ahead_seconds=parsed.ahead_seconds)
    )
    sys.stdout.write(revoked_line(row) + "\n")
    sys.stderr.write(_GOES_ON[kind])
    return 0


def run_list(parsed: argparse.Namespace) -> int:
    """Run ``wicketgate revocations list``; return the exit status."""
    settings = DatabaseSettings.from_environ(os.environ)
    # Imported late, as above.
    from wicketgate.app.revoke import listed  # noqa: PLC0415
    from wicketgate.tools.revocation_report import report_rows  # noqa: PLC0415

    rows = asyncio.run(listed(settings, is_all=parsed.all))
    report_rows(rows, out=sys.stdout, as_json=parsed.json)
    return 0


def run_lift(parsed: argparse.Namespace) -> int:
    """Run ``wicketgate revocations lift``; return the exit status."""
    kind = _kind(parsed)
    settings = DatabaseSettings.from_environ(os.environ)
    # Imported late, as above.
    from wicketgate.app.revoke import lift  # noqa: PLC0415

    row = asyncio.run(lift(settings, kind, parsed.id))
    if row is None:
        sys.stderr.write(f"wicketgate: no revocation of {parsed.id} is in force\n")
        return 1
    sys.stdout.write(f"lifted: {parsed.id}\n")
    if row.source == "clerk":
        sys.stderr.write(_FROM_CLERK.format(reason=row.reason))
    return 0


def _command(
    add_parser: Callable[..., argparse.ArgumentParser], name: str, summary: str, description: str
) -> argparse.ArgumentParser:
    return add_parser(
        name,
        help=summary,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_target(parser: argparse.ArgumentParser) -> None:
    # Not argparse's choices: it would quote what was given.
    parser.add_argument("kind", metavar="user|session", help="what the ID is of")
    parser.add_argument("id", metavar="ID", help="as Clerk shows it: user_... or sess_...")


def _kind(parsed: argparse.Namespace) -> Kind:
    """Return what is to be revoked or lifted, or exit like a usage error."""
    try:
        kind = Kind(parsed.kind)
    except ValueError:
        parsed.refuse("expected user or session before the ID")
        raise
    complaint = complaint_about_id(kind, parsed.id)
    if complaint is not None:
        parsed.refuse(complaint)
    return kind


def _read(parse: Callable[[str], object]) -> Callable[[str], object]:
    def read(text: str) -> object:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read
