"""What the settings accept, what they refuse, and that they keep secrets."""

from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_ec_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given
from hypothesis import strategies as st

from wicketgate.core.claims import PartyCheck
from wicketgate.core.credential import CookieRules
from wicketgate.core.keys import KeySet
from wicketgate.core.record import DecisionDetail, DecisionLog
from wicketgate.errors import ConfigurationError
from wicketgate.local.clerk_instance import ClerkInstance
from wicketgate.settings import (
    SETTINGS,
    AuthzSettings,
    DatabaseSettings,
    FirstSightMode,
    FirstSightSettings,
    LogLevel,
    MigrateSettings,
    Process,
    Setting,
    SyncSettings,
    TcpAddress,
    TlsFiles,
    TraceSettings,
    Transport,
    UnixAddress,
    WebhooksSettings,
    files_of,
    settings_of,
    settings_table,
)
from wicketgate.settings.locations import address, origin, publishable_key, url_path
from wicketgate.settings.reader import MAX_SECRET_BYTES
from wicketgate.settings.revocations import RevocationSettings
from wicketgate.settings.values import InvalidValueError

KEY = "pk_test_YWJsZS1tb2xlLTEuY2xlcmsuYWNjb3VudHMuZGV2JA"
ISSUER = "https://able-mole-1.clerk.accounts.dev"
JWKS_URL = f"{ISSUER}/.well-known/jwks.json"
TOKEN = "5eb63bbbe01eeed093cb22bb8f5acdc35eb63bbbe01eeed0"
OTHER_TOKEN = "f1c9645dbc14efddc7d8a322685f26eb93cb22bb8f5acdc3"
ORIGIN = "https://app.example.com"
PEM = ClerkInstance().public_pem
EC_PEM = (
    new_ec_key(SECP256R1())
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)

MINIMAL = {"CLERK_PUBLISHABLE_KEY": KEY}
EVERYTHING = {
    "CLERK_PUBLISHABLE_KEY": KEY,
    "CLERK_AUTHORIZED_PARTIES": ORIGIN,
    "WICKETGATE_TLS_CERT_FILE": "tls.crt",
    "WICKETGATE_TLS_KEY_FILE": "tls.key",
    "WICKETGATE_TLS_CLIENT_CA_FILE": "ca.crt",
    "DATABASE_URL": "postgresql://gate@db.example.com/users",
    "WICKETGATE_FIRST_SIGHT": "async",
    "WICKETGATE_TRACES_ENDPOINT": "http://collector:4318/v1/traces",
}
"""Enough for every other setting to make sense."""

SIGNING_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SIGNING_SECRET = "whsec_a2V5IG9mIGFub3RoZXIgZW5kcG9pbnQh"
DATABASE_URL = "postgresql://wicketgate:hunter2@db.example.com:5432/users"
SECRET_KEY = "sk_test_" + "x7Q" * 14

READERS = {
    Process.AUTHZ: AuthzSettings.from_environ,
    Process.WEBHOOKS: WebhooksSettings.from_environ,
    Process.MIGRATE: MigrateSettings.from_environ,
    Process.SYNC: SyncSettings.from_environ,
    Process.REVOKE: DatabaseSettings.from_environ,
    Process.REVOCATIONS: DatabaseSettings.from_environ,
}
COMPLETE = {
    Process.AUTHZ: EVERYTHING,
    Process.WEBHOOKS: {
        "CLERK_WEBHOOK_SIGNING_SECRET": SIGNING_SECRET,
        "DATABASE_URL": DATABASE_URL,
    },
    Process.MIGRATE: {"DATABASE_URL": DATABASE_URL},
    Process.SYNC: {"CLERK_SECRET_KEY": SECRET_KEY, "DATABASE_URL": DATABASE_URL},
    Process.REVOKE: {"DATABASE_URL": DATABASE_URL},
    Process.REVOCATIONS: {"DATABASE_URL": DATABASE_URL},
}
"""For each process, enough for every other setting to make sense."""

EVERY = [
    pytest.param(process, setting, id=f"{process}-{setting.name}")
    for process in Process
    for setting in settings_of(process)
]


def read(**changes: str) -> AuthzSettings:
    return AuthzSettings.from_environ(MINIMAL | changes)


def mistakes(environ: dict[str, str], process: Process = Process.AUTHZ) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        READERS[process](environ)
    return caught.value.mistakes


def settings_or_mistakes(environ: dict[str, str], process: Process) -> object:
    try:
        return READERS[process](environ)
    except ConfigurationError as error:
        return error.mistakes


def mistake(**changes: str) -> str:
    """Return the one line about the minimal settings with these changes."""
    lines = mistakes(MINIMAL | changes)
    assert len(lines) == 1, lines
    return lines[0]


# --- the whole ---------------------------------------------------------------


def test_a_publishable_key_is_enough() -> None:
    settings = read()

    assert settings.rules.issuers == {ISSUER}
    assert settings.jwks_url == JWKS_URL
    assert settings.pem_keys is None
    assert settings.service_tokens == ()
    assert settings.cookies is None
    assert settings.tls is None


def test_defaults_are_those_of_the_documentation() -> None:
    settings = read()

    assert str(settings.authz_address) == "127.0.0.1:9191"
    assert str(settings.admin_address) == "127.0.0.1:9464"
    assert settings.transport is Transport.WIRE
    assert settings.rules.party_check is PartyCheck.OFF
    assert settings.rules.audiences == frozenset()
    assert settings.rules.impersonation
    assert not settings.rules.template_tokens
    assert not settings.rules.pending_sessions
    assert (settings.rules.max_lifetime_seconds, settings.rules.skew_seconds) == (86_400, 5)
    assert (settings.drain_seconds, settings.grace_seconds) == (3, 5)
    assert (settings.jwks_refresh_seconds, settings.jwks_cooldown_seconds) == (300, 30)
    assert (settings.jwks_max_stale_seconds, settings.jwks_wait_seconds) == (86_400, 0.2)
    assert settings.token_cache_size == 10_000
    assert (settings.log_level, settings.decision_log) == (LogLevel.INFO, DecisionLog.ALL)
    assert (settings.decision_detail, settings.replay_share) == (DecisionDetail.STANDARD, 1)
    assert (settings.policy_file, settings.service_tokens_file) == (None, None)
    assert settings.identity_aliases == ()
    assert not settings.forward_service_token
    assert not settings.error_response


def test_without_any_setting_one_line_says_how_to_begin() -> None:
    (line,) = mistakes({})

    assert line.startswith("CLERK_PUBLISHABLE_KEY is not set;")
    assert f"for example CLERK_PUBLISHABLE_KEY={KEY}" in line


def test_all_mistakes_are_reported_at_once() -> None:
    lines = mistakes(
        {
            "CLERK_PUBLISHABLE_KEY": "pk_test_",
            "SERVICE_AUTH_TOKEN": "short",
            "WICKETGATE_LOG_LEVEL": "loud",
            "WICKETGATE_TYPO": "1",
        }
    )

    assert [line.split()[0] for line in lines] == [
        "CLERK_PUBLISHABLE_KEY",
        "SERVICE_AUTH_TOKEN",
        "WICKETGATE_LOG_LEVEL",
        "WICKETGATE_TYPO",
    ]


CHECKS = (
    "CLERK_AUTHORIZED_PARTIES",
    "CLERK_AUDIENCE",
    "WICKETGATE_IMPERSONATION",
    "WICKETGATE_TLS_CERT_FILE",
    "WICKETGATE_TLS_KEY_FILE",
    "WICKETGATE_TLS_CLIENT_CA_FILE",
    "WICKETGATE_TLS_ALLOWED_SANS",
    "WICKETGATE_REVOCATION_MAX_STALE",
    "WICKETGATE_STATUS_TOKEN",
)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CLERK_AUTHORISED_PARTIES", "CLERK_AUTHORIZED_PARTIES"),
        ("CLERK_AUTHORIZED_PARTY", "CLERK_AUTHORIZED_PARTIES"),
        ("CLERK_AUDIENCES", "CLERK_AUDIENCE"),
        ("CLERK_ISSUERS", "CLERK_ISSUER"),
    ],
)
def test_a_misspelt_variable_of_clerk_s_is_no_check_that_is_silently_not_made(
    name: str, meant: str
) -> None:
    assert mistakes(MINIMAL | {name: "x"}) == (
        f"{name} is not read by anything; did you mean {meant}?",
    )


@pytest.mark.parametrize(
    "name",
    [
        "CLERK_SECRET_KEY",
        "CLERK_SIGN_IN_URL",
        "CLERK_ENCRYPTION_KEY",
        "CLERK_WEBHOOK_SECRET",
        "CLERK_JWT_KEY_FILE_BACKUP_PATH",
        "WICKETGATE_ENVOY",
    ],
)
def test_a_variable_that_others_read_is_none_of_our_business(name: str) -> None:
    AuthzSettings.from_environ(MINIMAL | {name: "x"})


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("blank", ["", " \n"])
def test_a_check_is_not_switched_off_by_an_empty_variable(name: str, blank: str) -> None:
    """
    ``NAME=$TYPO`` must not start a gate that checks less than was meant.
    """
    lines = mistakes(MINIMAL | {name: blank})

    assert [line.split(" is ")[0] for line in lines] == [name]


