"""Makes service tokens, and their entries for the tokens file.

An entry is read by the parser of the file before anybody sees it: what is printed
can be pasted.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from wicketgate.core.policy.reading import PolicyError
from wicketgate.core.service_token import EVERY_SCOPE, complaint_about
from wicketgate.core.service_token_file import parse_service_tokens
from wicketgate.errors import ConfigurationError

PREFIX: Final = "wgs_"
"""By this, scanners for leaked secrets know one."""
RANDOM_BYTES: Final = 32

Entry = Mapping[str, str | list[str]]
"""One item of ``tokens`` in the file."""

_FROM_NOW: Final = re.compile(r"([1-9][0-9]{0,4})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_OPTIONS: Final = {
    "name": "--name",
    "scopes": "--scope",
    "not_after": "--not-after",
    "principal": "--principal",
}
_PLACE: Final = re.compile(r"tokens\[0\]\.([a-z_]+)(?:\[[0-9]+\])?")
_NO_SCOPE: Final = (
    "--scope is missing: a token without one may do nothing; expected a name that rules ask "
    f"for, which is the rule's own by default, or --scope '{EVERY_SCOPE}' for every scope"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the operator said about a token.

    Attributes:
        name: The service.
        scopes: What the token may be used for.
        not_after: RFC 3339, or a time from now such as ``90d``; `None` for no end.
        principal: The only mesh principal that may use it; `None` for any.
    """

    name: str
    scopes: tuple[str, ...] = ()
    not_after: str | None = None
    principal: str | None = None


def new_token(random: Callable[[int], str]) -> str:
    """Return a new token.

    Args:
        random: Makes URL-safe text of this many random bytes, as
            `secrets.token_urlsafe` does.
    """
    return PREFIX + random(RANDOM_BYTES)


def entry_of(token: str, wish: Wish, *, now: float) -> Entry:
    """Return the entry of a token.

    Args:
        token: The token; only its digest is in the entry.
        wish: What to say about it.
        now: POSIX seconds.

    Raises:
        ConfigurationError: every mistake in the wish, or what is wrong with the
            token, which is never quoted.
    """
    complaint = complaint_about(token)
    mistakes = [] if complaint is None else [f"the token {complaint}"]
    entry: dict[str, str | list[str]] = {
        "name": wish.name,
        "sha256": sha256(token.encode("utf-8", "surrogatepass")).hexdigest(),
        "scopes": list(wish.scopes or (EVERY_SCOPE,)),
    }
    if wish.not_after is not None:
        entry["not_after"] = _instant(wish.not_after, now)
    if wish.principal is not None:
        entry["principal"] = wish.principal
    mistakes += [] if wish.scopes else [_NO_SCOPE]
    mistakes += _mistakes_in(entry, now)
    if mistakes:
        raise ConfigurationError(*mistakes)
    return entry


def entry_yaml(entry: Entry) -> str:
    """Return an entry as YAML, to be put under ``tokens:``; it ends in a line feed."""
    # JSON is YAML, and quotes keep a name such as 09 or null from being something else.
    lines = [f"{key}: {json.dumps(value)}" for key, value in entry.items()]
    return "  - " + "\n    ".join(lines) + "\n"


def written_instant(seconds: float) -> str:
    """Return POSIX seconds of the years 1970 to 9999 as RFC 3339, without a fraction."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


def _instant(text: str, now: float) -> str:
    from_now = _FROM_NOW.fullmatch(text)
    if from_now is None:
        return text
    return written_instant(now + int(from_now[1]) * _SECONDS[from_now[2]])


def _mistakes_in(entry: Entry, now: float) -> Iterator[str]:
    strange = [key for key, value in entry.items() if not _is_plain("".join(value))]
    if strange:
        # What YAML cannot hold would be a complaint about YAML.
        yield from (f"{_OPTIONS[key]}: expected printable ASCII" for key in strange)
        return
    try:
        (token,) = parse_service_tokens("version: 1\ntokens:\n" + entry_yaml(entry))
    except PolicyError as error:
        for mistake in error.mistakes:
            # What is wrong with the digest is wrong with the token, and told already.
            if not mistake.message.startswith("tokens[0].sha256"):
                yield _about_option(mistake.message)
        return
    if token.not_after is not None and token.not_after <= now:
        yield "--not-after: is past; expected an instant to come, or a time from now such as 90d"


def _about_option(message: str) -> str:
    said = _PLACE.sub(lambda place: _OPTIONS[place[1]], message, count=1)
    is_time = said.startswith("--not-after")
    return f"{said}, or a time from now such as 90d" if is_time else said


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()
