"""`wicketgate explain-token`: the gate's own verdict, step by step, and nothing that is secret."""

import io
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.mutations import MUTATIONS, REQUIRED, Mint, Mutation
from hostile_jwks import HostileJwks, answer
from tokens import (
    BILLING_TOKEN,
    ISSUER,
    NOW,
    SERVICE_TOKEN,
    billing_token,
    clerk,
    decision_on,
    judge,
    keys,
    refusal,
    request,
    rules,
    stranger_key,
    token,
    valid_token,
)
from wicketgate.adapters.jwks_file import KeyFile
from wicketgate.app.token_material import find_keys
from wicketgate.cli import main
from wicketgate.core.claims import Claims, TokenRules
from wicketgate.core.keys import KeySet
from wicketgate.core.reason import ANSWERS, Reason
from wicketgate.core.revocation import Revocations
from wicketgate.core.service_token import ServiceTokens
from wicketgate.core.token import MissingKey, TokenVerifier
from wicketgate.errors import ConfigurationError
from wicketgate.settings import AuthzSettings
from wicketgate.tools.token_report import document_of
from wicketgate.tools.token_saw import ExplainedToken
from wicketgate.tools.token_trace import Check, Result, Trace, failed_check, trace_of
from wicketgate.tools.token_view import view_of

AT: Final = str(int(NOW))
SETTINGS: Final = ("CLERK_", "WICKETGATE_", "DATABASE_", "SERVICE_AUTH_")
NO_SERVICES: Final = ServiceTokens()


def traced(
    text: str,
    *,
    by: TokenRules | None = None,
    services: ServiceTokens = NO_SERVICES,
    key_set: KeySet | None = None,
    are_current: bool = True,
    now: float = NOW,
    revocations: Revocations | None = None,
) -> Trace:
    return trace_of(
        text,
        rules=by or rules(),
        services=services,
        keys=keys() if key_set is None else key_set,
        keys_are_current=are_current,
        now=now,
        revocations=revocations,
    )


@cache
def mint() -> Mint:
    return Mint(clerk=clerk(), stranger=stranger_key(), now=int(NOW))


each_row = pytest.mark.parametrize("row", MUTATIONS, ids=lambda row: f"{row.number:02} {row.name}")

# --- the verdict -------------------------------------------------------------------


@each_row
def test_the_reason_is_the_gate_s(row: Mutation) -> None:
    text, by = row.token(mint()), rules(**row.settings)
    settled = refusal(decision_on(request(text), by=judge(by)))

    assert settled == traced(text, by=by).reason


@each_row
def test_the_reason_is_the_verifier_s_where_a_header_carries_the_token(row: Mutation) -> None:
    text, by = row.token(mint()), rules(**row.settings)
    outcome = TokenVerifier(by).verify(text, keys=keys(), now=NOW)
    if isinstance(outcome, MissingKey):
        outcome = outcome.if_current
    expected = None if isinstance(outcome, Claims) else outcome
    if row.number == 70:
        # A line feed is in no header; the verifier alone would call the token malformed.
        expected = Reason.AUTHORIZATION_MALFORMED

    assert expected is traced(text, by=by).reason


@each_row
def test_what_comes_before_the_failed_check_passed_and_what_comes_after_was_not_reached(
    row: Mutation,
) -> None:
    found = traced(row.token(mint()), by=rules(**row.settings))
    results = [found.result(check) for check in found.checks]

    if found.reason is None:
        assert results == [Result.PASSED] * (len(results) - 1) + [Result.NOT_ASKED]
    else:
        at = results.index(Result.FAILED)
        assert found.checks[at] is found.failed
        assert results[:at] == [Result.PASSED] * at
        assert set(results[at + 1 :]) <= {Result.NOT_REACHED}


@each_row
def test_the_form_is_complained_about_exactly_when_it_fails(row: Mutation) -> None:
    text = row.token(mint())
    found = traced(text, by=rules(**row.settings))

    if found.failed is not Check.CREDENTIAL:
        assert (found.failed is Check.FORM) == bool(view_of(text).complaints)