NEEDED = ("CLERK_WEBHOOK_SIGNING_SECRET", "DATABASE_URL", "CLERK_SECRET_KEY")


@pytest.mark.parametrize(("process", "setting"), EVERY)
def test_any_other_empty_variable_counts_as_unset(process: Process, setting: Setting) -> None:
    base = COMPLETE[process] | {"CLERK_ISSUER": ISSUER, "CLERK_JWKS_URL": JWKS_URL}
    without = {key: value for key, value in base.items() if key != setting.name}

    for blank in ("", " \n"):
        if setting.name in CHECKS:
            continue
        with_blank = without | {setting.name: blank}
        assert settings_or_mistakes(without, process) == settings_or_mistakes(with_blank, process)


@pytest.mark.parametrize(("process", "setting"), EVERY)
def test_every_example_is_accepted_as_it_stands(process: Process, setting: Setting) -> None:
    """
    An operator pastes the example of a message. Those of secrets are shell commands,
    and nothing to be copied into production.
    """
    environ = COMPLETE[process] | {setting.name: setting.example}

    if setting.secret:
        assert setting.name in " ".join(mistakes(environ, process))
    else:
        READERS[process](environ)


@pytest.mark.parametrize(("process", "setting"), EVERY)
def test_every_setting_is_read_and_complains_with_its_example(
    process: Process, setting: Setting
) -> None:
    (line,) = mistakes(COMPLETE[process] | {setting.name: "\x01,"}, process)

    assert line.startswith(f"{setting.name} ")
    assert line.endswith(f"; for example {setting.name}={setting.example}")
    assert "expected" in line
    assert line.isprintable()


@pytest.mark.parametrize("process", Process)
def test_the_settings_of_other_processes_are_left_alone(process: Process) -> None:
    """
    They often share one environment, and a mistake in it is not everybody's.
    """
    others = {each.name: "\x01," for each in SETTINGS if process not in each.processes}

    assert READERS[process](COMPLETE[process] | others) == READERS[process](COMPLETE[process])


@pytest.mark.parametrize("process", Process)
def test_every_process_knows_the_names_of_all_settings(process: Process) -> None:
    (line,) = mistakes(COMPLETE[process] | {"WICKETGATE_WEBHOOK_ADDRESS": "x:1"}, process)

    assert "did you mean WICKETGATE_WEBHOOKS_ADDRESS?" in line


@pytest.mark.parametrize(
    ("process", "name"),
    [
        (process, name)
        for process in Process
        if process is not Process.AUTHZ
        for name in NEEDED
        if name in {each.name for each in settings_of(process)}
    ],
)
def test_what_is_needed_is_missed(process: Process, name: str) -> None:
    environ = {key: value for key, value in COMPLETE[process].items() if key != name}

    (line,) = mistakes(environ, process)

    assert line.startswith(f"{name} is not set; expected ")


# --- the instance ------------------------------------------------------------


def host_key(host: str, kind: str = "test") -> str:
    return f"pk_{kind}_" + b64encode(host.encode()).decode()


@pytest.mark.parametrize(
    "key",
    [KEY, KEY + "==", host_key("able-mole-1.clerk.accounts.dev$", "live")],
    ids=["unpadded", "padded", "live"],
)
def test_a_publishable_key_tells_the_host(key: str) -> None:
    assert publishable_key(key).host == "able-mole-1.clerk.accounts.dev"


@pytest.mark.parametrize(
    "key",
    [
        "pk_test_",
        "pk_test",
        "pk_prod_" + KEY.removeprefix("pk_test_"),
        "PK_test_" + KEY.removeprefix("pk_test_"),
        KEY + "_extra",
        KEY[:-2],
        KEY[:20] + "!" + KEY[20:],
        host_key("able-mole-1.clerk.accounts.dev"),
        host_key("able-mole-1.clerk.accounts.dev$$"),
        host_key("able$mole.dev$"),
        host_key("localhost$"),
        host_key("evil.example/able-mole.dev$"),
        host_key("user@evil.example$"),
        host_key("a b.dev$"),
        host_key("a..dev$"),
        host_key("-a.dev$"),
        host_key("a.dev\n$"),
        host_key("müsli.dev$"),
        host_key(f"{'a.' * 127}dev$"),
        "pk_test_é",
        "not a key",
    ],
)
def test_a_key_that_is_not_publishable_is_refused_without_being_quoted(key: str) -> None:
    line = mistake(CLERK_PUBLISHABLE_KEY=key)

    assert line.startswith("CLERK_PUBLISHABLE_KEY ")
    # What is expected, and the example, naturally share a beginning with the key.
    assert key not in line.partition("; expected")[0]


def test_a_secret_key_in_the_wrong_place_is_named_as_such_and_kept() -> None:
    secret = "sk_live_" + "x7Q" * 14
    line = mistake(CLERK_PUBLISHABLE_KEY=secret)

    assert "is a secret key" in line
    assert secret not in line


@given(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z0-9]{1,9}){1,4}", fullmatch=True))
def test_any_host_survives_the_round_trip(host: str) -> None:
    assert publishable_key(host_key(f"{host}$").rstrip("=")).host == host


def test_explicit_issuers_and_url_override_what_is_derived() -> None:
    settings = read(
        CLERK_ISSUER="https://clerk.example.com, https://example.com/clerk",
        CLERK_JWKS_URL="https://proxy.example.com/keys?v=1",
    )

    assert settings.rules.issuers == {"https://clerk.example.com", "https://example.com/clerk"}
    assert settings.jwks_url == "https://proxy.example.com/keys?v=1"


@pytest.mark.parametrize(
    ("issuer", "why"),
    [
        ("http://clerk.example.com", "not https"),
        ("HTTPS://clerk.example.com", "not https"),
        ("https://clerk.example.com/", "ends with a slash"),
        ("https://clerk.example.com?x", "query or a fragment"),
        ("https://clerk.example.com#", "query or a fragment"),
        ("clerk.example.com", "not a URL"),
        ("https://", "not a URL"),
        ("https://a b.example.com", "not a URL"),
        ("https://clerk.exam\tple.com", "not a URL"),
        ("https://*.example.com", "not a URL"),
        ("https://clerk.example.com:0", "not a URL"),
        ("https://clerk.example.com:65536", "not a URL"),
        ("https://300.1.1.1", "not a URL"),
        ("https://[::1", "not a URL"),
        ("https://[:::]", "not a URL"),
        ("https://user:hunter2@clerk.example.com", "user name or password"),
        (f"{ISSUER},", "empty item 2"),
        (",", "empty item 1"),
        (f"{ISSUER},nonsense", "item 2 is 'nonsense'"),
    ],
)
def test_an_issuer_that_no_token_could_name_is_refused(issuer: str, why: str) -> None:
    assert why in mistake(CLERK_ISSUER=issuer)


@pytest.mark.parametrize(
    "url",
    [
        JWKS_URL,
        "http://localhost:8080/jwks",
        "http://127.0.0.1/jwks",
        "http://127.8.8.8/jwks",
        "http://[::1]:8080/jwks",
    ],
)
def test_keys_come_over_https_or_from_this_machine(url: str) -> None:
    assert read(CLERK_JWKS_URL=url).jwks_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://clerk.example.com/jwks",
        "http://localhost.example.com/jwks",
        "http://127.0.0.1.example.com/jwks",
        "http://[2001:db8::1]/jwks",
        "http://10.0.0.1/jwks",
        "http://127.1/jwks",
        "ftp://localhost/jwks",
        "file:///etc/jwks.json",
        "https://clerk.example.com/jwks#keys",
        "https://user:hunter2@clerk.example.com/jwks",
        "http://localhost@clerk.example.com/jwks",
        "http://clerk.example.com/jwks?token=hunter2",
    ],
)
def test_keys_from_anywhere_else_are_refused(url: str) -> None:
    line = mistake(CLERK_JWKS_URL=url)

    assert line.startswith("CLERK_JWKS_URL ")
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"CLERK_JWKS_URL": JWKS_URL}, "CLERK_ISSUER"),
        ({"CLERK_JWT_KEY": PEM}, "CLERK_ISSUER"),
        ({"CLERK_ISSUER": ISSUER}, "CLERK_PUBLISHABLE_KEY"),
        ({"CLERK_JWKS_URL": "nonsense", "CLERK_ISSUER": ISSUER}, "CLERK_JWKS_URL"),
    ],
)
def test_half_an_instance_is_refused(environ: dict[str, str], named: str) -> None:
    (line,) = mistakes(environ)

    assert line.startswith(f"{named} ")


