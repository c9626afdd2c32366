"""Settings that mean something only together.

Each function reads one group and says which member is missing. Whether a
variable is set counts, not whether it could be read: a value that is wrong is
one mistake, not also the absence of a value.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Final

from wicketgate.core.claims import PartyCheck, TokenRules
from wicketgate.core.credential import CookieRules
from wicketgate.core.keys import KeySet
from wicketgate.settings import locations, values
from wicketgate.settings.locations import PublishableKey
from wicketgate.settings.reader import EnvironReader
from wicketgate.settings.values import list_of, seconds_between, word_of

HOUR: Final = 3_600
DAY: Final = 86_400
_TEN_YEARS: Final = 315_360_000
"""Templates make tokens of any lifetime; a bound beyond this is a mistake in units."""

token_lifetime: Final = seconds_between(1, _TEN_YEARS)
"""Reads the longest life of a token, in seconds."""

_STATUS_TOKEN: Final = "WICKETGATE_STATUS_TOKEN"
_CERT: Final = "WICKETGATE_TLS_CERT_FILE"
_KEY: Final = "WICKETGATE_TLS_KEY_FILE"
_CLIENT_CA: Final = "WICKETGATE_TLS_CLIENT_CA_FILE"
_SANS: Final = "WICKETGATE_TLS_ALLOWED_SANS"
_TLS_NEEDS: Final = (
    (_CERT, _KEY, "expected the file of its private key"),
    (_KEY, _CERT, "expected the file of its certificate"),
    (_CLIENT_CA, _CERT, "expected a certificate of the gate itself: mTLS begins with TLS"),
    (_SANS, _CLIENT_CA, "expected who signs the certificates that carry these names"),
)
"""Which setting needs which other one, and what is then expected."""


class Impersonation(StrEnum):
    """What becomes of tokens with an ``act`` claim."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Where the parts of TLS are; what the files hold is checked by who loads them.

    Attributes:
        cert_file: The certificate chain.
        key_file: Its private key.
        client_ca_file: Authorities of client certificates; `None` asks for none.
        allowed_sans: Names of which a client certificate must carry one; empty
            accepts every certificate that the authorities signed.
    """

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    allowed_sans: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Instance:
    """The Clerk instance, as far as the settings tell; complete once the reader settled."""

    key: PublishableKey | None
    issuers: frozenset[str]
    jwks_url: str | None
    pem_keys: KeySet | None


def instance(reader: EnvironReader) -> Instance:
    """Read whose tokens count, and where the keys come from."""
    key = reader.optional("CLERK_PUBLISHABLE_KEY", locations.publishable_key)
    issuers = reader.optional("CLERK_ISSUER", list_of(locations.issuer))
    jwks_url = reader.optional("CLERK_JWKS_URL", locations.jwks_url)
    pem_keys = reader.optional("CLERK_JWT_KEY", values.pem_keys)
    if not reader.is_set("CLERK_PUBLISHABLE_KEY"):
        _require_instance_without_key(reader)
    if key is not None:
        issuers = issuers or (key.issuer,)
        jwks_url = jwks_url or key.jwks_url
    return Instance(
        key,
        frozenset(issuers or ()),
        None if reader.is_set("CLERK_JWT_KEY") else jwks_url,
        pem_keys,
    )


def _require_instance_without_key(reader: EnvironReader) -> None:
    if not reader.is_set("CLERK_JWKS_URL") and not reader.is_set("CLERK_JWT_KEY"):
        reader.mistake(
            "CLERK_PUBLISHABLE_KEY",
            "is not set; expected the publishable key from Clerk's dashboard "
            "(or CLERK_ISSUER with CLERK_JWKS_URL or CLERK_JWT_KEY)",
        )
    elif not reader.is_set("CLERK_ISSUER"):
        # The keys say nothing about the issuer, and not to check it is no option.
        reader.mistake(
            "CLERK_ISSUER",
            "is not set, and there is no CLERK_PUBLISHABLE_KEY to derive it from; "
            "expected the exact iss of the tokens",
        )


def rules(
    reader: EnvironReader, issuers: frozenset[str], parties: frozenset[str]
) -> partial[TokenRules]:
    """Read which tokens are acceptable; to be called once the reader settled."""
    refuse_blank(reader, "CLERK_AUTHORIZED_PARTIES", "CLERK_AUDIENCE", "WICKETGATE_IMPERSONATION")
    parties_are_set = reader.is_set("CLERK_AUTHORIZED_PARTIES")
    check = reader.optional("WICKETGATE_AZP_CHECK", word_of(PartyCheck))
    if check is None:
        check = PartyCheck.REQUIRED if parties_are_set else PartyCheck.OFF
    elif check is not PartyCheck.OFF and not parties_are_set:
        reader.mistake(
            "CLERK_AUTHORIZED_PARTIES",
            f"is not set, but WICKETGATE_AZP_CHECK is {check.value}; "
            "expected the origins to compare azp with",
        )
    impersonation = reader.defaulted("WICKETGATE_IMPERSONATION", word_of(Impersonation))
    return partial(
        TokenRules,
        issuers=issuers,
        party_check=check,
        authorized_parties=parties,
        audiences=frozenset(reader.optional("CLERK_AUDIENCE", list_of(values.visible)) or ()),
        template_tokens=reader.flag("WICKETGATE_TEMPLATE_TOKENS"),
        pending_sessions=reader.flag("WICKETGATE_PENDING_SESSIONS"),
        impersonation=impersonation is Impersonation.ALLOW,
        max_lifetime_seconds=reader.defaulted(
            "WICKETGATE_MAX_TOKEN_LIFETIME_SECONDS", token_lifetime
        ),
        skew_seconds=reader.seconds("WICKETGATE_CLOCK_SKEW_SECONDS", 0, 300),
    )


def cookies(
    reader: EnvironReader, key: PublishableKey | None, origins: frozenset[str]
) -> CookieRules | None:
    """Read whether session cookies count, and how."""
    if not reader.flag("WICKETGATE_SESSION_COOKIES"):
        return None
    if not reader.is_set("CLERK_PUBLISHABLE_KEY"):
        reader.mistake(
            "CLERK_PUBLISHABLE_KEY",
            "is not set, but WICKETGATE_SESSION_COOKIES is on; expected the key, "
            "from which the cookie's name is derived",
        )
    if not reader.is_set("CLERK_AUTHORIZED_PARTIES"):
        reader.mistake(
            "CLERK_AUTHORIZED_PARTIES",
            "is not set, but WICKETGATE_SESSION_COOKIES is on, and browsers send cookies along "
            "with requests that other sites make (CSRF); expected the origins of your own pages",
        )
    return None if key is None else CookieRules.of_instance(key.text, origins)


def tls(reader: EnvironReader) -> TlsFiles | None:
    """Read which files make TLS, if any."""
    refuse_blank(reader, _CERT, _KEY, _CLIENT_CA, _SANS)
    cert_file = reader.optional(_CERT, values.path)
    key_file = reader.optional(_KEY, values.path)
    ca_file = reader.optional(_CLIENT_CA, values.path)
    sans = reader.optional(_SANS, list_of(values.visible))
    for name, needed, why in _TLS_NEEDS:
        if reader.is_set(name) and not reader.is_set(needed):
            reader.mistake(needed, f"is not set, but {name} is; {why}")
    if cert_file is None or key_file is None:
        return None
    return TlsFiles(
        cert_file=cert_file,
        key_file=key_file,
        client_ca_file=ca_file,
        allowed_sans=frozenset(sans or ()),
    )


def refuse_blank(reader: EnvironReader, *names: str) -> None:
    """Refuse empty values of settings that restrict something.

    Most likely the variable failed to expand, and that must not switch a check off.
    """
    for name in names:
        if reader.is_blank(name):
            reader.mistake(name, "is set and empty; expected a value, or the variable left out")


def cache_file(reader: EnvironReader) -> Path | None:
    """Read where the last good keys are kept, `None` for nowhere."""
    configured = reader.optional("WICKETGATE_JWKS_CACHE_FILE", values.path)
    if configured is not None:
        return None if str(configured).lower() == "off" else configured
    for base, below in (("XDG_CACHE_HOME", ""), ("HOME", ".cache")):
        # XDG Base Directory Specification: a relative path must be ignored.
        directory = reader.text(base)
        if directory.startswith("/") and directory.isprintable():
            return Path(directory, below, "wicketgate", "jwks.json")
    return None


def database_url(reader: EnvironReader) -> str:
    """Read where Postgres is; empty after a mistake."""
    expected = "expected where Postgres is: postgresql://user:password@host:port/database"
    return reader.required("DATABASE_URL", locations.database_url, expected) or ""


def status_tokens(reader: EnvironReader) -> tuple[str, ...]:
    """Read what opens the status page; a variable that is there and empty is a mistake."""
    refuse_blank(reader, _STATUS_TOKEN)
    return reader.optional(_STATUS_TOKEN, list_of(values.service_token)) or ()


def key_ages(reader: EnvironReader) -> tuple[float, float]:
    """Return the seconds between two refreshes of the keys, and how old they may become."""
    refresh = reader.seconds("WICKETGATE_JWKS_REFRESH_SECONDS", 1, DAY)
    max_stale = reader.seconds("WICKETGATE_JWKS_MAX_STALE_SECONDS", 1, 30 * DAY)
    if max_stale <= refresh:
        # The gate would stop serving before each refresh, with Clerk in perfect health.
        reader.mistake(
            "WICKETGATE_JWKS_MAX_STALE_SECONDS",
            f"is {max_stale:.12g}; expected several times WICKETGATE_JWKS_REFRESH_SECONDS, "
            f"which is {refresh:.12g}",
        )
    return refresh, max_stale
