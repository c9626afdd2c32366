"""What a decision log keeps so that another policy can judge the same request.

An allowlist: no credential, no query, no value of a header, and of a token the
claims that Clerk defines and those that the policy in force reads. Whatever is left
out for its size or its form is marked as left out, so that nobody takes it for absent.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, assert_never

from wicketgate.core.claims import Claims
from wicketgate.core.credential import NoCredential
from wicketgate.core.policy.host import MAX_HOST
from wicketgate.core.policy.variables import HIDDEN_HEADERS
from wicketgate.core.reason import Reason
from wicketgate.core.request import MAX_PATH, HttpRequest
from wicketgate.core.service_token import ServiceToken
from wicketgate.core.token import MissingKey
from wicketgate.core.verdict import (
    Caller,
    Deny,
    Verdict,
)

ACTOR: Final = "act"
"""Of this claim only ``sub`` is kept, unless the policy reads it."""

CLERK_CLAIMS: Final = frozenset(
    {
        *("sub", "sid", "iss", "iat", "exp", "nbf", "azp", "v", "sts", "fva", ACTOR),
        *("org_id", "org_slug", "org_role", "org_permissions", "o", "fea", "pla"),
    }
)
"""Claims of Clerk's session tokens, both versions, that say who the user is."""

MAX_METHOD: Final = 64
"""Twice what a policy can name."""
MAX_HEADERS: Final = 64
MAX_HEADER: Final = 64
"""A policy can name no longer one."""
MAX_DEPTH: Final = 64
"""How deep a claim may nest; no condition reads a deeper one."""

Sampling = Callable[[], bool]
"""Tells for one decision whether it is kept so that it can be replayed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """One request and who sent it, as far as policies may know.

    Attributes:
        method: As sent, at most `MAX_METHOD` characters of it.
        host: As sent; one that is too long for a host is cut, and still too long.
        path: Without the query, at most `MAX_PATH` characters of it.
        is_path_cut: Whether there was more.
        context: The route's ``context_extensions``.
        headers: Names that are present, in order; neither credentials nor pseudo-headers.
        are_headers_cut: Whether there were more, or longer ones.
        source: The mesh principal, empty without mTLS.
        caller: ``kind`` and what belongs to it, of values that JSON has.
        claims: The custom claims that were looked for, in order; those that are not
            in a user's ``claims`` were not in the token.
    """

    method: str
    host: str
    path: str
    is_path_cut: bool
    context: Mapping[str, str]
    headers: tuple[str, ...]
    are_headers_cut: bool
    source: str
    caller: Mapping[str, object]
    claims: tuple[str, ...]

    def document(self) -> dict[str, object]:
        """Return it as the log has it; what is usual is left out."""
        document: dict[str, object] = {
            "method": self.method,
            "host": self.host,
            "path": self.path,
            "caller": self.caller,
        }
        optional: dict[str, object] = {
            "path_cut": self.is_path_cut,
            "context": dict(self.context),
            "headers": list(self.headers),
            "headers_cut": self.are_headers_cut,
            "source": self.source,
            "claims": list(self.claims),
        }
        return document | {name: value for name, value in optional.items() if value}


def sampling(share: float, random: Callable[[], float]) -> Sampling:
    """Return what says yes to a `share` of decisions.

    Args:
        share: From 0 for none to 1 for all.
        random: Returns numbers from 0 to 1, the latter excluded.
    """
    return lambda: random() < share


def make_replay(verdict: Verdict, request: HttpRequest, claims: frozenset[str]) -> Replay:
    """Return what is kept of `request`.

    Args:
        verdict: What was decided.
        request: The request.
        claims: Claims that the policy in force reads, beside those of Clerk.
    """
    path = request.path
    names = sorted(name for name in request.headers if _is_shown(name))
    kept = tuple(name for name in names if len(name) <= MAX_HEADER)[:MAX_HEADERS]
    return Replay(
        method=request.method[:MAX_METHOD],
        host=request.host[: MAX_HOST + 1],
        path=path[:MAX_PATH],
        is_path_cut=len(path) > MAX_PATH,
        context=request.context,
        headers=kept,
        are_headers_cut=len(kept) < len(names),
        source=request.source_principal,
        caller=_caller(verdict, claims),
        claims=tuple(sorted(claims)),
    )


def _is_shown(name: str) -> bool:
    return name not in HIDDEN_HEADERS and not name.startswith(":")


def _caller(verdict: Verdict, claims: frozenset[str]) -> dict[str, object]:
    caller: Caller | None = verdict.caller
    match caller:
        case None:
            return _UNREAD
        case Claims():
            return _user(caller.document, claims)
        case ServiceToken():
            return _service(caller)
        case NoCredential():
            return {"kind": "none"}
        case Reason():
            return {"kind": "refused", "reason": str(caller)}
        case MissingKey():
            return _unverified(verdict, caller)
        case _:
            assert_never(caller)


_UNREAD: Final[dict[str, object]] = {"kind": "unread"}


def _unverified(verdict: Verdict, caller: MissingKey) -> dict[str, object]:
    """Return what became of a token whose key was not there, if anything did."""
    if isinstance(verdict, Deny) and verdict.reason in {caller.if_current, caller.if_stale}:
        return {"kind": "refused", "reason": str(verdict.reason)}
    return _UNREAD


def _service(token: ServiceToken) -> dict[str, object]:
    found: dict[str, object] = {
        "kind": "service",
        "name": token.name,
        "scopes": sorted(token.scopes),
    }
    if token.not_after is not None:
        found["not_after"] = token.not_after
    if token.principal:
        found["principal"] = token.principal
    return found


def _user(document: Mapping[str, Any], claims: frozenset[str]) -> dict[str, object]:
    kept = {name: value for name, value in document.items() if name in CLERK_CLAIMS | claims}
    if kept.get(ACTOR) is not None and ACTOR not in claims:
        kept[ACTOR] = _actor(kept[ACTOR])
    # A part of the claims would be another user.
    return {"kind": "user", "claims": kept} if _is_plain(kept) else _UNREAD


def _actor(actor: object) -> dict[str, str]:
    subject = actor.get("sub") if isinstance(actor, Mapping) else None
    return {"sub": subject} if isinstance(subject, str) else {}


def _is_plain(value: object, depth: int = 0) -> bool:
    """Tell whether `value` is one that every reader of JSON can take."""
    if isinstance(value, float):
        # A token's 1e400 is infinity here, and JSON has no word for it.
        return isfinite(value)
    if isinstance(value, Mapping):
        return depth <= MAX_DEPTH and all(_is_plain(each, depth + 1) for each in value.values())
    if isinstance(value, list):
        return depth <= MAX_DEPTH and all(_is_plain(each, depth + 1) for each in value)
    return True