@pytest.mark.parametrize(
    "environ",
    [
        {"CLERK_JWKS_URL": JWKS_URL, "CLERK_ISSUER": ISSUER},
        {"CLERK_JWT_KEY": PEM, "CLERK_ISSUER": ISSUER},
    ],
)
def test_an_instance_without_publishable_key_is_accepted(environ: dict[str, str]) -> None:
    assert AuthzSettings.from_environ(environ).rules.issuers == {ISSUER}


@pytest.mark.parametrize(
    "pem",
    [
        PEM,
        PEM.strip(),
        PEM.replace("\n", "\\n"),
        PEM.replace("\n", "\\r\\n"),
        PEM.replace("\n", "\r\n"),
        PEM.replace("\n", ""),
        PEM.replace("\n", " "),
        f"\n  {PEM}\n\n",
    ],
    ids=["plain", "stripped", "escaped", "escaped-crlf", "crlf", "joined", "spaces", "framed"],
)
def test_a_pasted_pem_makes_the_gate_networkless(pem: str) -> None:
    settings = read(CLERK_JWT_KEY=pem, CLERK_JWKS_URL=JWKS_URL)

    assert settings.pem_keys == KeySet.from_pem(PEM)
    assert settings.jwks_url is None


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        ("nonsense", "not a PEM public key"),
        (PEM[:-40], "not a PEM public key"),
        (PEM.replace("PUBLIC", "PRIVATE"), "not a PEM public key"),
        (EC_PEM, "not RSA"),
    ],
)
def test_a_pem_that_is_no_rsa_public_key_is_refused_without_being_quoted(
    pem: str, why: str
) -> None:
    line = mistake(CLERK_JWT_KEY=pem)

    assert why in line
    assert pem[30:60] not in line or pem == "nonsense"


# --- which tokens ------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "check"),
    [
        ({}, PartyCheck.OFF),
        ({"WICKETGATE_AZP_CHECK": "off"}, PartyCheck.OFF),
        ({"CLERK_AUTHORIZED_PARTIES": ORIGIN}, PartyCheck.REQUIRED),
        (
            {"CLERK_AUTHORIZED_PARTIES": ORIGIN, "WICKETGATE_AZP_CHECK": "if-present"},
            PartyCheck.IF_PRESENT,
        ),
        ({"CLERK_AUTHORIZED_PARTIES": ORIGIN, "WICKETGATE_AZP_CHECK": "off"}, PartyCheck.OFF),
    ],
)
def test_azp_is_required_once_parties_are_known(
    environ: dict[str, str], check: PartyCheck
) -> None:
    assert read(**environ).rules.party_check is check


@pytest.mark.parametrize("check", ["if-present", "required"])
def test_checking_azp_against_nothing_is_refused(check: str) -> None:
    line = mistake(WICKETGATE_AZP_CHECK=check)

    assert line.startswith("CLERK_AUTHORIZED_PARTIES is not set, but WICKETGATE_AZP_CHECK")


@pytest.mark.parametrize(
    "text",
    [
        ORIGIN,
        "http://localhost:3000",
        "http://127.0.0.1:3000",
        "http://[::1]:3000",
        "https://example.com:8443",
        "https://example.com:80",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        "capacitor://localhost",
    ],
)
def test_an_exact_origin_is_an_authorized_party(text: str) -> None:
    assert read(CLERK_AUTHORIZED_PARTIES=text).rules.authorized_parties == {text}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{ORIGIN}/", "a slash, path or query"),
        (f"{ORIGIN}/login", "a slash, path or query"),
        (f"{ORIGIN}?", "a slash, path or query"),
        ("https://App.example.com", "lower case"),
        ("https://example.com:443", "default port"),
        ("http://example.com:80", "default port"),
        ("app.example.com", "not a URL"),
        ("*", "not a URL"),
        ("https://*.example.com", "not a URL"),
        ("null", "not a URL"),
        ("https://u:hunter2@example.com", "user name or password"),
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(text: str, why: str) -> None:
    line = mistake(CLERK_AUTHORIZED_PARTIES=text)

    assert why in line.partition("; expected")[0]
    assert "hunter2" not in line


def test_lists_are_split_trimmed_and_made_unique() -> None:
    settings = read(
        CLERK_AUDIENCE="api, https://api.example.com ,api",
        SERVICE_AUTH_TOKEN=f"{TOKEN}, {OTHER_TOKEN},{TOKEN}",
    )

    assert settings.rules.audiences == {"api", "https://api.example.com"}
    assert settings.service_tokens == (TOKEN, OTHER_TOKEN)


def test_an_audience_with_a_space_is_refused() -> None:
    assert "item 2 is 'b c'" in mistake(CLERK_AUDIENCE="a,b c")


@pytest.mark.parametrize("text", ["true", "TRUE", "1", "yes", "On"])
def test_words_that_turn_on(text: str) -> None:
    assert read(WICKETGATE_TEMPLATE_TOKENS=text).rules.template_tokens
    assert read(WICKETGATE_PENDING_SESSIONS=text).rules.pending_sessions
    assert read(WICKETGATE_FORWARD_SERVICE_TOKEN=text).forward_service_token
    assert read(WICKETGATE_ERROR_RESPONSE=text).error_response


@pytest.mark.parametrize("text", ["false", "False", "0", "no", "OFF"])
def test_words_that_turn_off(text: str) -> None:
    assert not read(WICKETGATE_TEMPLATE_TOKENS=text).rules.template_tokens


@pytest.mark.parametrize("text", ["2", "y", "enabled", "tru", "\x00"])
def test_any_other_word_is_no_truth_value(text: str) -> None:
    assert "expected true or false" in mistake(WICKETGATE_TEMPLATE_TOKENS=text)


def test_impersonation_can_be_denied() -> None:
    assert not read(WICKETGATE_IMPERSONATION="deny").rules.impersonation


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("WICKETGATE_IMPERSONATION", "maybe", "allow or deny"),
        ("WICKETGATE_AZP_CHECK", "on", "off or if-present or required"),
        ("WICKETGATE_TRANSPORT", "http", "expected wire or grpcio"),
        ("WICKETGATE_LOG_LEVEL", "trace", "debug or info or warning or error"),
        ("WICKETGATE_DECISION_LOG", "none", "all or denied or off"),
        ("WICKETGATE_DECISION_DETAIL", "all", "standard or replay"),
    ],
)
def test_a_word_that_is_no_choice_is_refused(name: str, text: str, expected: str) -> None:
    assert expected in mistake(**{name: text})


def test_choices_are_read_in_any_case() -> None:
    settings = read(
        WICKETGATE_LOG_LEVEL="WARNING",
        WICKETGATE_DECISION_LOG="Denied",
        WICKETGATE_DECISION_DETAIL="REPLAY",
    )

    assert (settings.log_level, settings.decision_log) == (LogLevel.WARNING, DecisionLog.DENIED)
    assert settings.decision_detail is DecisionDetail.REPLAY


# --- numbers -----------------------------------------------------------------

LIMITS = [
    ("WICKETGATE_MAX_TOKEN_LIFETIME_SECONDS", 1, 315_360_000),
    ("WICKETGATE_CLOCK_SKEW_SECONDS", 0, 300),
    ("WICKETGATE_DRAIN_SECONDS", 0, 3_600),
    ("WICKETGATE_GRACE_SECONDS", 0, 3_600),
    ("WICKETGATE_JWKS_REFRESH_SECONDS", 1, 86_399),
    ("WICKETGATE_JWKS_COOLDOWN_SECONDS", 1, 3_600),
    ("WICKETGATE_JWKS_MAX_STALE_SECONDS", 301, 2_592_000),
    ("WICKETGATE_JWKS_WAIT_SECONDS", 0, 10),
    ("WICKETGATE_TOKEN_CACHE_SIZE", 0, 1_000_000),
]


@pytest.mark.parametrize(("name", "lowest", "highest"), LIMITS)
def test_limits_are_inclusive(name: str, lowest: int, highest: int) -> None:
    field = name.removeprefix("WICKETGATE_").lower()
    for number in (lowest, highest):
        settings = read(**{name: str(number)})
        in_rules = {
            "max_token_lifetime_seconds": settings.rules.max_lifetime_seconds,
            "clock_skew_seconds": settings.rules.skew_seconds,
        }
        assert in_rules.get(field, getattr(settings, field, None)) == number


@pytest.mark.parametrize(("name", "lowest", "highest"), LIMITS)
def test_numbers_beyond_the_limits_are_refused(name: str, lowest: int, highest: int) -> None:
    for number in (lowest - 1, highest + 1):
        assert name in mistake(**{name: str(number)})


@pytest.mark.parametrize("name", [name for name, _, _ in LIMITS])
@pytest.mark.parametrize(
    "text", ["nan", "inf", "-1", "+5", "1e1", "1_0", "5s", "0x5", "\u0665", "5.", ".5", "9" * 5000]
)
def test_whatever_is_not_plain_digits_is_no_number(name: str, text: str) -> None:
    assert f"{name} is " in mistake(**{name: text})


