"""The arguments of ``wicketgate policy explain``."""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Final

from wicketgate.core.request import HttpRequest
from wicketgate.errors import ConfigurationError
from wicketgate.tools import help_text

_YEAR_10000: Final = 253_402_300_800


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to the parser of the command."""
    parser.add_argument(
        "--policy",
        type=Path,
        metavar="FILE",
        help="the policy file (default: WICKETGATE_POLICY_FILE, else what routes say)",
    )
    parser.add_argument("--json", action="store_true", help=help_text.JSON)
    request = parser.add_argument_group("the request")
    request.add_argument(
        "--method", default="GET", type=_plain, help="as sent, upper case (default: GET)"
    )
    request.add_argument(
        "--path", required=True, type=_plain, help="with its query, if it has one"
    )
    request.add_argument("--host", default="", type=_plain, help="as in the Host header")
    request.add_argument(
        "--context",
        action="append",
        default=[],
        type=_context,
        metavar="KEY=VALUE",
        help="one of the route's context_extensions; may be repeated",
    )
    request.add_argument(
        "--header",
        action="append",
        default=[],
        type=_header,
        metavar="NAME:VALUE",
        help="a header that is no credential; may be repeated",
    )
    request.add_argument(
        "--source", default="", metavar="SPIFFE", help="the mesh principal, from mTLS"
    )
    _add_caller(parser)


def _add_caller(parser: argparse.ArgumentParser) -> None:
    callers = parser.add_argument_group("who sends it (default: nobody)")
    caller = callers.add_mutually_exclusive_group()
    caller.add_argument("--user", action="store_true", help="a user of whom little is known")
    caller.add_argument(
        "--claims",
        type=Path,
        metavar="FILE",
        help="a user with these claims, a JSON object, taken as verified; "
        "sub, sid, iat, exp and v are added where they are missing",
    )
    caller.add_argument(
        "--token", help="a session token; - reads it from stdin, out of the shell's history"
    )
    caller.add_argument("--token-file", type=Path, metavar="FILE", help="likewise, in a file")
    caller.add_argument("--service", metavar="NAME", help="a service with a token of this name")
    callers.add_argument(
        "--scope",
        action="append",
        default=[],
        help="what its token is for; may be repeated (default: everything)",
    )
    callers.add_argument(
        "--now", type=_seconds, metavar="EPOCH", help="POSIX seconds (default: now)"
    )


def _plain(text: str) -> str:
    # Envoy lets no such character pass, and in rules none can be spoken about.
    if not text.isprintable():
        msg = "expected no control characters"
        raise argparse.ArgumentTypeError(msg)
    return text


def _context(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not key or not separator:
        msg = f"expected KEY=VALUE, such as exposure=internal, instead of {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return key, value


def _header(text: str) -> tuple[str, str]:
    name, separator, value = text.partition(":")
    name = name.strip().lower()
    if name in {"authorization", "proxy-authorization"}:
        # Not quoted: it is a secret.
        msg = f"{name} is not taken here; say who sends the request with --token or the like"
        raise argparse.ArgumentTypeError(msg)
    if not name or not separator:
        msg = "expected NAME:VALUE, such as x-debug:1"
        raise argparse.ArgumentTypeError(msg)
    return name, value.strip()


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = float("nan")
    if not 0 <= seconds < _YEAR_10000:
        msg = f"expected POSIX seconds, such as 1790000000, instead of {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return seconds


def explain(parsed: argparse.Namespace) -> int:
    """Run the tool with the arguments that were parsed; return the exit status.

    Raises:
        ConfigurationError: arguments or files cannot be used.
    """
    if parsed.scope and parsed.service is None:
        msg = "--scope: is of no use without --service NAME"
        raise ConfigurationError(msg)
    # Imported late, as everything behind a command is: pydantic and RE2.
    from wicketgate.tools.caller import CallerWish  # noqa: PLC0415
    from wicketgate.tools.explain import run_explain  # noqa: PLC0415

    request = HttpRequest(
        method=parsed.method,
        host=parsed.host,
        target=parsed.path,
        headers=dict(parsed.header),
        context=dict(parsed.context),
        source_principal=parsed.source,
    )
    wish = CallerWish(
        is_user=parsed.user,
        claims=parsed.claims,
        token=parsed.token,
        token_file=parsed.token_file,
        service=parsed.service,
        scopes=tuple(parsed.scope),
    )
    return run_explain(
        request,
        wish,
        policy=parsed.policy or _policy_of(os.environ.get("WICKETGATE_POLICY_FILE")),
        now=time.time() if parsed.now is None else parsed.now,
        stdin=sys.stdin.buffer,
        out=sys.stdout,
        as_json=parsed.json,
    )


def _policy_of(setting: str | None) -> Path | None:
    return Path(setting) if setting else None
