"""Tells what is in a tokens file, how long it counts, and what is wrong with it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from wicketgate.adapters.text_file import read_text
from wicketgate.core.policy.reading import PolicyError
from wicketgate.core.service_token import ServiceToken
from wicketgate.core.service_token_file import parse_service_tokens
from wicketgate.errors import ConfigurationError
from wicketgate.tools.service_token import written_instant
from wicketgate.tools.terminal import Style, table, visible

GOOD: Final = 0
EXPIRED: Final = 1
MISTAKEN: Final = 2

_HEADERS: Final = ("NAME", "SCOPES", "NOT AFTER", "STATE", "PRINCIPAL")
_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class _Found:
    """A mistake; one about the file as a whole has no line."""

    message: str
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True)
class _Standing:
    """A token, and how it stands."""

    token: ServiceToken
    now: float

    @property
    def is_expired(self) -> bool:
        end = self.token.not_after
        return end is not None and self.now > end

    @property
    def days_left(self) -> int | None:
        """Whole days; `None` when there is no end, or it is past."""
        end = self.token.not_after
        return None if end is None or self.is_expired else int((end - self.now) // _DAY)

    @property
    def not_after(self) -> str | None:
        end = self.token.not_after
        return None if end is None else written_instant(end)


def check_tokens(path: Path, *, now: float, out: TextIO, err: TextIO, as_json: bool) -> int:
    """Check a tokens file, and print what there is to say.

    Args:
        path: The file.
        now: POSIX seconds.
        out: Gets the table, or the JSON.
        err: Gets the mistakes, a line each, unless they are in the JSON.
        as_json: Print one JSON document.

    Returns:
        The exit status: `GOOD`, `EXPIRED` when any token is, `MISTAKEN`.
    """
    tokens, mistakes = _read(path)
    standings = [_Standing(token, now) for token in tokens]
    if as_json:
        document = {
            "file": str(path),
            "tokens": list(map(_as_json, standings)),
            "mistakes": [
                {"line": each.line, "column": each.column, "message": each.message}
                for each in mistakes
            ],
        }
        print(json.dumps(document), file=out)
    elif mistakes:
        for each in mistakes:
            where = "" if each.line is None else f"{path}:{each.line}:{each.column}: "
            print(visible(where + each.message), file=err)
    else:
        style = Style.for_stream(out)
        print(table(_rows(standings, style), _HEADERS, style), file=out)
    if mistakes:
        return MISTAKEN
    return EXPIRED if any(each.is_expired for each in standings) else GOOD


def _read(path: Path) -> tuple[tuple[ServiceToken, ...], tuple[_Found, ...]]:
    try:
        return parse_service_tokens(read_text(path)), ()
    except ConfigurationError as error:
        return (), tuple(map(_Found, error.mistakes))
    except PolicyError as error:
        return (), tuple(
            _Found(each.message, each.position.line, each.position.column)
            for each in error.mistakes
        )


def _as_json(standing: _Standing) -> dict[str, Any]:
    token = standing.token
    return {
        "name": token.name,
        "scopes": sorted(token.scopes),
        "not_after": standing.not_after,
        "is_expired": standing.is_expired,
        "days_left": standing.days_left,
        "principal": token.principal or None,
    }


def _rows(standings: Iterable[_Standing], style: Style) -> list[tuple[str, ...]]:
    return [
        (
            each.token.name,
            ", ".join(sorted(each.token.scopes)),
            each.not_after or "-",
            _state(each, style),
            each.token.principal or "-",
        )
        for each in standings
    ]


def _state(standing: _Standing, style: Style) -> str:
    if standing.is_expired:
        return style.bad("expired")
    match standing.days_left:
        case None:
            return "never expires"
        case 0:
            return style.warn("expires within a day")
        case 1:
            return style.warn("expires in 1 day")
        case days:
            return f"expires in {days} days"