def test_seconds_may_have_a_fraction_and_counts_may_not() -> None:
    assert read(WICKETGATE_JWKS_WAIT_SECONDS="0.05").jwks_wait_seconds == 0.05
    assert "whole number" in mistake(WICKETGATE_TOKEN_CACHE_SIZE="10.5")


@pytest.mark.parametrize(
    ("text", "expected"), [("0", 0.0), ("1", 1.0), ("1.0", 1.0), ("0.05", 0.05), ("00.5", 0.5)]
)
def test_a_share_is_a_number_from_0_to_1(text: str, expected: float) -> None:
    assert expected == read(WICKETGATE_REPLAY_SHARE=text).replay_share


@pytest.mark.parametrize(
    "text", ["1.01", "2", "-0.5", "5%", ".5", "0.", "1e-3", "nan", "inf", "half", "\u0661"]
)
def test_what_is_no_share_is_refused(text: str) -> None:
    line = mistake(WICKETGATE_REPLAY_SHARE=text)

    assert line.startswith("WICKETGATE_REPLAY_SHARE is ")
    assert "expected a share from 0 to 1, such as 0.05" in line


def test_keys_must_live_longer_than_the_time_between_two_refreshes() -> None:
    longer = read(WICKETGATE_JWKS_REFRESH_SECONDS="60", WICKETGATE_JWKS_MAX_STALE_SECONDS="61")
    assert (longer.jwks_refresh_seconds, longer.jwks_max_stale_seconds) == (60, 61)

    line = mistake(WICKETGATE_JWKS_REFRESH_SECONDS="60", WICKETGATE_JWKS_MAX_STALE_SECONDS="60")

    assert line.startswith("WICKETGATE_JWKS_MAX_STALE_SECONDS is 60;")


# --- addresses ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9191", TcpAddress("127.0.0.1", 9191)),
        ("0.0.0.0:0", TcpAddress("0.0.0.0", 0)),
        ("localhost:65535", TcpAddress("localhost", 65_535)),
        ("[::1]:9191", TcpAddress("::1", 9191)),
        ("[::]:1", TcpAddress("::", 1)),
        ("unix:/run/gate.sock", UnixAddress("/run/gate.sock")),
        ("unix:/" + "a" * 106, UnixAddress("/" + "a" * 106)),
    ],
)
def test_an_address_is_read_and_written_alike(
    text: str, expected: TcpAddress | UnixAddress
) -> None:
    settings = read(WICKETGATE_AUTHZ_ADDRESS=text, WICKETGATE_ADMIN_ADDRESS=text)

    assert settings.authz_address == settings.admin_address == expected
    assert str(settings.authz_address) == text


@pytest.mark.parametrize(
    "text",
    [
        "9191",
        ":9191",
        "localhost",
        "localhost:",
        "localhost:65536",
        "localhost:-1",
        "localhost:080",
        "localhost:http",
        "::1:9191",
        "[::1]",
        "[::1",
        "[:::1]:9191",
        "[127.0.0.1]:9191",
        "256.0.0.1:9191",
        "a b:9191",
        "http://localhost:9191",
        "unix:",
        "unix:run/gate.sock",
        "unix:/run/",
        "unix:/run/\x00gate",
        "unix:/run/\udcff",
        "unix:/" + "a" * 107,
        "unix:/" + "é" * 54,
    ],
)
def test_what_cannot_be_listened_on_is_refused(text: str) -> None:
    assert mistake(WICKETGATE_AUTHZ_ADDRESS=text).startswith("WICKETGATE_AUTHZ_ADDRESS is ")
    assert mistake(WICKETGATE_ADMIN_ADDRESS=text).startswith("WICKETGATE_ADMIN_ADDRESS is ")


@given(st.from_regex(r"([a-z0-9.-]{1,12}|\[[0-9a-f:.]{1,12}\]):[0-9]{1,6}", fullmatch=True))
def test_an_accepted_address_is_always_written_as_it_was_read(text: str) -> None:
    try:
        accepted = address(text)
    except InvalidValueError:
        return

    assert str(accepted) == text


# --- TLS ---------------------------------------------------------------------

TLS = {
    "WICKETGATE_TLS_CERT_FILE": "tls.crt",
    "WICKETGATE_TLS_KEY_FILE": "tls.key",
    "WICKETGATE_TLS_CLIENT_CA_FILE": "ca.crt",
    "WICKETGATE_TLS_ALLOWED_SANS": "spiffe://mesh/envoy, envoy.example.com",
}


def test_tls_files_are_named_and_not_opened() -> None:
    assert read(**TLS).tls == TlsFiles(
        cert_file=Path("tls.crt"),
        key_file=Path("tls.key"),
        client_ca_file=Path("ca.crt"),
        allowed_sans=frozenset({"spiffe://mesh/envoy", "envoy.example.com"}),
    )


@pytest.mark.parametrize(
    ("given_names", "missing"),
    [
        (("CERT_FILE",), "KEY_FILE"),
        (("KEY_FILE",), "CERT_FILE"),
        (("CLIENT_CA_FILE",), "CERT_FILE"),
        (("ALLOWED_SANS",), "CLIENT_CA_FILE"),
        (("CERT_FILE", "KEY_FILE", "ALLOWED_SANS"), "CLIENT_CA_FILE"),
        (("CLIENT_CA_FILE", "ALLOWED_SANS"), "CERT_FILE"),
    ],
)
def test_half_of_tls_is_refused(given_names: tuple[str, ...], missing: str) -> None:
    names = [f"WICKETGATE_TLS_{name}" for name in given_names]

    line = mistake(**{name: TLS[name] for name in names})

    assert line.startswith(f"WICKETGATE_TLS_{missing} is not set, but ")


# --- files that are followed -------------------------------------------------

FILES = {
    "WICKETGATE_POLICY_FILE": "policy_file",
    "WICKETGATE_SERVICE_TOKENS_FILE": "service_tokens_file",
}


@pytest.mark.parametrize(("name", "field"), FILES.items())
@pytest.mark.parametrize("path", ["/etc/wicketgate/a b.yaml", "relative.yaml", "/no/where/é"])
def test_a_file_is_named_and_not_opened(name: str, field: str, path: str) -> None:
    assert getattr(read(**{name: f" {path}\n"}), field) == Path(path)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("path", ["a\nb", "a\x00b", "\ud800", "a\x1b[2J"])
def test_a_path_that_a_log_could_not_hold_is_refused(name: str, path: str) -> None:
    line = mistake(**{name: path})

    assert line.startswith(f"{name} is ")
    assert "expected the path of a file, in printable characters" in line


@pytest.mark.parametrize("process", Process)
def test_every_file_that_a_process_reads_is_followed(process: Process) -> None:
    """
    But for the one that it writes.
    """
    names = {
        name
        for each in settings_of(process)
        for name in ([each.file_name] if each.secret else [each.name])
        if name.endswith("_FILE") and name != "WICKETGATE_JWKS_CACHE_FILE"
    }
    environ = {name: f" /run/{name}\n" for name in names}

    assert set(files_of(environ, process)) == {Path(f"/run/{name}") for name in names}


def test_files_of_other_processes_and_those_that_are_not_named_are_not_followed() -> None:
    environ = {
        "SERVICE_AUTH_TOKEN": TOKEN,
        "SERVICE_AUTH_TOKEN_FILE": " ",
        "WICKETGATE_POLICY_FILE": "a\x00b",
        "CLERK_SECRET_KEY_FILE": "/run/key",
        "WICKETGATE_JWKS_CACHE_FILE": "/var/cache/jwks.json",
    }

    assert files_of(environ, Process.AUTHZ) == ()


# --- cookies and headers -----------------------------------------------------


def test_session_cookies_are_those_of_the_instance() -> None:
    settings = read(WICKETGATE_SESSION_COOKIES="true", CLERK_AUTHORIZED_PARTIES=ORIGIN)

    assert settings.cookies == CookieRules(
        frozenset({"__session", "__session_R4pxPy2l"}), frozenset({ORIGIN})
    )


def test_session_cookies_without_known_origins_are_refused() -> None:
    line = mistake(WICKETGATE_SESSION_COOKIES="true")

    assert line.startswith("CLERK_AUTHORIZED_PARTIES is not set")
    assert "CSRF" in line


def test_session_cookies_without_publishable_key_are_refused() -> None:
    (line,) = mistakes(
        {
            "CLERK_ISSUER": ISSUER,
            "CLERK_JWKS_URL": JWKS_URL,
            "CLERK_AUTHORIZED_PARTIES": ORIGIN,
            "WICKETGATE_SESSION_COOKIES": "true",
        }
    )

    assert line.startswith("CLERK_PUBLISHABLE_KEY is not set")


def test_aliases_are_lower_case_header_names() -> None:
    settings = read(WICKETGATE_IDENTITY_ALIASES="X-Clerk-User-Id, user_id,clerk-user-id")

    assert settings.identity_aliases == ("x-clerk-user-id", "user_id", "clerk-user-id")