@given(st.integers(0, 900), st.sampled_from([*"AZaz09-_.=+/ ,\n", "", "é"]))
def test_a_token_spoilt_anywhere_gets_the_gate_s_reason_and_its_form_a_complaint(
    at: int, character: str
) -> None:
    text = valid_token()[:at] + character + valid_token()[at + 1 :]
    found = traced(text)

    assert refusal(decision_on(request(text))) == found.reason
    if found.failed is not Check.CREDENTIAL:
        assert (found.failed is Check.FORM) == bool(view_of(text).complaints)


OF_TOKENS: Final = list(Reason)[
    list(Reason).index(Reason.TOKEN_TOO_LARGE) : list(Reason).index(Reason.USER_NOT_ADMITTED)
]


@pytest.mark.parametrize("reason", OF_TOKENS)
def test_every_reason_about_a_token_has_a_check_that_fails(reason: Reason) -> None:
    assert failed_check(reason, valid_token()) in Check


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mt_0123456789", Check.FORM),
        (token(header={"typ": "at+jwt"}), Check.HEADER),
        (token(header={"cat": "cl_B7d4PD333AAA"}), Check.CLASS),
        (token(claims={"sub": "mch_1"}), Check.CLASS),
    ],
    ids=["opaque", "typ", "cat", "sub"],
)
def test_a_machine_token_fails_where_it_shows(text: str, expected: Check) -> None:
    found = traced(text)

    assert (found.reason, found.failed) == (Reason.MACHINE_TOKEN, expected)


@pytest.mark.parametrize(
    ("key_set", "are_current", "expected"),
    [
        (KeySet(), True, Reason.KEYS_UNAVAILABLE),
        (KeySet(), False, Reason.KEYS_UNAVAILABLE),
        (None, True, Reason.KEY_UNKNOWN),
        (None, False, Reason.KEYS_UNAVAILABLE),
    ],
)
def test_a_key_that_is_not_there(
    key_set: KeySet | None, expected: Reason, *, are_current: bool
) -> None:
    text = token(header={"kid": "ins_unknown"})
    found = traced(text, key_set=key_set, are_current=are_current)

    assert (found.reason, found.failed) == (expected, Check.KEY)


def test_revocations_are_asked_last() -> None:
    claims = traced(valid_token()).claims
    assert claims is not None
    assert claims.session_id is not None
    user = Revocations({claims.user_id: claims.issued_at})
    earlier = Revocations({claims.user_id: claims.issued_at - 1})
    session = Revocations(sessions=frozenset({claims.session_id}))

    assert traced(valid_token(), revocations=user).reason is Reason.USER_REVOKED
    assert traced(valid_token(), revocations=session).reason is Reason.SESSION_REVOKED
    assert traced(valid_token(), revocations=earlier).reason is None
    assert traced(valid_token(), revocations=earlier).result(Check.REVOCATION) is Result.PASSED
    assert traced(valid_token(), revocations=user, now=NOW + 99).failed is Check.CLOCK


@pytest.mark.parametrize(("now", "reason"), [(NOW, None), (NOW + 1, Reason.SERVICE_TOKEN_EXPIRED)])
def test_a_service_token_is_recognised_before_it_is_taken_for_a_jwt(
    now: float, reason: Reason | None
) -> None:
    services = ServiceTokens([SERVICE_TOKEN], [billing_token(not_after=NOW)])
    found = traced(BILLING_TOKEN, services=services, now=now)

    assert found.reason is reason
    assert found.service is not None
    assert found.service.name == "billing"
    assert found.checks == (Check.CREDENTIAL, Check.SERVICE)
    assert traced(SERVICE_TOKEN, services=services, now=now).reason is None
    assert traced(SERVICE_TOKEN).reason is Reason.TOKEN_MALFORMED


