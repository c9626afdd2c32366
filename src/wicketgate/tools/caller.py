"""Who sends the request that is to be explained: taken as given, never verified."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any, BinaryIO, Final

from wicketgate.adapters.text_file import read_text
from wicketgate.core.claims import Claims, TokenRules, check_claims, check_time
from wicketgate.core.credential import NO_CREDENTIAL
from wicketgate.core.jws import UnverifiedJws, parse_jws
from wicketgate.core.reason import ANSWERS, Reason
from wicketgate.core.service_token import EVERY_SCOPE, ServiceToken
from wicketgate.core.strict_json import NotStrictJsonError, parse_object
from wicketgate.core.verdict import (
    Caller,
)
from wicketgate.errors import ConfigurationError
from wicketgate.tools.policy_text import STDIN, text_of

USER: Final = "user_explain"
SESSION: Final = "sess_explain"

_LIFETIME: Final = 60
_VERSION: Final = 2
_NOWHERE: Final = "https://issuer.invalid"
_TAKEN: Final = "claims taken as given, nothing was verified"
_UNCHECKED: Final = (
    "signature not checked; neither were the issuer, the authorized parties and the audience"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerWish:
    """Who the operator wants to be; at most one of all but `scopes`.

    Attributes:
        is_user: A user of whom little is known.
        claims: A file with the claims of a user.
        token: A session token, or ``-`` for what stdin holds.
        token_file: A file with a session token.
        service: The name of a service.
        scopes: What its token is for; empty for everything.
    """

    is_user: bool = False
    claims: Path | None = None
    token: str | None = None
    token_file: Path | None = None
    service: str | None = None
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownCaller:
    """Who it is, and what there is to say about how that is known.

    Attributes:
        caller: As `judge_known` wants it.
        notes: Sentences for the operator; none holds a token.
    """

    caller: Caller
    notes: tuple[str, ...] = ()


def caller_of(
    wish: CallerWish, *, now: float, stdin: BinaryIO, takes_pending: bool
) -> KnownCaller:
    """Return the caller that the operator wants to be.

    Args:
        wish: Who that is.
        now: POSIX seconds.
        stdin: Read for a token ``-`` only.
        takes_pending: Whether rules decide about pending sessions, as they do when
            there is a policy file.

    Raises:
        ConfigurationError: a file cannot be read, or does not hold what it should.
    """
    if wish.service is not None:
        scopes = frozenset(wish.scopes) or frozenset({EVERY_SCOPE})
        token = ServiceToken(name=wish.service, digest=b"", scopes=scopes)
        return KnownCaller(token, ("a service token taken as given",))
    if wish.is_user:
        return KnownCaller(_claims({}, now, "the claims of a user"), (_TAKEN,))
    if wish.claims is not None:
        document = _object_in(wish.claims)
        return KnownCaller(_claims(document, now, str(wish.claims)), (_TAKEN,))
    if wish.token is not None:
        text = text_of(STDIN, stdin) if wish.token == str(STDIN) else wish.token
        return _from_token(text, now, takes_pending=takes_pending)
    if wish.token_file is not None:
        return _from_token(read_text(wish.token_file), now, takes_pending=takes_pending)
    return KnownCaller(NO_CREDENTIAL)


def _object_in(path: Path) -> Mapping[str, Any]:
    try:
        return parse_object(read_text(path).encode())
    except NotStrictJsonError as error:
        msg = f"{path}: {error}; expected one JSON object of claims"
        raise ConfigurationError(msg) from None


def _claims(given: Mapping[str, Any], now: float, where: str) -> Claims:
    """Return claims with these members; what is missing is made up, and nothing is refused.

    Raises:
        ConfigurationError: no rules, however mild, could take them for claims.
    """
    issued_at = given.get("iat", int(now))
    is_number = isinstance(issued_at, int | float)
    made_up = {
        "sub": USER,
        "sid": SESSION,
        "iat": issued_at,
        "exp": issued_at + _LIFETIME if is_number else None,
        # Version 1 spells its organisation out.
        **({} if any(key.startswith("org_") for key in given) else {"v": _VERSION}),
    }
    document = made_up | dict(given)
    rules = TokenRules(
        issuers=frozenset({_NOWHERE}),
        template_tokens=True,
        pending_sessions=True,
        max_lifetime_seconds=inf,
    )
    found = check_claims(document | {"iss": _NOWHERE}, category=None, rules=rules)
    if isinstance(found, Claims):
        return replace(found, document=document)
    msg = f"{where}: {_why(found)}; expected claims such as those of Clerk's session tokens"
    raise ConfigurationError(msg)


def _from_token(text: str, now: float, *, takes_pending: bool) -> KnownCaller:
    jws = parse_jws(text.strip())
    if isinstance(jws, Reason):
        return KnownCaller(
            jws, (_refused(jws), "expected a session token: a JWT, without the word Bearer")
        )
    # What depends on the settings is as it is without any.
    rules = TokenRules(issuers=_issuer_of(jws), pending_sessions=takes_pending)
    claims = check_claims(jws.unverified_claims, category=jws.category, rules=rules)
    if isinstance(claims, Reason):
        return KnownCaller(claims, (_UNCHECKED, _refused(claims)))
    refusal = check_time(claims, now=now, rules=rules)
    if refusal is None:
        return KnownCaller(claims, (_UNCHECKED,))
    hint = f"it counts from {claims.not_before:.0f} to {claims.expires_at:.0f}; see --now"
    return KnownCaller(refusal, (_UNCHECKED, _refused(refusal), hint))


def _issuer_of(jws: UnverifiedJws) -> frozenset[str]:
    issuer = jws.unverified_claims.get("iss")
    return frozenset({issuer if isinstance(issuer, str) else _NOWHERE})


def _refused(reason: Reason) -> str:
    return f"the token itself is refused: {_why(reason)}"


def _why(reason: Reason) -> str:
    return f"{reason}, {ANSWERS[reason].title.rstrip('.').lower()}"
