"""Settings that contradict each other, and clocks that do.

Nothing here quotes a secret: of a secret key no more than its beginning is looked at.
"""

from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from wicketgate.doctor.finding import Fault, Faults
from wicketgate.settings.locations import PublishableKey

DATE_SECONDS: Final = 1.0
"""The Date header has whole seconds."""

_OTHERS_KEY: Final = "_CLERK_PUBLISHABLE_KEY"
"""Front ends keep theirs under NEXT_PUBLIC_, VITE_ and the like."""
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_LIVE: Final = frozenset({"pk_live_", "sk_live_"})


def contradictions(environ: Mapping[str, str], key: PublishableKey | None) -> Faults:
    """Yield settings of which each is fine by itself.

    Args:
        environ: The environment.
        key: The publishable key, if there is one that can be read.
    """
    texts = {name: text.strip() for name, text in environ.items() if text.strip()}
    if "CLERK_JWKS_URL" in texts and {"CLERK_JWT_KEY", "CLERK_JWT_KEY_FILE"} & set(texts):
        yield _contradiction(
            "CLERK_JWKS_URL",
            "CLERK_JWT_KEY is set, too, and with it no key is ever fetched",
            "unset one of them: a PEM does not follow when Clerk rotates its key",
        )
    if key is not None:
        yield from _of_another_instance(texts, key)
        yield from _of_another_kind(texts, key)


def clock_skew(
    headers: Mapping[str, str], *, before: float, after: float, allowed: float
) -> Faults:
    """Yield the difference between this clock and that of whoever answered.

    Args:
        headers: Of the answer, names in lower case.
        before: This clock when the question was sent, in POSIX seconds.
        after: And when the answer had come.
        allowed: How far they may differ, in seconds.
    """
    try:
        said = parsedate_to_datetime(headers.get("date", "")).timestamp()
        # A cache says when the answer was made, and how long ago that is.
        said += max(0, int(headers.get("age", "0")))
    except (TypeError, ValueError):
        return
    ahead = max(before - said - DATE_SECONDS, 0) - max(said - after, 0)
    if abs(ahead) > allowed:
        which = "ahead of" if ahead > 0 else "behind"
        yield Fault(
            "clock-skew",
            ("WICKETGATE_CLOCK_SKEW_SECONDS",),
            f"this clock is {abs(ahead):.0f} s {which} Clerk's; {allowed:g} s are forgiven",
            advice="set this machine's clock, and have NTP keep it",
        )


def _of_another_instance(texts: Mapping[str, str], key: PublishableKey) -> Iterator[Fault]:
    issuers = [each.strip() for each in texts.get("CLERK_ISSUER", "").split(",") if each.strip()]
    if issuers and key.issuer not in issuers:
        yield _contradiction(
            "CLERK_ISSUER",
            f"is not {key.issuer}, whose CLERK_PUBLISHABLE_KEY is set",
            "unset CLERK_ISSUER, or set the key of the same instance",
        )
    host = _host(texts.get("CLERK_JWKS_URL", ""))
    if host and host != key.host:
        yield _contradiction(
            "CLERK_JWKS_URL",
            f"is at {host}, and CLERK_PUBLISHABLE_KEY is of {key.host}",
            "unset CLERK_JWKS_URL, or set the key of the same instance",
        )
    for name, text in sorted(texts.items()):
        if name.endswith(_OTHERS_KEY) and text != key.text:
            yield _contradiction(
                name,
                "is another key than CLERK_PUBLISHABLE_KEY: the front end signs in elsewhere",
                "set the same key for both",
            )


def _of_another_kind(texts: Mapping[str, str], key: PublishableKey) -> Iterator[Fault]:
    is_live = key.text[:8] in _LIVE
    secret = texts.get("CLERK_SECRET_KEY", "")[:8]
    if secret and (secret in _LIVE) != is_live:
        yield _contradiction(
            "CLERK_SECRET_KEY",
            "and CLERK_PUBLISHABLE_KEY: one is of production, the other of development",
            "take both keys from the same page of Clerk's dashboard",
        )
    parties = texts.get("CLERK_AUTHORIZED_PARTIES", "").split(",")
    local = [each.strip() for each in parties if _host(each.strip()) in _LOCAL]
    if is_live and local:
        yield _contradiction(
            "CLERK_AUTHORIZED_PARTIES",
            f"has {_host(local[0])}, and CLERK_PUBLISHABLE_KEY is of production",
            "leave origins of development out",
        )


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _contradiction(name: str, found: str, advice: str) -> Fault:
    return Fault("settings-contradict", (name,), f"{name} {found}", advice=advice)