# --- what is shown -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({}, {"sub": "user_2xLk...", "sid": "sess_2xLm...", "v": 2, "sts": "active"}),
        ({"sub": "user_1"}, {"sub": "user_..."}),
        ({"sub": "mina@example.com"}, {"sub": "a string of 16 characters, not shown"}),
        ({"sub": 7}, {"sub": "a number out of range, not shown"}),
        ({"sub": ["user_1"]}, {"sub": "a list of 1, not shown"}),
        ({"sub": {"a": 1}}, {"sub": "an object, not shown"}),
        ({"sub": None}, {"sub": "null"}),
        ({"sub": True}, {"sub": "a truth value"}),
        ({"sub": ""}, {"sub": "empty"}),
        ({"iss": "https://me:pw@x.com"}, {"iss": "a string of 19 characters, not shown"}),
        ({"azp": "https://x.com/?q"}, {"azp": "a string of 16 characters, not shown"}),
        ({"aud": ["api", "m@x.com"]}, {"aud": ["api", "a string of 7 characters, not shown"]}),
        ({"aud": list("abcdefghij")}, {"aud": [*"abcdefgh", "2 more"]}),
        ({"iat": 10**400}, {"iat": "a number out of range, not shown"}),
        ({"iat": 1.5, "nbf": True}, {"iat": 1.5, "nbf": "a truth value"}),
        ({"act": {"sub": "user_9"}}, {"act": "present"}),
    ],
)
def test_of_claims_is_shown_what_has_the_form_that_it_should(
    claims: Mapping[str, object], expected: Mapping[str, object]
) -> None:
    shown = view_of(token(claims=claims)).claims

    assert {name: shown[name] for name in expected} == expected


def explained(text: str, **others: Any) -> ExplainedToken:  # noqa: ANN401 - those of traced
    return ExplainedToken(
        view=view_of(text),
        trace=traced(text, **others),
        rules=others.get("by") or rules(),
        keys=keys(),
        keys_from="a test",
        now=NOW,
    )


@each_row
def test_every_row_can_be_told_to_people_and_programs(row: Mutation) -> None:
    text = row.token(mint())

    found = document_of(explained(text, by=rules(**row.settings)), "urn:x:")

    assert json.loads(json.dumps(found))["decision"] == ("refuse" if row.expected else "accept")
    # Of the longest tokens the beginning will do: they are not even decoded.
    assert not pieces_of(text[:20_000]) & windows(json.dumps(found))


CANARY: Final = "canary"
NAMES: Final = ("email", "name", "phone", "jti", "org_id", "pla", "fva", "metadata", "o")
SECRETS: Final[dict[str, object]] = {name: f"{CANARY}-{name}" for name in NAMES}
MEMBERS: Final[dict[str, object]] = {
    "jwk": {"n": f"{CANARY}-jwk"},
    "x5c": [f"{CANARY}-x5c"],
    "jku": f"{CANARY}-jku",
}
WRONG: Final[dict[str, object]] = {
    **{name: f"{CANARY} {name}" for name in ("iss", "azp", "sub", "sid", "sts")},
    **{name: f"{CANARY}@{name}" for name in ("aud", "v", "iat", "nbf", "exp")},
    "act": {"sub": f"{CANARY}-act"},
}
ODD_HEADER: Final = {name: f"{CANARY} {name}" for name in ("alg", "typ", "kid", "cat", "crit")}


