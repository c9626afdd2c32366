"""The commands that a system is made of: what they take, and how they are started.

Whatever takes long to import is imported when a command runs: ``--help`` and
mistakes need not wait for it.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from textwrap import wrap
from typing import Final, NoReturn

from wicketgate.settings import (
    MigrateSettings,
    Process,
    SyncSettings,
    WebhooksSettings,
    settings_of,
)

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

AddParser = Callable[..., argparse.ArgumentParser]
"""What ``add_subparsers`` gives to add a command by."""


def add_processes(add_parser: AddParser) -> None:
    """Add ``authz``, ``webhooks``, ``migrate`` and ``sync``."""
    authz = add_process(
        add_parser, Process.AUTHZ, "answer Envoy's external authorization checks", _AUTHZ
    )
    authz.add_argument("--check", action="store_true", help=_CHECK_HELP)
    authz.set_defaults(run=run_authz)
    webhooks = add_process(
        add_parser,
        Process.WEBHOOKS,
        "keep the users in Postgres, by Clerk's webhooks",
        _WEBHOOKS,
    )
    webhooks.add_argument("--check", action="store_true", help=_CHECK_HELP)
    webhooks.set_defaults(run=run_webhooks)
    migrate = add_process(
        add_parser,
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
    migrate.set_defaults(run=run_migrate)
    sync = add_process(
        add_parser, Process.SYNC, "compare the users with Clerk's, and mend them", _SYNC
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
    sync.set_defaults(run=run_sync)


def add_process(
    add_parser: AddParser,
    process: Process,
    summary: str,
    description: str,
) -> argparse.ArgumentParser:
    """Add a command that reads settings, which its help lists."""
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


def _percent(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 100:  # noqa: PLR2004 - per cent
        msg = f"{text} is not a number from 0 to 100"
        raise argparse.ArgumentTypeError(msg)
    return number


def run_authz(parsed: argparse.Namespace) -> int:
    """Run ``wicketgate authz``; return the exit status."""
    if parsed.check:
        from wicketgate.app.rulebook import check_rules  # noqa: PLC0415

        check_rules(os.environ)
        print("the settings are good")
        return 0
    # gRPC's own complaints are not for operators; what matters is told by us.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from wicketgate.app.authz import run_authz as serve  # noqa: PLC0415

    return _run(serve(os.environ, log_stream=sys.stderr, is_interactive=sys.stderr.isatty()))


def run_webhooks(parsed: argparse.Namespace) -> int:
    """Run ``wicketgate webhooks``; return the exit status."""
    if parsed.check:
        WebhooksSettings.from_environ(os.environ)
        print("the settings are good")
        return 0
    from wicketgate.app.webhooks import run_webhooks as serve  # noqa: PLC0415

    return _run(serve(os.environ, log_stream=sys.stderr, is_interactive=sys.stderr.isatty()))


def _run(serving: Coroutine[None, None, None]) -> NoReturn:
    with asyncio.Runner(loop_factory=_event_loop()) as runner:
        runner.run(serving)
        # All that was open is closed. To close the loop would wait for a look-up of a name
        # that hangs, of a collector or of Clerk, and no thread in getaddrinfo(3) can be stopped.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _event_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the faster event loop where it is to be had; `None` for asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415 - there is none for some platforms
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop


def run_migrate(parsed: argparse.Namespace) -> int:
    """Run ``wicketgate migrate``; return the exit status."""
    settings = MigrateSettings.from_environ(os.environ)
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


def run_sync(parsed: argparse.Namespace) -> int:
    """Run ``wicketgate sync``; return the exit status."""
    settings = SyncSettings.from_environ(os.environ)
    from wicketgate.app.sync import run_sync as reconcile  # noqa: PLC0415

    return asyncio.run(
        reconcile(
            settings,
            out=sys.stdout,
            bar=sys.stderr,
            dry_run=parsed.dry_run,
            restart=parsed.restart,
            as_json=parsed.json,
            max_deletes_percent=parsed.max_deletes,
        )
    )