@pytest.mark.parametrize(
    "name",
    [
        "clerk_user_id",
        "Clerk_User_Id",
        "wicketgate-principal",
        "wicketgate_principal",
        "Authorization",
        "cookie",
        "host",
        "content-length",
        "transfer_encoding",
        ":path",
        "x user",
        "x.user",
        "x:y",
        "x\r\ny",
        "ünser",
        "a" * 65,
        "a-b-c-d-e-f-g-h",
    ],
)
def test_a_header_that_cannot_carry_the_user_id_is_refused(name: str) -> None:
    assert "WICKETGATE_IDENTITY_ALIASES is " in mistake(WICKETGATE_IDENTITY_ALIASES=name)


# --- the cache file ----------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"HOME": "/home/me"}, Path("/home/me/.cache/wicketgate/jwks.json")),
        (
            {"HOME": "/home/me", "XDG_CACHE_HOME": "/cache"},
            Path("/cache/wicketgate/jwks.json"),
        ),
        (
            {"HOME": "/home/me", "XDG_CACHE_HOME": "cache"},
            Path("/home/me/.cache/wicketgate/jwks.json"),
        ),
        ({"HOME": "/home/\x00"}, None),
        ({"HOME": "/home/me", "WICKETGATE_JWKS_CACHE_FILE": "keys.json"}, Path("keys.json")),
        ({"HOME": "/home/me", "WICKETGATE_JWKS_CACHE_FILE": "off"}, None),
    ],
)
def test_where_the_last_good_keys_are_kept(environ: dict[str, str], expected: Path | None) -> None:
    assert read(**environ).jwks_cache_file == expected


# --- secrets -----------------------------------------------------------------


@pytest.mark.parametrize(
    "token", ["short", "a.b." + TOKEN, f"{TOKEN[:20]} {TOKEN[20:]}", TOKEN + "é"]
)
def test_a_bad_service_token_is_refused_without_being_quoted(token: str) -> None:
    line = mistake(SERVICE_AUTH_TOKEN=f"{TOKEN},{token}")

    assert line.startswith("SERVICE_AUTH_TOKEN item 2 has ")
    assert token not in line
    assert TOKEN not in line


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN},{OTHER_TOKEN}\r\n")
    (tmp_path / "pem").write_text(PEM)

    settings = read(
        SERVICE_AUTH_TOKEN_FILE=str(tmp_path / "token"), CLERK_JWT_KEY_FILE=str(tmp_path / "pem")
    )

    assert settings.service_tokens == (TOKEN, OTHER_TOKEN)
    assert settings.pem_keys == KeySet.from_pem(PEM)


def test_a_secret_and_its_file_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    line = mistake(SERVICE_AUTH_TOKEN=TOKEN, SERVICE_AUTH_TOKEN_FILE=str(tmp_path / "token"))

    assert line.startswith("SERVICE_AUTH_TOKEN is set, and so is SERVICE_AUTH_TOKEN_FILE;")


def test_an_empty_secret_leaves_the_word_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    settings = read(SERVICE_AUTH_TOKEN="", SERVICE_AUTH_TOKEN_FILE=str(tmp_path / "token"))

    assert settings.service_tokens == (TOKEN,)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff" * 40, "not UTF-8"),
        (b"a" * (MAX_SECRET_BYTES + 1), "too large"),
        (b"hunter2", "SERVICE_AUTH_TOKEN (from SERVICE_AUTH_TOKEN_FILE) has 7 characters"),
    ],
)
def test_a_file_without_a_secret_is_one_clear_line(
    content: bytes, why: str, tmp_path: Path
) -> None:
    (tmp_path / "token").write_bytes(content)
    line = mistake(SERVICE_AUTH_TOKEN_FILE=str(tmp_path / "token"))

    assert why in line
    assert "hunter2" not in line


@pytest.mark.parametrize("path", ["/nowhere/at-all", "/", TOKEN, "a\x00b", "\ud800", "x" * 5000])
def test_an_unreadable_file_is_one_clear_line_that_does_not_repeat_the_path(path: str) -> None:
    """
    The token itself is easily pasted where its file's path belongs.
    """
    line = mistake(SERVICE_AUTH_TOKEN_FILE=path)

    assert line.startswith("SERVICE_AUTH_TOKEN_FILE ")
    assert path not in line.removeprefix("SERVICE_AUTH_TOKEN_FILE") or path == "/"


def test_the_settings_do_not_show_their_secrets() -> None:
    shown = repr(read(SERVICE_AUTH_TOKEN=f"{TOKEN},{OTHER_TOKEN}", CLERK_JWT_KEY=PEM))

    assert TOKEN not in shown
    assert OTHER_TOKEN not in shown
    assert "KeySet" not in shown
    assert ISSUER in shown


@pytest.mark.parametrize(
    "value", ["sk_live_hunter2", "whsec_hunter2", "https://u:hunter2@x", PEM.replace("\n", " ")]
)
def test_a_secret_in_the_wrong_variable_is_not_repeated(value: str) -> None:
    line = mistake(WICKETGATE_LOG_LEVEL=value)

    assert "hunter2" not in line
    assert "MII" not in line


# --- webhooks ----------------------------------------------------------------


def webhooks(**changes: str) -> WebhooksSettings:
    return WebhooksSettings.from_environ(COMPLETE[Process.WEBHOOKS] | changes)


def webhooks_mistake(**changes: str) -> str:
    """Return the one line about the complete settings with these changes."""
    (line,) = mistakes(COMPLETE[Process.WEBHOOKS] | changes, Process.WEBHOOKS)
    return line


def test_defaults_of_the_receiver_are_those_of_the_documentation() -> None:
    settings = webhooks()

    assert settings.signing_secrets == (SIGNING_SECRET,)
    assert settings.instance_id is None
    assert (settings.database_url, settings.database_schema) == (DATABASE_URL, "wicketgate")
    assert settings.pool_size == 8
    assert str(settings.webhooks_address) == "127.0.0.1:8080"
    assert str(settings.admin_address) == "127.0.0.1:9465"
    assert settings.path == "/webhooks/clerk"
    assert not settings.organizations
    assert settings.retention_days == 30
    assert (settings.drain_seconds, settings.grace_seconds) == (3, 5)
    assert settings.log_level is LogLevel.INFO


def test_both_processes_can_run_on_one_host() -> None:
    ours, theirs = read(), webhooks()

    assert len({ours.admin_address, ours.authz_address, theirs.admin_address}) == 3
    assert theirs.webhooks_address != theirs.admin_address


def test_there_may_be_several_signing_secrets() -> None:
    settings = webhooks(
        CLERK_WEBHOOK_SIGNING_SECRET=f"{SIGNING_SECRET}, {OTHER_SIGNING_SECRET},{SIGNING_SECRET}"
    )

    assert settings.signing_secrets == (SIGNING_SECRET, OTHER_SIGNING_SECRET)


def test_signing_secrets_and_the_database_may_be_in_files(tmp_path: Path) -> None:
    secrets, url = tmp_path / "secrets", tmp_path / "url"
    secrets.write_text(f"{SIGNING_SECRET},{OTHER_SIGNING_SECRET}\n")
    url.write_text(f"{DATABASE_URL}\n")

    settings = WebhooksSettings.from_environ(
        {"CLERK_WEBHOOK_SIGNING_SECRET_FILE": str(secrets), "DATABASE_URL_FILE": str(url)}
    )

    assert settings.signing_secrets == (SIGNING_SECRET, OTHER_SIGNING_SECRET)
    assert settings.database_url == DATABASE_URL


@pytest.mark.parametrize(
    ("secret", "complaint"),
    [
        ("whpk_" + SIGNING_SECRET[6:], "begins with whpk_"),
        (SIGNING_SECRET[6:], "does not begin with whsec_"),
        (SIGNING_SECRET[:-1], "is not base64"),
        (f"{SIGNING_SECRET[:20]}-{SIGNING_SECRET[21:]}", "has - or _"),
        (f"{SIGNING_SECRET[:20]} {SIGNING_SECRET[20:]}", "has a space"),
        (f"{SIGNING_SECRET},{SIGNING_SECRET[:-4]}", "item 2 holds 21 bytes"),
    ],
)
def test_a_spoilt_signing_secret_is_refused_and_never_quoted(secret: str, complaint: str) -> None:
    line = webhooks_mistake(CLERK_WEBHOOK_SIGNING_SECRET=secret)

    assert complaint in line
    assert SIGNING_SECRET[7:19] not in line


@pytest.mark.parametrize(
    "url",
    [
        DATABASE_URL,
        "postgres://localhost/users",
        "postgresql:///users?host=/run/postgresql",
        "postgresql://wicketgate:x%40hunter2@db/users?application_name=a@b/c",
        "postgresql://wicketgate:hunter2?x@db/users",
        "postgresql://a:1,b:2/users?target_session_attrs=read-write",
    ],
)
def test_a_database_is_where_libpq_finds_it(url: str) -> None:
    assert webhooks(DATABASE_URL=url).database_url == url