def suspicious_tokens() -> dict[str, str]:
    """Return tokens that are refused at many checks, or none, full of what nobody may see."""
    good = token(claims=SECRETS, header=MEMBERS)
    head, payload, signature = good.split(".")
    return {
        "accepted": good,
        "expired": clerk().mint(now=NOW - 900, claims=SECRETS),
        "forged": clerk().mint(now=NOW, claims=SECRETS, key=stranger_key()),
        "unknown key": token(claims=SECRETS, header={"kid": "ins_unknown"}),
        "every claim wrong": token(claims=SECRETS | WRONG),
        **{f"{name} wrong": token(claims=SECRETS | {name: WRONG[name]}) for name in WRONG},
        **{f"{name} odd": token(SECRETS, {name: ODD_HEADER[name]}) for name in ODD_HEADER},
        "cut": good[:-9],
        "no signature": f"{head}.{payload}.",
        "padded": f"{head}.{payload}=.{signature}",
        "only two parts": f"{payload}.{signature}",
        "a comma": f"{good},{good}",
        "a machine token": f"mt_{CANARY}-{'x' * 40}",
        "opaque": f"{CANARY}-{'y' * 40}",
        "a service token": f"{CANARY}-{'z' * 40}",
    }


SUSPICIOUS: Final = suspicious_tokens()
WINDOW: Final = 12


def windows(text: str) -> set[str]:
    return {text[at : at + WINDOW] for at in range(len(text) - WINDOW + 1)}


def pieces_of(text: str) -> set[str]:
    """Return every stretch of a token that would give a part of it away."""
    return windows(text)


