"""``wicketgate service-token``: its arguments, and what is printed where.

The token is printed to stdout, and so is the entry; what is only said to people
goes to stderr, so that a script need not cut it off.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from wicketgate.errors import ConfigurationError
from wicketgate.tools.service_token_console import Console, real_console

if TYPE_CHECKING:
    from wicketgate.tools.service_token import Entry

_DESCRIPTION: Final = """\
Make and check the tokens of internal services.

The file that WICKETGATE_SERVICE_TOKENS_FILE names holds the SHA-256 of each token,
and no secret. A token may be used for its scopes: names that rules of the policy
ask for. A rule that asks for none in particular asks for its own name.
"""

_NEW: Final = """\
Make a token of 256 random bits, and print it with its entry for the tokens file.

The token is kept nowhere. To replace one, add the new entry beside the old one, of
the same name; take the old one out when the service has the new token.
"""

_CHECK: Final = """\
List the tokens of a file, and how long they count; or every mistake in it.

Exit status: 0 good, 1 a token has expired, 2 there are mistakes.
"""

_HASH: Final = """\
Read a token from stdin, and print its entry for the tokens file.

For a value of SERVICE_AUTH_TOKEN that is to have a name, scopes and an end.
"""

_KEEP_TOKEN: Final = """\
The token of {name}. It is not shown again: put it where {name} keeps its secrets.
"""
_KEEP_ENTRY: Final = """\
Its entry, which is no secret: put it under tokens: in the file that
WICKETGATE_SERVICE_TOKENS_FILE names. A new file begins with version: 1 and tokens:
"""
_LEAVE_VARIABLE: Final = """\
Then take the token out of SERVICE_AUTH_TOKEN: there it has every scope and no end.
"""
_NOT_AN_ARGUMENT: Final = (
    "the token is read from stdin, because everybody on the machine sees arguments"
)


def add_service_token(
    add_parser: Callable[..., argparse.ArgumentParser],
    open_console: Callable[[], Console] = real_console,
) -> None:
    """Add the command and its three subcommands.

    Args:
        add_parser: Of the subparsers of ``wicketgate``. Each subcommand sets `run`,
            which takes the parsed arguments and returns the exit status.
        open_console: Returns what the commands touch.
    """
    parser = _parser(add_parser, "service-token", "make and check service tokens", _DESCRIPTION)
    add = parser.add_subparsers(required=True, metavar="COMMAND").add_parser
    new = _parser(add, "new", "make a token", _NEW)
    _add_wish(new)
    new.set_defaults(run=partial(_new, new.error, open_console))
    check = _parser(add, "check", "check a tokens file", _CHECK)
    check.add_argument("file", type=Path, metavar="FILE")
    check.add_argument("--json", action="store_true", help="print one JSON document")
    check.set_defaults(run=partial(_check, open_console))
    hash_ = _parser(add, "hash", "make an entry for a token that there is", _HASH)
    _add_wish(hash_)
    # Taken so as not to be quoted by argparse: it would be the token.
    hash_.add_argument("surplus", nargs="*", help=argparse.SUPPRESS)
    hash_.set_defaults(run=partial(_hash, hash_.error, open_console))


def _parser(
    add_parser: Callable[..., argparse.ArgumentParser], name: str, summary: str, description: str
) -> argparse.ArgumentParser:
    return add_parser(
        name,
        help=summary,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_wish(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", required=True, help="the service, such as ml-engine")
    parser.add_argument(
        "--scope",
        action="append",
        default=[],
        metavar="NAME",
        help="what it may be used for; several times for several; '*' for everything",
    )
    parser.add_argument(
        "--not-after",
        metavar="TIME",
        help="when it ends: from now, such as 90d, or RFC 3339 (default: never)",
    )
    parser.add_argument(
        "--principal",
        metavar="SPIFFE_ID",
        help="the only mesh principal that may use it (default: any)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _new(
    refuse: Callable[[str], NoReturn],
    open_console: Callable[[], Console],
    parsed: argparse.Namespace,
) -> int:
    # Imported late: it brings libraries that --help of the others need not wait for.
    from wicketgate.tools.service_token import entry_yaml, new_token  # noqa: PLC0415

    console = open_console()
    token = new_token(console.random)
    entry = _entry(token, parsed, console, refuse)
    if parsed.json:
        print(json.dumps({"token": token, "entry": entry}), file=console.out)
        return 0
    print(_KEEP_TOKEN.format(name=parsed.name), end="", file=console.err, flush=True)
    print(token, file=console.out, flush=True)
    print(_KEEP_ENTRY, end="", file=console.err, flush=True)
    print(entry_yaml(entry), end="", file=console.out)
    return 0


def _hash(
    refuse: Callable[[str], NoReturn],
    open_console: Callable[[], Console],
    parsed: argparse.Namespace,
) -> int:
    # Imported late, as above.
    from wicketgate.tools.service_token import entry_yaml  # noqa: PLC0415

    if parsed.surplus:
        refuse(_NOT_AN_ARGUMENT)
    console = open_console()
    token = console.read_token().removesuffix("\n").removesuffix("\r")
    entry = _entry(token, parsed, console, refuse)
    if parsed.json:
        print(json.dumps({"entry": entry}), file=console.out)
        return 0
    print(_KEEP_ENTRY + _LEAVE_VARIABLE, end="", file=console.err, flush=True)
    print(entry_yaml(entry), end="", file=console.out)
    return 0


def _check(open_console: Callable[[], Console], parsed: argparse.Namespace) -> int:
    # Imported late, as above.
    from wicketgate.tools.service_token_check import check_tokens  # noqa: PLC0415

    console = open_console()
    return check_tokens(
        parsed.file, now=console.clock(), out=console.out, err=console.err, as_json=parsed.json
    )


def _entry(
    token: str, parsed: argparse.Namespace, console: Console, refuse: Callable[[str], NoReturn]
) -> "Entry":
    from wicketgate.tools.service_token import Wish, entry_of  # noqa: PLC0415 - as above

    wish = Wish(
        name=parsed.name,
        scopes=tuple(parsed.scope),
        not_after=parsed.not_after,
        principal=parsed.principal,
    )
    try:
        return entry_of(token, wish, now=console.clock())
    except ConfigurationError as error:
        refuse("\n  ".join(error.mistakes))