@pytest.mark.parametrize(
    "url",
    [
        "mysql://wicketgate:hunter2@db/users",
        "db.example.com/hunter2",
        "host=db password=hunter2",
        "postgresql+psycopg://wicketgate:hunter2@db/users",
        "postgresql://wicketgate:x@hunter2@db/users",
        "postgresql://wicketgate:hunter2/x@db/users",
        "postgresql://wicketgate:x@hunter2/x@db/users",
        "postgresql://wicketgate:x?x@hunter2@db/users",
        "POSTGRESQL://wicketgate:hunter2@db/users",
        "postgresql://",
        "postgresql://wicketgate:hunter2 @db/users",
        "postgresql://wicketgate:hunter2é@db/users",
    ],
)
def test_any_other_database_is_refused_and_never_quoted(url: str) -> None:
    line = webhooks_mistake(DATABASE_URL=url)

    assert line.startswith("DATABASE_URL is not the URL of a Postgres database")
    assert "hunter2" not in line


@pytest.mark.parametrize("schema", ["clerk", "_x", "a1_", "x" * 63])
def test_a_schema_is_a_plain_name(schema: str) -> None:
    assert webhooks(WICKETGATE_DATABASE_SCHEMA=schema).database_schema == schema


@pytest.mark.parametrize(
    "schema",
    ["Clerk", "1a", "a-b", "a.b", 'a"b', "x" * 64, "é", "pg_users", "information_schema"],
)
def test_a_schema_that_needs_quotes_or_is_postgres_own_is_refused(schema: str) -> None:
    line = webhooks_mistake(WICKETGATE_DATABASE_SCHEMA=schema)

    assert line.startswith("WICKETGATE_DATABASE_SCHEMA is ")


@pytest.mark.parametrize("path", ["/webhooks/clerk", "/w", "/a.b/c_d-e/9"])
def test_a_path_is_spelled_in_one_way(path: str) -> None:
    assert webhooks(WICKETGATE_WEBHOOKS_PATH=path).path == path


@pytest.mark.parametrize(
    "path",
    ["webhooks", "/", "/a/", "//a", "/a//b", "/a/../b", "/.", "/a%20b", "/a?b", "/a#b", "/é", "*"],
)
def test_a_path_with_several_spellings_is_refused(path: str) -> None:
    with pytest.raises(InvalidValueError, match="expected a path such as /webhooks/clerk"):
        url_path(path)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("WICKETGATE_DATABASE_POOL_SIZE", ["1", "1000"], ["0", "1001", "-1", "8.0", "eight"]),
        ("WICKETGATE_DELIVERY_RETENTION_DAYS", ["1", "3650"], ["0", "3651", "1.5", "ever"]),
    ],
)
def test_counts_have_limits(name: str, good: list[str], bad: list[str]) -> None:
    for text in good:
        webhooks(**{name: text})
    for text in bad:
        assert webhooks_mistake(**{name: text}).startswith(f"{name} is '{text}'")


@pytest.mark.parametrize("instance", ["ins_", "ins-1", "2xKA", "ins_" + "x" * 65, "ins_é"])
def test_an_instance_has_an_id(instance: str) -> None:
    line = webhooks_mistake(CLERK_INSTANCE_ID=instance)

    assert line.startswith("CLERK_INSTANCE_ID is ")


def test_the_settings_of_the_receiver_do_not_show_their_secrets() -> None:
    shown = repr(webhooks())

    assert SIGNING_SECRET not in shown
    assert "hunter2" not in shown
    assert "/webhooks/clerk" in shown


# --- migrate and sync --------------------------------------------------------


def sync(**changes: str) -> SyncSettings:
    return SyncSettings.from_environ(COMPLETE[Process.SYNC] | changes)


def test_defaults_of_migrate_and_sync_are_those_of_the_documentation() -> None:
    tables = MigrateSettings.from_environ(COMPLETE[Process.MIGRATE])
    settings = sync()

    assert (tables.database_url, tables.database_schema) == (DATABASE_URL, "wicketgate")
    assert tables.token_life_seconds is None
    assert (settings.database_url, settings.database_schema) == (DATABASE_URL, "wicketgate")
    assert settings.secret_key == SECRET_KEY
    assert settings.api_url == "https://api.clerk.com"
    assert settings.instance_id is None


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        (KEY, "is a publishable key"),
        ("sk_prod_hunter2hunter2", "is not a secret key"),
        ("sk_test_", "is not a secret key"),
        ("hunter2hunter2", "is not a secret key"),
        ("sk_live_hunter2 hunter2", "is not a secret key"),
    ],
)
def test_a_key_that_opens_nothing_is_refused_and_never_quoted(key: str, complaint: str) -> None:
    (line,) = mistakes(COMPLETE[Process.SYNC] | {"CLERK_SECRET_KEY": key}, Process.SYNC)

    assert line.startswith(f"CLERK_SECRET_KEY {complaint}")
    assert "hunter2" not in line
    assert key not in line.partition("; expected")[0] or key == "sk_test_"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.clerk.com", "https://api.clerk.com"),
        ("https://api.clerk.com/", "https://api.clerk.com"),
        ("http://127.0.0.1:8081", "http://127.0.0.1:8081"),
        ("http://localhost:8081/clerk/", "http://localhost:8081/clerk"),
    ],
)
def test_the_api_is_asked_over_https_or_on_this_machine(url: str, expected: str) -> None:
    assert expected == sync(CLERK_API_URL=url).api_url


@pytest.mark.parametrize(
    "url",
    [
        "http://api.clerk.com",
        "http://127.0.0.1.example.com",
        "ftp://api.clerk.com",
        "https://api.clerk.com?x",
        "https://api.clerk.com#x",
        "https://me:hunter2@api.clerk.com",
        "api.clerk.com",
    ],
)
def test_the_api_is_asked_nowhere_else(url: str) -> None:
    (line,) = mistakes(COMPLETE[Process.SYNC] | {"CLERK_API_URL": url}, Process.SYNC)

    assert line.startswith("CLERK_API_URL ")
    assert "hunter2" not in line


def test_migrate_is_told_the_life_of_tokens_as_the_gate_is() -> None:
    name = "WICKETGATE_MAX_TOKEN_LIFETIME_SECONDS"
    environ = COMPLETE[Process.MIGRATE]

    assert MigrateSettings.from_environ(environ | {name: "60"}).token_life_seconds == 60
    (line,) = mistakes(environ | {name: "0"}, Process.MIGRATE)
    assert line.startswith(f"{name} is '0'; expected seconds from 1 to 315360000")


def test_the_settings_of_migrate_and_sync_do_not_show_their_secrets() -> None:
    shown = repr(sync()) + repr(MigrateSettings.from_environ(COMPLETE[Process.MIGRATE]))
    shown += repr(DatabaseSettings.from_environ(COMPLETE[Process.REVOKE]))

    assert SECRET_KEY not in shown
    assert "hunter2" not in shown


# --- problem types -----------------------------------------------------------

TYPE_BASE_SETTING = "WICKETGATE_PROBLEM_TYPE_BASE"


def test_problem_types_are_a_urn_unless_told_otherwise() -> None:
    assert read().problem_type_base == "urn:wicketgate:reason:"
    assert read(**{TYPE_BASE_SETTING: ""}).problem_type_base == "urn:wicketgate:reason:"


@pytest.mark.parametrize(
    "base",
    [
        "https://docs.example.com/wicketgate/reasons#",
        "https://docs.example.com/~ann/reasons/",
        "https://docs.example.com/help?reason=",
        "http://localhost:8000/reasons#",
    ],
)
def test_problem_types_begin_as_told(base: str) -> None:
    assert read(**{TYPE_BASE_SETTING: base}).problem_type_base == base


@pytest.mark.parametrize(
    ("base", "complaint"),
    [
        ("/reasons#", "which is not a URL"),
        ("urn:wicketgate:reason:", "which is not a URL"),
        ("javascript:alert(1)//#", "which is not a URL"),
        ("https://docs.example.com/reasons", "which ends with none of # / ="),
        ("https://docs.example.com/reasons.html", "which ends with none of # / ="),
        ("http://docs.example.com/reasons#", "expected the https:// URL"),
        ("ftp://docs.example.com/reasons/", "expected the https:// URL"),
        ("https://me:hunter2@docs.example.com/reasons#", "has a user name or password in it"),
        ('https://docs.example.com/"},{"/', "which is no URI"),
        (f"https://docs.example.com/{'a' * 500}/", "which is no URI"),
    ],
)
def test_a_link_that_would_lead_nowhere_is_refused(base: str, complaint: str) -> None:
    line = mistake(**{TYPE_BASE_SETTING: base})

    assert line.startswith(f"{TYPE_BASE_SETTING} ")
    assert complaint in line
    assert "hunter2" not in line