@pytest.fixture
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [each for each in os.environ if each.startswith(SETTINGS)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CLERK_ISSUER", ISSUER)
    monkeypatch.setenv("CLERK_JWT_KEY", clerk().public_pem)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


class Stdin(io.TextIOWrapper):
    """What a pipe holds."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(io.BytesIO(raw))


def give(monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(raw))


@pytest.mark.usefixtures("_environment")
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize("text", SUSPICIOUS.values(), ids=SUSPICIOUS)
def test_neither_the_token_nor_a_claim_of_a_person_is_printed(
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    as_json: bool,
) -> None:
    monkeypatch.setenv("SERVICE_AUTH_TOKEN", SUSPICIOUS["a service token"])

    status = main(["explain-token", text, "--at", AT, *(["--json"] if as_json else [])])

    printed = capsys.readouterr()
    whole = printed.out + printed.err
    assert status in {0, 1}
    assert printed.out
    assert CANARY not in whole
    assert pieces_of(text) & windows(whole) == set()


@pytest.mark.usefixtures("_environment")
@pytest.mark.parametrize(
    "arguments",
    [
        ["{}", "{}"],
        ["{}", "--file", "none"],
        ["--file", "{}"],
        ["x", "--token", "{}"],
        ["{}", "--fetch"],
        ["{}", "--revocations"],
        ["--at", "{}", "x"],
        ["--json={}"],
        ["--fetch={}"],
        ["--{}"],
        ["--f={}"],
        ["x", "--bogus={}"],
        ["-h{}"],
    ],
    ids=" ".join,
)
def test_a_mistake_does_not_print_the_token_either(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = SUSPICIOUS["accepted"]
    status: object
    try:
        status = main(["explain-token", *(each.format(text) for each in arguments)])
    except SystemExit as exit_:
        status = exit_.code

    printed = capsys.readouterr()
    assert status == 2
    assert printed.out == ""
    assert "expected" in printed.err or "--" in printed.err
    assert "Traceback" not in printed.err
    assert pieces_of(text) & windows(printed.err) == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ["{}"],
        ["explain-token={}"],
        ["--bogus={}", "explain-token"],
        ["policy", "{}"],
        ["policy", "explain", "--json={}"],
    ],
    ids=" ".join,
)
def test_a_token_in_the_place_of_a_command_is_not_printed(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = SUSPICIOUS["accepted"]

    with pytest.raises(SystemExit) as exit_:
        main([each.format(text) for each in arguments])

    assert exit_.value.code == 2
    assert pieces_of(text) & windows(capsys.readouterr().err) == set()


def test_the_canaries_would_be_found() -> None:
    """
    A test that looks for nothing passes always.
    """
    good = SUSPICIOUS["accepted"]

    assert pieces_of(good) & windows(f"it is {good[40:60]}")
    assert all(each in str(SECRETS) for each in NAMES)


# --- the command -------------------------------------------------------------------


@pytest.mark.usefixtures("_environment")
@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (["{}"], b""),
        (["Bearer {}"], b""),
        (["Bearer", "{}"], b""),
        (["--token", "{}"], b""),
        ([], b" {}\r\n"),
        (["-"], b"Authorization: bearer {}\n"),
        (["--file", "token.txt"], b""),
        (["--file", "-"], b"{}"),
    ],
)
def test_the_token_is_taken_from_wherever_it_is(
    arguments: list[str],
    stdin: bytes,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("token.txt").write_text(f"{valid_token()}\n", "utf-8")
    give(monkeypatch, stdin.replace(b"{}", valid_token().encode()))

    status = main(
        ["explain-token", "--at", AT, *(each.format(valid_token()) for each in arguments)]
    )

    assert status == 0
    assert "decision  ACCEPT as user:user_2xLk...\n" in capsys.readouterr().out


@pytest.mark.usefixtures("_environment")
@pytest.mark.parametrize(
    "at", [AT, f"{AT}.5", "2026-09-21T14:13:20Z", "2026-09-21T16:13:20+02:00"]
)
def test_the_moment_in_question_may_be_written_in_two_ways(
    at: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain-token", valid_token(), "--at", at]) == 0
    assert f"at        2026-09-21T14:13:20Z ({AT})\n" in capsys.readouterr().out


@pytest.mark.usefixtures("_environment")
def test_the_moment_is_now_unless_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain-token", clerk().mint(now=NOW - 10**8)]) == 1
    assert "REFUSE 401 token_expired" in capsys.readouterr().out


@pytest.mark.usefixtures("_environment")
@pytest.mark.parametrize("at", ["yesterday", "-1", "1e3", "nan", "2026-02-30T00:00:00Z", "٣"])
def test_another_moment_is_refused(at: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["explain-token", valid_token(), f"--at={at}"])

    assert raised.value.code == 2
    assert "argument --at: expected " in capsys.readouterr().err


@pytest.mark.usefixtures("_environment")
@pytest.mark.parametrize("stdin", [b"", b" \n", b"Bearer \n", b"\xff"])
def test_no_token_is_a_mistake(
    stdin: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, stdin)

    assert main(["explain-token"]) == 2
    assert "; expected " in capsys.readouterr().err


@pytest.mark.usefixtures("_environment")
def test_settings_that_cannot_be_used_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("CLERK_JWT_KEY", "CLERK_ISSUER"):
        monkeypatch.delenv(name)

    assert main(["explain-token", valid_token()]) == 2
    assert "CLERK_PUBLISHABLE_KEY is not set; " in capsys.readouterr().err


@pytest.mark.usefixtures("_environment")
def test_the_failed_check_stands_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain-token", valid_token(), "--at", str(int(NOW) + 100)]) == 1

    printed = capsys.readouterr().out
    assert "\nsession     ok           sid sess_2xLm...; " in printed
    assert (
        "\nclock       FAILED       at 2026-09-21T14:15:00Z; iat 100 s ago; nbf 110 s ago; "
        "exp 40 s ago; clocks may differ by 5 s\n"
    ) in printed
    assert "\nrevocation  not reached  " in printed
    assert "\ndecision  REFUSE 401 token_expired: The token has expired.\n" in printed
    assert "\nsee       docs/reasons.md#token_expired\n" in printed


@pytest.mark.usefixtures("_environment")
def test_a_program_reads_one_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WICKETGATE_PROBLEM_TYPE_BASE", "https://docs.example.com/reasons#")

    assert main(["explain-token", token(claims={"iss": "https://x.com"}), "--at", AT, "--json"])

    found = json.loads(capsys.readouterr().out)
    checks = found.pop("checks")
    assert found == {
        "decision": "refuse",
        "reason": "issuer_mismatch",
        "status": 401,
        "title": ANSWERS[Reason.ISSUER_MISMATCH].title,
        "type": "https://docs.example.com/reasons#issuer_mismatch",
        "failed": "issuer",
        "at": NOW,
        "service": None,
        "is_signature_good": True,
        "token": {
            "header": {
                "alg": "RS256",
                "typ": "JWT",
                "kid": clerk().kid,
                "cat": "cl_B7d4PD111AAA",
            },
            "claims": {
                "iss": "https://x.com",
                "azp": "http://localhost:3000",
                "sub": "user_2xLk...",
                "sid": "sess_2xLm...",
                "sts": "active",
                "v": 2,
                "iat": NOW,
                "nbf": NOW - 10,
                "exp": NOW + 60,
            },
        },
        "keys": "CLERK_JWT_KEY",
        "notes": [],
    }
    assert [each["check"] for each in checks] == [each for each in Check if each != "service"]
    assert checks[5] == {
        "check": "issuer",
        "result": "FAILED",
        "saw": f"iss https://x.com; expected {ISSUER}",
    }


@pytest.mark.usefixtures("_environment")
@pytest.mark.parametrize(
    ("policy", "expected"), [("", Reason.SESSION_PENDING), ("policy.yaml", None)]
)
def test_what_rules_decide_is_left_to_them(
    policy: str, expected: Reason | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    With a policy file a pending session is for its rules to refuse, as in the gate.
    """
    monkeypatch.setenv("WICKETGATE_POLICY_FILE", policy)

    status = main(["explain-token", token(claims={"sts": "pending"}), "--at", AT])

    assert status == (0 if expected is None else 1)


@pytest.mark.usefixtures("_environment")
def test_a_service_token_of_the_file_is_told_by_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = billing_token().digest.hex()
    Path("tokens.yaml").write_text(
        f"version: 1\ntokens:\n  - {{ name: billing, sha256: {digest}, scopes: [jobs], "
        "not_after: 2026-09-22T00:00:00Z }\n",
        "utf-8",
    )
    monkeypatch.setenv("WICKETGATE_SERVICE_TOKENS_FILE", "tokens.yaml")

    assert main(["explain-token", BILLING_TOKEN, "--at", AT]) == 0
    assert "ACCEPT as service:billing\n" in capsys.readouterr().out
    assert main(["explain-token", BILLING_TOKEN, "--at", "2026-09-22T00:00:01Z"]) == 1
    assert "REFUSE 401 service_token_expired" in capsys.readouterr().out


def test_a_tokens_file_with_mistakes_is_complained_about(
    _environment: None,  # noqa: PT019 - it is used for what it does
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("tokens.yaml").write_text("version: 2\ntokens: []\n", "utf-8")
    monkeypatch.setenv("WICKETGATE_SERVICE_TOKENS_FILE", "tokens.yaml")

    assert main(["explain-token", BILLING_TOKEN, "--at", AT]) == 2
    assert "tokens.yaml:1:10: " in capsys.readouterr().err


# --- the keys ----------------------------------------------------------------------


def settings(tmp_path: Path, url: str = f"{ISSUER}/.well-known/jwks.json") -> AuthzSettings:
    return AuthzSettings.from_environ(
        {
            "CLERK_ISSUER": ISSUER,
            "CLERK_JWKS_URL": url,
            "WICKETGATE_JWKS_CACHE_FILE": str(tmp_path / "keys" / "jwks.json"),
        }
    )


def keep(by: AuthzSettings, *, fetched_at: float, source: str | None = None) -> None:
    assert by.jwks_cache_file is not None
    KeyFile(by.jwks_cache_file, source or str(by.jwks_url)).save(clerk().jwks(), fetched_at)


async def test_without_a_network_the_keys_are_those_of_the_copy(tmp_path: Path) -> None:
    by = settings(tmp_path)
    keep(by, fetched_at=NOW - 60)

    found = await find_keys(by, fetch=False, clock=lambda: NOW)

    assert (found.keys, found.are_current) == (keys(), True)
    assert found.origin.endswith("jwks.json, of 2026-09-21T14:12:20Z")
    assert (found.notes, found.hint.endswith("--fetch")) == ((), True)


@pytest.mark.parametrize(
    ("text", "is_told"),
    [
        (valid_token(), False),
        (token(header={"kid": "ins_unknown"}), True),
        (clerk().mint(now=NOW, key=stranger_key()), True),
        (token(claims={"sub": "x"}), False),
    ],
    ids=["good", "unknown key", "forged", "bad claim"],
)
def test_that_keys_may_be_fetched_is_told_where_none_fits(text: str, *, is_told: bool) -> None:
    about = replace(explained(text), hint="try that")

    assert is_told == ("try that" in document_of(about, "urn:x:")["notes"])


async def test_a_copy_that_is_not_there_is_told(tmp_path: Path) -> None:
    found = await find_keys(settings(tmp_path), fetch=False, clock=lambda: NOW)

    assert not found.keys
    assert found.notes[0].startswith("there is no copy of Clerk's keys at ")
    assert found.notes[0].endswith("--fetch")


async def test_no_copy_is_kept_when_it_is_off(tmp_path: Path) -> None:
    by = replace(settings(tmp_path), jwks_cache_file=None)
    found = await find_keys(by, fetch=False, clock=lambda: NOW)

    assert not found.keys
    assert found.origin == "no copy of Clerk's keys is kept"


@pytest.mark.parametrize(
    ("fetched_at", "source", "complaint"),
    [
        (NOW - 86_401, None, "older than WICKETGATE_JWKS_MAX_STALE_SECONDS"),
        (NOW, "https://other.example.com/jwks", "holds the keys of another JWKS URL"),
    ],
)
async def test_a_copy_that_a_gate_would_not_believe_is_not_believed(
    tmp_path: Path, fetched_at: float, source: str | None, complaint: str
) -> None:
    by = settings(tmp_path)
    keep(by, fetched_at=fetched_at, source=source)

    found = await find_keys(by, fetch=False, clock=lambda: NOW)

    assert not found.keys
    assert complaint in found.notes[0]


async def test_keys_are_fetched_when_asked_for_and_nothing_is_written(tmp_path: Path) -> None:
    async with HostileJwks(answer(clerk().jwks())) as server:
        by = settings(tmp_path, server.url)
        found = await find_keys(by, fetch=True, clock=lambda: NOW)

    assert (found.keys, found.are_current) == (keys(), True)
    assert found.origin == server.url
    assert by.jwks_cache_file is not None
    assert not by.jwks_cache_file.exists()


async def test_keys_that_cannot_be_fetched_are_those_of_the_copy_and_not_current(
    tmp_path: Path,
) -> None:
    async with HostileJwks(answer(b"{}")) as server:
        by = settings(tmp_path, server.url)
        keep(by, fetched_at=NOW - 60)
        found = await find_keys(by, fetch=True, clock=lambda: NOW)

    assert (found.keys, found.are_current) == (keys(), False)
    assert found.notes[0].startswith("the keys could not be brought up to date: ")


async def test_what_is_never_fetched_is_not_fetched() -> None:
    by = AuthzSettings.from_environ({"CLERK_ISSUER": ISSUER, "CLERK_JWT_KEY": clerk().public_pem})

    with pytest.raises(ConfigurationError, match="--fetch: is of no use with CLERK_JWT_KEY"):
        await find_keys(by, fetch=True)


def test_an_authorized_party_is_told_with_those_that_are() -> None:
    text = token(claims={"azp": "https://evil.example"})
    by = rules(**REQUIRED)

    (party,) = [
        each
        for each in document_of(explained(text, by=by), "urn:x:")["checks"]
        if each["check"] == "party"
    ]

    assert party == {
        "check": "party",
        "result": "FAILED",
        "saw": "azp https://evil.example; required; expected http://localhost:3000",
    }
