"""The command line: parses, calls, and turns what went wrong into one clear line.

Exit status: 0 done, 1 the machine or a service refused, 2 the settings or the
arguments are wrong.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import Final

from wicketgate import __version__
from wicketgate.discreet import DiscreetParser
from wicketgate.doctor_cli import add_doctor
from wicketgate.errors import ConfigurationError, WicketgateError
from wicketgate.local_cli import add_local, run_local
from wicketgate.policy_cli import add_policy
from wicketgate.process_cli import (
    add_process,
    add_processes,
    run_authz,
    run_migrate,
    run_sync,
    run_webhooks,
)
from wicketgate.revocation_cli import (
    REVOCATIONS,
    REVOKE,
    add_revocations,
    add_revoke,
    run_lift,
    run_list,
    run_revoke,
)
from wicketgate.settings import Process
from wicketgate.token_cli import add_explain_token
from wicketgate.tools.service_token_command import add_service_token

USAGE_ERROR: Final = 2


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
    add_processes(commands.add_parser)
    revoke = add_process(
        commands.add_parser,
        Process.REVOKE,
        "refuse the tokens of a user or a session, now",
        REVOKE,
    )
    add_revoke(revoke)
    revocations = add_process(
        commands.add_parser, Process.REVOCATIONS, "list and lift what is revoked", REVOCATIONS
    )
    add_revocations(revocations)
    add_policy(commands.add_parser)
    add_explain_token(commands.add_parser)
    add_service_token(commands.add_parser)
    add_doctor(commands.add_parser)
    add_local(commands.add_parser)
    return parser


_READ_SETTINGS: Final = (
    *(run_authz, run_webhooks, run_migrate, run_sync, run_local),
    *(run_revoke, run_list, run_lift),
)
"""Commands whose mistakes are mostly in their settings."""


def _complain(*lines: str) -> None:
    print(
        f"wicketgate: {lines[0]}", *(f"  {line}" for line in lines[1:]), sep="\n", file=sys.stderr
    )