# --- unknown variables -------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("WICKETGATE_AUTHZ_ADRESS", "WICKETGATE_AUTHZ_ADDRESS"),
        ("WICKETGATE_LOGLEVEL", "WICKETGATE_LOG_LEVEL"),
        ("WICKETGATE_log_level", "WICKETGATE_LOG_LEVEL"),
        ("WICKETGATE_DRAIN_SECOND", "WICKETGATE_DRAIN_SECONDS"),
    ],
)
def test_a_slip_of_the_pen_is_answered_with_the_right_name(name: str, meant: str) -> None:
    assert f"did you mean {meant}?" in mistake(**{name: "1"})


@pytest.mark.parametrize("name", ["WICKETGATE_RATE_LIMIT", "WICKETGATE_", "WICKETGATE_\x1b[2J"])
def test_a_name_that_resembles_nothing_is_refused_without_a_guess(name: str) -> None:
    line = mistake(**{name: "1"})

    assert "is not a setting of this version" in line
    assert line.isprintable()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("WICKETGATE_WEBHOOKS_ADDRESS", "127.0.0.1:8080"),
        ("WICKETGATE_SERVICE_HOST", "10.0.0.1"),
        ("WICKETGATE_SERVICE_PORT", "9191"),
        ("WICKETGATE_SERVICE_PORT_GRPC", "9191"),
        ("WICKETGATE_PORT", "tcp://10.0.0.1:9191"),
        ("WICKETGATE_PORT_9191_TCP", "tcp://10.0.0.1:9191"),
        ("WICKETGATE_AUTHZ_PORT_9191_TCP_ADDR", "10.0.0.1"),
        ("WICKETGATE_AUTHZ_SERVICE_HOST", "10.0.0.1"),
        ("OTHER_PROGRAM", "anything"),
    ],
)
def test_variables_of_others_are_left_alone(name: str, text: str) -> None:
    """
    Among them Kubernetes' own, for a Service that is called wicketgate.
    """
    assert read(**{name: text}) == read()


@pytest.mark.parametrize("name", ["WICKETGATE_PORT", "WICKETGATE_AUTHZ_PORT"])
def test_a_port_of_the_operators_own_invention_is_refused(name: str) -> None:
    assert mistake(**{name: "9191"}).startswith(f"{name} is not a setting")


# --- first sight -------------------------------------------------------------

OFF, ASYNC, SYNC = FirstSightMode


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, FirstSightSettings(OFF, tells_ids=False)),
        ({"WICKETGATE_FIRST_SIGHT": "off"}, FirstSightSettings(OFF, tells_ids=False)),
        ({"WICKETGATE_FIRST_SIGHT": "Async"}, FirstSightSettings(ASYNC, tells_ids=False)),
        (
            {"WICKETGATE_FIRST_SIGHT": "sync", "WICKETGATE_USER_ID_HEADER": "true"},
            FirstSightSettings(SYNC, tells_ids=True),
        ),
    ],
)
def test_first_sight_is_what_was_asked_for(
    changes: dict[str, str], expected: FirstSightSettings
) -> None:
    assert expected == read(DATABASE_URL=DATABASE_URL, **changes).first_sight


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"WICKETGATE_FIRST_SIGHT": "sync"},
            "DATABASE_URL is not set, but WICKETGATE_FIRST_SIGHT is sync; expected ",
        ),
        (
            {"WICKETGATE_FIRST_SIGHT": "on", "WICKETGATE_USER_ID_HEADER": "true"},
            "WICKETGATE_FIRST_SIGHT is 'on'; expected off or async or sync",
        ),
        (
            {"WICKETGATE_USER_ID_HEADER": "true"},
            "WICKETGATE_FIRST_SIGHT is off, but WICKETGATE_USER_ID_HEADER is on; expected ",
        ),
        (
            {
                "DATABASE_URL": DATABASE_URL,
                "WICKETGATE_FIRST_SIGHT": "async",
                "WICKETGATE_USER_ID_HEADER": "true",
                "WICKETGATE_IDENTITY_ALIASES": "x-clerk-user-id,X_User-Id",
            },
            "WICKETGATE_IDENTITY_ALIASES names x-user-id, which carries another id ",
        ),
    ],
)
def test_first_sight_without_what_it_needs_is_refused(
    changes: dict[str, str], complaint: str
) -> None:
    assert mistake(**changes).startswith(complaint)


def test_an_alias_may_have_the_name_as_long_as_nothing_else_does() -> None:
    assert read(WICKETGATE_IDENTITY_ALIASES="x-user-id").identity_aliases == ("x-user-id",)


# --- revocations -------------------------------------------------------------

OTHER_DATABASE_URL = "postgresql://gate:hunter2@primary.example.com:5432/users"


def revocation_settings(
    database_url: str | None = None,
    max_stale_seconds: float | None = None,
    start_wait_seconds: float = 10,
) -> RevocationSettings:
    return RevocationSettings(
        database_url=database_url,
        max_stale_seconds=max_stale_seconds,
        start_wait_seconds=start_wait_seconds,
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, revocation_settings()),
        ({"DATABASE_URL": DATABASE_URL}, revocation_settings(DATABASE_URL)),
        (
            {"WICKETGATE_REVOCATION_DATABASE_URL": DATABASE_URL},
            revocation_settings(DATABASE_URL),
        ),
        (
            {
                "DATABASE_URL": DATABASE_URL,
                "WICKETGATE_REVOCATION_DATABASE_URL": OTHER_DATABASE_URL,
            },
            revocation_settings(OTHER_DATABASE_URL),
        ),
        (
            {"DATABASE_URL": DATABASE_URL, "WICKETGATE_REVOCATION_DATABASE_URL": "Off"},
            revocation_settings(),
        ),
        (
            {
                "DATABASE_URL": DATABASE_URL,
                "WICKETGATE_REVOCATION_MAX_STALE": "5",
                "WICKETGATE_REVOCATION_START_WAIT": "0",
            },
            revocation_settings(DATABASE_URL, 5, 0),
        ),
    ],
)
def test_revocations_are_read_where_they_were_said_to_be(
    changes: dict[str, str], expected: RevocationSettings
) -> None:
    assert expected == read(**changes).revocations


def test_the_url_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(f"{OTHER_DATABASE_URL}\n")
    settings = read(DATABASE_URL=DATABASE_URL, WICKETGATE_REVOCATION_DATABASE_URL_FILE=str(file))

    assert settings.revocations == revocation_settings(OTHER_DATABASE_URL)
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"WICKETGATE_REVOCATION_MAX_STALE": "60"},
            "WICKETGATE_REVOCATION_DATABASE_URL is not set, and neither is DATABASE_URL, but ",
        ),
        (
            {
                "DATABASE_URL": DATABASE_URL,
                "WICKETGATE_REVOCATION_DATABASE_URL": "off",
                "WICKETGATE_REVOCATION_MAX_STALE": "60",
            },
            "WICKETGATE_REVOCATION_DATABASE_URL is off, but ",
        ),
        (
            {"DATABASE_URL": DATABASE_URL, "WICKETGATE_REVOCATION_MAX_STALE": ""},
            "WICKETGATE_REVOCATION_MAX_STALE is set and empty; ",
        ),
        (
            {"DATABASE_URL": DATABASE_URL, "WICKETGATE_REVOCATION_MAX_STALE": "4.9"},
            "WICKETGATE_REVOCATION_MAX_STALE is '4.9'; expected seconds from 5 to 86400",
        ),
        (
            {"WICKETGATE_REVOCATION_START_WAIT": "-1"},
            "WICKETGATE_REVOCATION_START_WAIT is '-1'; expected seconds from 0 to 3600",
        ),
        (
            {"WICKETGATE_REVOCATION_DATABASE_URL": "none"},
            "WICKETGATE_REVOCATION_DATABASE_URL is not the URL of a Postgres database ",
        ),
        # One mistake, and not also the absence of a value.
        ({"DATABASE_URL": "none"}, "DATABASE_URL is not the URL of a Postgres database "),
    ],
)
def test_revocations_that_could_not_be_followed_are_refused(
    changes: dict[str, str], complaint: str
) -> None:
    assert mistake(**changes).startswith(complaint)


# --- whatever the environment holds ------------------------------------------

NAMES = sorted({name for each in SETTINGS for name in (each.name, each.file_name)})
SECRETS = {
    "SERVICE_AUTH_TOKEN": TOKEN,
    "CLERK_JWT_KEY": PEM,
    "CLERK_WEBHOOK_SIGNING_SECRET": SIGNING_SECRET,
    "DATABASE_URL": DATABASE_URL,
    "WICKETGATE_REVOCATION_DATABASE_URL": OTHER_DATABASE_URL,
    "CLERK_SECRET_KEY": SECRET_KEY,
}


def check_nothing_else_escapes(environ: dict[str, str], *secrets: str) -> None:
    for process in Process:
        lines: tuple[str, ...]
        try:
            lines = (repr(READERS[process](environ)),)
        except ConfigurationError as error:
            lines = error.mistakes
        shown = "\n".join(lines)
        assert shown
        assert all(line.isprintable() for line in lines)
        assert not [secret for secret in secrets if secret in shown]


