"""``wicketgate local`` and ``local event``: what they take, and how they are started."""

import argparse
import asyncio
from collections.abc import Callable
from typing import Final

from wicketgate.errors import EnvironmentFaultError
from wicketgate.settings import Transport

_LOCAL: Final = """\
Run the whole system on this machine: a stand-in for Clerk, Postgres, the receiver
of webhooks, the gate, a real Envoy and an upstream that answers with the headers it
saw. With DATABASE_URL set that Postgres is used, and left as it was found.
"""

_EVENT: Final = """\
Send a webhook to the wicketgate local that is running: signed, as Clerk sends it.

An address always makes the same user: whoever was created can be updated and
deleted. The types are user.created, user.updated, user.deleted, session.ended,
session.removed and session.revoked.
"""


def add_local(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command ``local``."""
    local = add_parser(
        "local",
        help="run the whole system on this machine",
        description=_LOCAL,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    local.add_argument(
        "--tour", action="store_true", help="run a scripted tour, print a table, and exit"
    )
    local.add_argument(
        "--transport",
        choices=[each.value for each in Transport],
        default=Transport.WIRE.value,
        help="the gate's implementation of gRPC (default: wire)",
    )
    local.add_argument("--envoy", metavar="FILE", help="the Envoy binary to use")
    local.set_defaults(run=run_local)
    _add_event(local.add_subparsers(metavar="COMMAND").add_parser)


def _add_event(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    event = add_parser(
        "event",
        help="send one webhook to it",
        description=_EVENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    event.add_argument("type", metavar="TYPE", help="such as user.created")
    event.add_argument("--email", default="mina@example.com", help="the user's address")
    event.add_argument("--user", metavar="ID", help="the user's id, if not made from the address")
    event.add_argument("--first-name", metavar="NAME")
    event.add_argument("--last-name", metavar="NAME")
    event.add_argument("--url", help="where to send it, if not to wicketgate local")
    event.add_argument("--secret-file", metavar="FILE", help="the signing secret for --url")
    event.set_defaults(run=_event)


def run_local(parsed: argparse.Namespace) -> int:
    """Run ``wicketgate local``; return the exit status.

    Raises:
        EnvironmentFaultError: what it needs is not installed.
    """
    # Imported late: production installs lack the `local` extra.
    try:
        from wicketgate.local.command import run_local as run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        msg = f"{error.name} is missing; install it with: pip install 'wicketgate[local]'"
        raise EnvironmentFaultError(msg) from None
    return asyncio.run(
        run(tour=parsed.tour, transport=Transport(parsed.transport), envoy=parsed.envoy)
    )


def _event(parsed: argparse.Namespace) -> int:
    # Imported late, as above: Svix' library.
    from wicketgate.local.event_command import EventWish, send_event  # noqa: PLC0415

    wish = EventWish(
        type=parsed.type,
        email=parsed.email,
        user_id=parsed.user,
        first_name=parsed.first_name,
        last_name=parsed.last_name,
        url=parsed.url,
        secret_file=parsed.secret_file,
    )
    return asyncio.run(send_event(wish, say=print))
