"""Headers that tell the upstream something from the token.

A header that a rule sets is one that no client may send: where the token does not
say it, the header is removed. A value that a header cannot carry denies, because
half a value could mean something else.

Source: RFC 9110 section 5.5 (field values).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from wicketgate.core.claims import Claims
from wicketgate.core.policy.rule import ClaimHeader
from wicketgate.core.user_facts import UserFacts

MAX_VALUE: Final = 2048
CLAIM: Final = "claims."

_NOTHING: Final[tuple[object, ...]] = (None, "", [])
_UNREADABLE: Final = object()

WORDS: Final[Mapping[str, Callable[[Claims, UserFacts], object]]] = {
    "user_id": lambda claims, _: claims.user_id,
    "session_id": lambda claims, _: claims.session_id,
    "org_id": lambda _, facts: facts.org_id,
    "org_slug": lambda _, facts: facts.org_slug,
    "org_role": lambda _, facts: facts.org_role,
    "org_permissions": lambda _, facts: _sorted(facts.org_permissions),
    "actor_id": lambda _, facts: facts.actor_id,
}
"""What a header may be made of, beside ``claims.<name>``."""


@dataclass(frozen=True, slots=True)
class HeaderValues:
    """What becomes of the headers of a rule.

    Attributes:
        set: Names and values.
        missing: Names for which the token has nothing.
    """

    set: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()


def header_values(headers: Iterable[ClaimHeader], claims: Claims | None) -> HeaderValues | str:
    """Return the values of `headers`, or the name of the first that has an unusable one.

    Args:
        headers: What the rule sends.
        claims: Those of the user; `None` for everyone else.
    """
    if claims is None:
        return HeaderValues(missing=tuple(header.name for header in headers))
    found, missing = [], []
    for header in headers:
        value = _value(header.source, claims)
        if value in _NOTHING:
            missing.append(header.name)
            continue
        text = _text(value)
        if text is None:
            return header.name
        found.append((header.name, text))
    return HeaderValues(tuple(found), tuple(missing))


def _value(source: str, claims: Claims) -> Any:  # noqa: ANN401 - a claim is anything
    if source.startswith(CLAIM):
        return claims.document.get(source.removeprefix(CLAIM))
    return WORDS[source](claims, claims.facts)


def _sorted(permissions: frozenset[str] | None) -> object:
    """Return them in order; what cannot be decoded cannot be sent."""
    return _UNREADABLE if permissions is None else sorted(permissions)


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return _printable(",".join(value)) if all(map(_is_item, value)) else None
    if isinstance(value, int):
        return str(value) if abs(value) < 2**63 else None
    return _printable(value) if isinstance(value, str) else None


def _is_item(value: object) -> bool:
    """Tell whether `value` comes out of a list as it went in: readers split at commas and trim."""
    return isinstance(value, str) and value.strip(" ") == value != "" and "," not in value


def _printable(text: str) -> str | None:
    is_plain = text.isascii() and text.isprintable() and text == text.strip(" ")
    return text if text and is_plain and len(text) <= MAX_VALUE else None