@given(st.sampled_from(NAMES), st.text(st.characters()))
@example("WICKETGATE_AUTHZ_ADDRESS", "unix:/\ud800")
@example("SERVICE_AUTH_TOKEN_FILE", "\ud800")
@example("CLERK_PUBLISHABLE_KEY", "pk_test_\udcff")
@example("CLERK_ISSUER", "https://[::1%]")
def test_one_hostile_value_is_refused_or_harmless(name: str, text: str) -> None:
    """
    Starting from valid settings with secrets, one variable is spoilt.
    """
    environ = {"WICKETGATE_SESSION_COOKIES": "true"} | EVERYTHING | SECRETS | {name: text}

    check_nothing_else_escapes(environ, *SECRETS.values())


@given(
    st.dictionaries(
        st.sampled_from(NAMES) | st.text(st.characters()).map("WICKETGATE_".__add__),
        st.sampled_from(["", ",", "true", "1", KEY, ISSUER, ORIGIN, "off"])
        | st.text(st.characters()),
    )
)
def test_any_environment_makes_settings_or_a_configuration_error(
    environ: dict[str, str],
) -> None:
    check_nothing_else_escapes(environ)


@given(
    st.sampled_from(sorted(SECRETS)),
    st.sampled_from(["", "_FILE"]),
    st.text(st.characters(), max_size=40),
    st.text(st.characters(), max_size=40),
)
def test_no_spoilt_secret_is_ever_shown(name: str, twin: str, before: str, after: str) -> None:
    marked = "hunter2-correct-horse-battery-staple"

    check_nothing_else_escapes(MINIMAL | {name + twin: f"{before}{marked}{after}"}, marked)


@given(st.text(st.characters()) | st.from_regex(r"[a-z]{1,6}://[!-~]{0,30}", fullmatch=True))
def test_an_accepted_origin_is_kept_as_it_is(text: str) -> None:
    try:
        accepted = origin(text)
    except InvalidValueError:
        return

    assert accepted == text == text.lower()


# --- the table ---------------------------------------------------------------


def test_the_table_has_one_whole_row_for_each_setting() -> None:
    head, rule, *rows = settings_table().splitlines()

    assert head == "| variable | process | meaning | default |"
    assert rule == "|---|---|---|---|"
    assert len(rows) == len(SETTINGS)
    assert all(row.count("|") == 5 for row in rows)
    assert all(f"`{each.name}`" in row for each, row in zip(SETTINGS, rows, strict=True))


def test_the_table_names_the_twins_of_secrets_only() -> None:
    table = settings_table()

    assert "`SERVICE_AUTH_TOKEN_FILE`" in table
    assert "`DATABASE_URL_FILE` | authz, webhooks, migrate, sync, revoke, revocations |" in table
    assert "`CLERK_ISSUER_FILE`" not in table


def test_every_setting_is_read_by_somebody() -> None:
    assert [each.name for each in SETTINGS if not each.processes] == []


def test_no_setting_is_listed_twice() -> None:
    names = [each.name for each in SETTINGS]

    assert sorted(set(names)) == sorted(names)


# --- traces --------------------------------------------------------------------

COLLECTOR = "http://collector:4318/v1/traces"


def traces(**changes: str) -> TraceSettings:
    settings = read(WICKETGATE_TRACES_ENDPOINT=COLLECTOR, **changes).traces
    assert settings is not None
    return settings


def test_without_a_collector_nothing_of_opentelemetry_is_looked_at() -> None:
    """
    Others read these variables as well, and a gate that tells no traces has no word in them.
    """
    assert read().traces is None
    assert read(OTEL_SERVICE_NAME="\x01", OTEL_RESOURCE_ATTRIBUTES="rubbish").traces is None


@pytest.mark.parametrize(
    "url",
    [
        COLLECTOR,
        "https://otlp.example.com/v1/traces",
        "http://127.0.0.1:4318/v1/traces",
        "http://[::1]:4318/v1/traces?tenant=a",
        "https://otlp.example.com:443/otlp",
    ],
)
def test_a_collector_may_be_anywhere(url: str) -> None:
    settings = read(WICKETGATE_TRACES_ENDPOINT=url).traces

    assert settings is not None
    assert url == settings.endpoint


@pytest.mark.parametrize(
    "url",
    [
        "collector:4318",
        "collector",
        "grpc://collector:4317/v1/traces",
        "file:///v1/traces",
        "http://collector:4318",
        "http://collector:4318/",
        "http://collector:4318?v1/traces",
        "http://collector:4318/v1/traces#x",
        "http://collector:99999/v1/traces",
        "http:///v1/traces",
        "rubbish",
    ],
)
def test_what_takes_no_traces_is_one_clear_line(url: str) -> None:
    line = mistake(WICKETGATE_TRACES_ENDPOINT=url)

    assert line.startswith("WICKETGATE_TRACES_ENDPOINT is ")
    assert line.endswith("for example WICKETGATE_TRACES_ENDPOINT=http://collector:4318/v1/traces")


def test_a_password_in_the_collector_s_url_is_refused_without_being_quoted() -> None:
    line = mistake(WICKETGATE_TRACES_ENDPOINT="https://me:hunter2@otlp.example.com/v1/traces")

    assert "has a user name or password in it" in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("api-key=abc", {"api-key": "abc"}),
        (
            "authorization=Basic%20YTpi%3D, x-tenant = one ",
            {"authorization": "Basic YTpi=", "x-tenant": "one"},
        ),
        ("authorization=Bearer abc=", {"authorization": "Bearer abc="}),
        ("a=%2C", {"a": ","}),
    ],
)
def test_headers_for_a_collector_are_written_as_opentelemetry_does(
    text: str, expected: dict[str, str]
) -> None:
    assert expected == traces(WICKETGATE_TRACES_HEADERS=text).headers


@pytest.mark.parametrize(
    "text",
    [
        "hunter2",
        "hunter2=",
        "=hunter2",
        "a=hunter2,",
        "a=hunter2,a=b",
        "a b=hunter2",
        "a=hunter2%0d%0Ax: y",
        "a=hunter2%ff",
        "a=hunter2%20",
        "a=hunter2\u00e9",
        "host=hunter2",
        "Content-Type=hunter2",
        ",".join(f"h{number}=hunter2" for number in range(65)),
    ],
)
def test_what_is_no_header_is_refused_and_never_quoted(text: str) -> None:
    line = mistake(WICKETGATE_TRACES_ENDPOINT=COLLECTOR, WICKETGATE_TRACES_HEADERS=text)

    assert line.startswith("WICKETGATE_TRACES_HEADERS ")
    assert "expected" in line
    assert "hunter2" not in line


def test_headers_without_a_collector_are_refused() -> None:
    line = mistake(WICKETGATE_TRACES_HEADERS="api-key=hunter2")

    assert line.startswith(
        "WICKETGATE_TRACES_ENDPOINT is not set, but WICKETGATE_TRACES_HEADERS is"
    )
    assert "hunter2" not in line


def test_headers_of_a_collector_are_not_shown_and_may_be_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "headers"
    secret.write_text("api-key=hunter2\n")
    settings = read(
        WICKETGATE_TRACES_ENDPOINT=COLLECTOR, WICKETGATE_TRACES_HEADERS_FILE=str(secret)
    )

    assert settings.traces is not None
    assert settings.traces.headers == {"api-key": "hunter2"}
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"service.name": "wicketgate-authz"}),
        ({"OTEL_SERVICE_NAME": "edge"}, {"service.name": "edge"}),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=mine"}, {"service.name": "mine"}),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "service.name=mine", "OTEL_SERVICE_NAME": "edge"},
            {"service.name": "edge"},
        ),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "k8s.pod.name=a-0, team = caf%C3%A9%2C1"},
            {"k8s.pod.name": "a-0", "team": "caf\u00e9,1", "service.name": "wicketgate-authz"},
        ),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "empty="},
            {"empty": "", "service.name": "wicketgate-authz"},
        ),
    ],
)
def test_spans_come_from_what_opentelemetry_s_variables_say(
    changes: dict[str, str], expected: dict[str, str]
) -> None:
    assert expected == traces(**changes).resource


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("OTEL_SERVICE_NAME", "a\nb"),
        ("OTEL_SERVICE_NAME", "a" * 257),
        ("OTEL_RESOURCE_ATTRIBUTES", "rubbish"),
        ("OTEL_RESOURCE_ATTRIBUTES", "=a"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=b,"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=b,a=c"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a b=c"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=%ff"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=%0a"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=" + "b" * 257),
        ("OTEL_RESOURCE_ATTRIBUTES", ",".join(f"a{number}=b" for number in range(65))),
    ],
)
def test_what_spans_cannot_come_from_is_refused(name: str, text: str) -> None:
    line = mistake(WICKETGATE_TRACES_ENDPOINT=COLLECTOR, **{name: text})

    assert line.startswith(f"{name} ")
    assert "expected" in line
