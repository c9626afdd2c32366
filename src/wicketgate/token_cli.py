"""``wicketgate explain-token``: its arguments, and what is printed.

Whatever is wrong with the arguments is said without them: any of them may be the token.
"""

import argparse
import asyncio
import json
import os
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wicketgate.core.rfc3339 import parse_instant
from wicketgate.errors import ConfigurationError

if TYPE_CHECKING:
    from wicketgate.settings import AuthzSettings
    from wicketgate.tools.token_saw import ExplainedToken

EXPLAIN_TOKEN: Final = """\
Say which check of the gate a token fails, and what each check saw. The token is verified
as wicketgate authz would do it with the same environment, and is never printed, nor are
its signature or its personal claims; ids are shortened.

  pbpaste | wicketgate explain-token
  wicketgate explain-token --file token.txt --at 2026-11-26T12:00:00Z
  wicketgate explain-token --file token.txt --fetch --revocations --json

Give it as an argument only where the shell's history and the list of processes are
yours alone. Keys are CLERK_JWT_KEY, or the copy at WICKETGATE_JWKS_CACHE_FILE, or with
--fetch those that Clerk publishes now. What rules make of the bearer tells wicketgate
policy explain.

Exit status: 0 the gate would accept it, 1 it would not, or that could not be found out,
2 the arguments or the settings cannot be used.
"""

ACCEPTED: Final = 0
REFUSED: Final = 1

_BEARER: Final = re.compile(r"(?:authorization:\s*)?bearer(?:\s+|$)", re.IGNORECASE)
_SECONDS: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
_YEAR_10000: Final = 253_402_300_800
_STDIN: Final = "-"
_SEVERAL: Final = "expected one token; in quotes, if there is a space in it"


def add_explain_token(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_parser(
        "explain-token",
        help="say which check a token fails",
        description=EXPLAIN_TOKEN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # As many as there are: argparse would quote those that it does not expect.
    parser.add_argument(
        "token", nargs="*", metavar="TOKEN", help="the token; - or nothing reads it from stdin"
    )
    parser.add_argument("--token", dest="named", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, metavar="FILE", help="a file that holds the token")
    parser.add_argument(
        "--at",
        type=_instant,
        metavar="TIME",
        help="the moment in question, POSIX seconds or RFC 3339 (default: now)",
    )
    parser.add_argument(
        "--fetch", action="store_true", help="fetch Clerk's keys, as a gate would that has none"
    )
    parser.add_argument(
        "--revocations",
        action="store_true",
        help="ask the database whether the bearer is revoked, as it is now",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs")
    parser.set_defaults(run=run_explain_token)


def run_explain_token(parsed: argparse.Namespace) -> int:
    """Run ``wicketgate explain-token``; return the exit status.

    Raises:
        ConfigurationError: arguments, settings or files cannot be used.
        DependencyError: Postgres failed.
    """
    token = _token(parsed)
    # Imported late, as everything behind a command is.
    from wicketgate.settings import AuthzSettings  # noqa: PLC0415
    from wicketgate.tools.terminal import Style  # noqa: PLC0415
    from wicketgate.tools.token_report import document_of, report_of  # noqa: PLC0415

    settings = AuthzSettings.from_environ(os.environ)
    about = asyncio.run(
        _explained(
            token,
            settings,
            now=time.time() if parsed.at is None else parsed.at,
            fetch=parsed.fetch,
            revocations=parsed.revocations,
        )
    )
    if parsed.json:
        sys.stdout.write(json.dumps(document_of(about, settings.problem_type_base)) + "\n")
    else:
        style = Style.for_stream(sys.stdout)
        sys.stdout.write(report_of(about, settings.problem_type_base, style))
    return ACCEPTED if about.trace.reason is None else REFUSED


async def _explained(
    token: str, settings: "AuthzSettings", *, now: float, fetch: bool, revocations: bool
) -> "ExplainedToken":
    # Imported late, as above: aiohttp and Postgres' library.
    from wicketgate.app.rulebook import rules_of_tokens  # noqa: PLC0415
    from wicketgate.app.token_material import (  # noqa: PLC0415
        find_keys,
        find_revocations,
        find_services,
        require_database,
    )
    from wicketgate.tools.token_saw import ExplainedToken  # noqa: PLC0415
    from wicketgate.tools.token_trace import trace_of  # noqa: PLC0415
    from wicketgate.tools.token_view import view_of  # noqa: PLC0415

    if revocations:
        require_database(settings)
    found = await find_keys(settings, fetch=fetch)
    trace = partial(
        trace_of,
        token,
        rules=rules_of_tokens(settings),
        services=find_services(settings),
        keys=found.keys,
        keys_are_current=found.are_current,
        now=now,
    )
    traced = trace()
    if revocations and traced.claims is not None:
        traced = trace(revocations=await find_revocations(settings, traced.claims))
    return ExplainedToken(
        view=view_of(token),
        trace=traced,
        rules=rules_of_tokens(settings),
        keys=found.keys,
        keys_from=found.origin,
        now=now,
        notes=found.notes,
        hint=found.hint,
    )


def _token(parsed: argparse.Namespace) -> str:
    """Return the token, as it would stand behind ``Bearer``.

    Raises:
        ConfigurationError: there is none, or more than one.
    """
    given = [*parsed.token, *([] if parsed.named is None else [parsed.named])]
    if given and given[0].lower() == "bearer":
        given = [" ".join(given)]
    if len(given) + (parsed.file is not None) > 1:
        raise ConfigurationError(_SEVERAL)
    text = _text(given, parsed.file).strip()
    token = _BEARER.sub("", text, count=1) if _BEARER.match(text) else text
    if not token:
        msg = "no token was given; expected one as an argument, in --file, or on stdin"
        raise ConfigurationError(msg)
    return token


def _text(given: list[str], file: Path | None) -> str:
    if given and given[0] != _STDIN:
        return given[0]
    # Imported late, as above: pydantic comes with it.
    from wicketgate.adapters.text_file import read_text  # noqa: PLC0415
    from wicketgate.tools.policy_text import STDIN, text_of  # noqa: PLC0415

    if file is None or file == STDIN:
        if sys.stdin.isatty():
            sys.stderr.write("paste the token, then press Enter and Ctrl-D\n")
        return text_of(STDIN, sys.stdin.buffer)
    try:
        return read_text(file)
    except ConfigurationError as error:
        # What is pasted where a file belongs may be the token.
        raise ConfigurationError(str(error).replace(str(file), "--file", 1)) from None


def _instant(text: str) -> float:
    if _SECONDS.fullmatch(text) and float(text) < _YEAR_10000:
        return float(text)
    try:
        return parse_instant(text)
    except ValueError as error:
        msg = f"{error}; or POSIX seconds, such as 1790000000"
        raise argparse.ArgumentTypeError(msg) from None
