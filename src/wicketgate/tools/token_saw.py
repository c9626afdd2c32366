"""What each check saw of a token, and what it wanted to see; one line for each."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from wicketgate.core.claims import (
    MACHINE_CATEGORY,
    SESSION_CATEGORIES,
    TEMPLATE_CATEGORY,
    PartyCheck,
    TokenRules,
)
from wicketgate.core.jws import MAX_TOKEN_BYTES
from wicketgate.core.keys import KeySet
from wicketgate.core.reason import Reason
from wicketgate.tools.token_trace import Check, Result, Trace
from wicketgate.tools.token_view import Shown, TokenView

_CATEGORIES: Final[Mapping[str, str]] = {
    **dict.fromkeys(SESSION_CATEGORIES, "a session token"),
    TEMPLATE_CATEGORY: "from a JWT template",
    MACHINE_CATEGORY: "a machine token",
}
_YEAR_10000: Final = 253_402_300_800
_MINUTE: Final = 60
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (_MINUTE, "min"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedToken:
    """What became of a token, and all that decided it.

    Attributes:
        view: What may be shown of it.
        trace: What became of it.
        rules: Which session tokens are acceptable.
        keys: The keys at hand.
        keys_from: Where they are from, in words.
        now: The moment in question, POSIX seconds.
        notes: What else there is to say, in sentences.
        hint: A sentence for when no key fits; empty for none.
    """

    view: TokenView
    trace: Trace
    rules: TokenRules
    keys: KeySet
    keys_from: str
    now: float
    notes: tuple[str, ...] = ()
    hint: str = ""


def saw(check: Check, about: ExplainedToken) -> str:
    """Return what `check` saw, and what it wanted; holds nothing but what a view does.

    Empty when there was nothing to see: the token could not be taken apart.
    """
    if about.trace.result(check) is Result.NOT_REACHED and not about.view.header:
        return ""
    return _SAW[check](about)


def instant(seconds: float) -> str:
    """Return POSIX seconds as RFC 3339."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _credential(about: ExplainedToken) -> str:
    if about.trace.failed is Check.CREDENTIAL:
        return "expected one word of visible ASCII without a comma behind Bearer"
    return "one word behind Bearer"


def _service(about: ExplainedToken) -> str:
    token = about.trace.service
    if token is None:
        return ""
    until = "without an end" if token.not_after is None else f"until {instant(token.not_after)}"
    scopes = ", ".join(sorted(token.scopes))
    return f"the service token {token.name}, for {scopes}, {until}; at {instant(about.now)}"


def _form(about: ExplainedToken) -> str:
    view = about.view
    size = f"{view.characters} characters of {MAX_TOKEN_BYTES} at most"
    return "; ".join((f"{size}, {_counted(view.parts, 'part')}", *view.complaints))


def _header(about: ExplainedToken) -> str:
    shown = _listed(about.view.header, ("alg", "typ", "kid", "cat"))
    asks = [name for name in ("crit", "b64", "zip") if name in about.view.header]
    if asks:
        shown += f"; asks for {', '.join(asks)}"
    if about.trace.failed is Check.HEADER:
        shown += "; expected alg RS256, typ JWT or none, a plain kid, no crit, b64 or zip"
    return shown


def _key(about: ExplainedToken) -> str:
    kid, keys = about.view.header.get("kid", "absent"), about.keys
    where = f"{_counted(len(keys.keys), 'key')} from {about.keys_from}"
    if keys.answers_any_kid:
        return f"kid {kid}; {where}, for every kid"
    if not keys.keys:
        return f"kid {kid}; {where}"
    return f"kid {kid}; {where}: {_either(sorted({key.kid for key in keys.keys}))}"


def _signature(about: ExplainedToken) -> str:
    match about.trace.result(Check.SIGNATURE):
        case Result.PASSED:
            return "RS256, by that key"
        case Result.FAILED:
            return "RS256, not by a key of that kid: another instance's, forged, or changed since"
        case _:
            return "RS256"


def _issuer(about: ExplainedToken) -> str:
    return _compared(about, "iss", f"expected {_either(sorted(about.rules.issuers))}")


def _class(about: ExplainedToken) -> str:
    category = about.view.header.get("cat", "absent")
    meaning = _CATEGORIES.get(str(category), "taken for a session token")
    if category not in _CATEGORIES and category != "absent":
        meaning = "not known"
    templates = "accepted" if about.rules.template_tokens else "refused"
    return f"cat {category}, {meaning}; tokens of templates are {templates}"


def _party(about: ExplainedToken) -> str:
    check = about.rules.party_check
    if check is PartyCheck.OFF:
        return _compared(about, "azp", "not looked at")
    parties = _either(sorted(about.rules.authorized_parties))
    return _compared(about, "azp", f"{check.value}; expected {parties}")


def _audience(about: ExplainedToken) -> str:
    audiences = sorted(about.rules.audiences)
    return _compared(
        about, "aud", f"expected {_either(audiences)}" if audiences else "not looked at"
    )


def _state(about: ExplainedToken) -> str:
    rules = about.rules
    pending = "accepted" if rules.pending_sessions else "refused"
    actors = "accepted" if rules.impersonation else "refused"
    claims = _listed(about.view.claims, ("sts", "act"))
    return f"{claims}; pending sessions are {pending}, impersonated ones {actors}"


def _subject(about: ExplainedToken) -> str:
    return _compared(about, "sub", "expected user_ and letters and digits")


def _session(about: ExplainedToken) -> str:
    absent = " or none" if about.rules.template_tokens else ""
    return _compared(about, "sid", f"expected sess_ and letters and digits{absent}")


def _times(about: ExplainedToken) -> str:
    claims = about.view.claims
    issued, expires = claims.get("iat"), claims.get("exp")
    said = _listed(claims, ("iat", "nbf", "exp"))
    if isinstance(issued, int | float) and isinstance(expires, int | float):
        said += f"; a life of {_span(expires - issued)}"
    most = _span(about.rules.max_lifetime_seconds)
    return f"{said}; expected numbers, and a life of {most} at most"


def _clock(about: ExplainedToken) -> str:
    claims, now = about.view.claims, about.now
    said = [
        f"{name} {_away(time - now)}"
        for name in ("iat", "nbf", "exp")
        if isinstance(time := claims.get(name), int | float)
    ]
    skew = f"clocks may differ by {about.rules.skew_seconds:g} s"
    return "; ".join((f"at {instant(now)}", *said, skew))


def _revocation(about: ExplainedToken) -> str:
    match about.trace.reason:
        case Reason.USER_REVOKED:
            return "the user was revoked after iat, or within the same second"
        case Reason.SESSION_REVOKED:
            return "the session was revoked"
    if about.trace.asked_revocations:
        return "nothing in force against the user or the session"
    return "asked with --revocations"


_SAW: Final[Mapping[Check, Callable[[ExplainedToken], str]]] = {
    Check.CREDENTIAL: _credential,
    Check.SERVICE: _service,
    Check.FORM: _form,
    Check.HEADER: _header,
    Check.KEY: _key,
    Check.SIGNATURE: _signature,
    Check.ISSUER: _issuer,
    Check.CLASS: _class,
    Check.PARTY: _party,
    Check.AUDIENCE: _audience,
    Check.STATE: _state,
    Check.SUBJECT: _subject,
    Check.SESSION: _session,
    Check.TIMES: _times,
    Check.CLOCK: _clock,
    Check.REVOCATION: _revocation,
}


def _compared(about: ExplainedToken, name: str, wanted: str) -> str:
    return f"{_listed(about.view.claims, (name,))}; {wanted}"


def _listed(members: Mapping[str, Shown], names: Iterable[str]) -> str:
    return ", ".join(f"{name} {_text(members.get(name, 'absent'))}" for name in names)


def _text(shown: Shown) -> str:
    return f"[{', '.join(shown)}]" if isinstance(shown, list) else str(shown)


def _either(texts: Iterable[str]) -> str:
    return " or ".join(texts)


def _counted(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'' if number == 1 else 's'}"


def _away(seconds: float) -> str:
    """Return how far from now a moment is."""
    return f"{_span(-seconds)} ago" if seconds < 0 else f"in {_span(seconds)}"


def _span(seconds: float) -> str:
    for unit, word in _UNITS:
        if abs(seconds) >= 2 * unit:
            return f"{seconds / unit:.0f} {word}"
    return f"{seconds:.0f} s"
