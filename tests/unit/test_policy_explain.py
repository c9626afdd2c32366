"""`wicketgate policy explain`: what becomes of a request, for people and programs."""

import argparse
import io
import json
from pathlib import Path
from typing import Any, Final

import pytest

from tokens import NOW, clerk
from wicketgate.core.claims import Claims
from wicketgate.core.credential import NO_CREDENTIAL
from wicketgate.core.reason import Reason
from wicketgate.core.request import HttpRequest
from wicketgate.core.service_token import EVERY_SCOPE, ServiceToken
from wicketgate.errors import ConfigurationError
from wicketgate.policy_cli import add_policy
from wicketgate.tools.caller import SESSION, USER, CallerWish, KnownCaller, caller_of
from wicketgate.tools.explain import run_explain
from wicketgate.tools.explain_document import SHOWN

POLICY: Final = """\
version: 1
rules:
  - name: health
    match: { methods: [GET, HEAD], paths: /healthz }
    allow: anonymous
  - name: stricter
    match: { paths: /orgs/** }
    allow: { user: { org_role: admin } }
    shadow: true
  - name: orgs
    match: { paths: "/orgs/{org}/items" }
    allow: { user: { org_id: org_1 } }
    headers: { x-org: org_id }
  - name: rest
    match: { paths: /orgs/** }
    allow: []
"""
TOKEN: Final = clerk().mint(now=NOW)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY, encoding="utf-8")
    return path


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def explained(
    request: HttpRequest,
    wish: CallerWish | None = None,
    *,
    policy: Path | None = None,
    as_json: bool = False,
    stdin: bytes = b"",
    out: io.StringIO | None = None,
) -> str:
    stream = out or io.StringIO()
    status = run_explain(
        request,
        wish or CallerWish(),
        policy=policy,
        now=NOW,
        stdin=io.BytesIO(stdin),
        out=stream,
        as_json=as_json,
    )
    assert status == 0
    return stream.getvalue()


def document(
    request: HttpRequest, wish: CallerWish | None = None, *, policy: Path | None = None
) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(explained(request, wish, policy=policy, as_json=True))
    return value


def known(wish: CallerWish, *, stdin: bytes = b"", takes_pending: bool = True) -> KnownCaller:
    return caller_of(wish, now=NOW, stdin=io.BytesIO(stdin), takes_pending=takes_pending)


def known_claims(path: Path, **claims: object) -> Claims:
    """Return the claims that a file with these is taken for."""
    caller = known(CallerWish(claims=written(path, json.dumps(claims)))).caller
    assert isinstance(caller, Claims)
    return caller


def test_a_denied_request_is_explained_from_top_to_bottom(policy: Path) -> None:
    request = HttpRequest(
        host="x.com",
        target="/orgs/7/items?q",
        headers={"x-debug": "1"},
        context={"exposure": "public"},
        source_principal="spiffe://a/b",
    )

    title = "The active organization is not admitted here."

    assert explained(request, CallerWish(is_user=True), policy=policy).splitlines() == [
        "request   GET x.com /orgs/7/items?q",
        "          context exposure=public",
        "          header x-debug: 1",
        "          header authorization: (not shown)",
        "          source spiffe://a/b",
        "caller    user:user_explain",
        "          claims taken as given, nothing was verified",
        "at        2026-09-21T14:13:20Z (1790000000)",
        f"policy    {policy}",
        "",
        "#  RULE      WHY",
        "1  health    path /orgs/7/items is not /healthz",
        "2  stricter  shadow: denied, role_not_admitted",
        "3  orgs      decides",
        "1 more below: not asked",
        "",
        f"decision  DENY 403 organization_not_admitted: {title}",
        "because   org_id: no organization is not org_1",
        "rule      orgs",
        "path      /orgs/{org}/items",
        "          org = 7",
    ]


def test_what_the_upstream_of_an_allowed_request_is_told(policy: Path, tmp_path: Path) -> None:
    claims = written(tmp_path / "claims.json", '{"sub": "user_9", "o": {"id": "org_1"}}')

    lines = explained(
        HttpRequest(target="/orgs/7/items"), CallerWish(claims=claims), policy=policy
    ).splitlines()

    removed = "clerk-user-id, wicketgate_principal, x-clerk-user-id, x-user-id, x_org"
    start = lines.index("decision  ALLOW as user:user_9")
    assert lines[start:] == [
        "decision  ALLOW as user:user_9",
        "rule      orgs",
        "path      /orgs/{org}/items",
        "          org = 7",
        "upstream  clerk_user_id: user_9",
        "          wicketgate-principal: user:user_9",
        "          x-org: org_1",
        f"removed   {removed}, and 12 other spellings of them",
    ]


def test_a_header_that_is_removed_in_one_spelling_only_is_named_once(policy: Path) -> None:
    lines = explained(HttpRequest(target="/healthz"), policy=policy).splitlines()

    assert lines[-1].startswith("removed   ")
    # clerk-user-id, x-clerk-user-id and x-user-id.
    assert lines[-1].count("user-id") == 3


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (HttpRequest(target="/none"), "-  default   decides, as no rule fits"),
        (HttpRequest(target="/orgs/1"), "4  rest      decides"),
        (
            HttpRequest(target="/healthz", method="PUT"),
            "1  health    method PUT is none of GET, HEAD",
        ),
        (HttpRequest(target="/healthz"), "3 more below: not asked"),
    ],
)
def test_the_rules_that_were_tried(policy: Path, request_: HttpRequest, expected: str) -> None:
    assert expected in explained(request_, policy=policy).splitlines()


def test_a_request_that_no_rule_was_asked_about(policy: Path) -> None:
    lines = explained(HttpRequest(target="//"), policy=policy).splitlines()

    assert lines[-2:] == [
        "decision  DENY 400 ambiguous_path: The request target is ambiguous.",
        "rule      none was asked",
    ]
    assert not any("WHY" in line for line in lines)


def test_without_a_file_the_words_of_the_routes_are_the_policy() -> None:
    lines = explained(HttpRequest(context={"policy": "anonymous"})).splitlines()

    assert "policy    what routes say (context_extensions)" in lines
    assert "rule      public:anonymous" in lines
    assert not any("WHY" in line for line in lines)


def test_what_the_caller_is_told_may_be_less(policy: Path) -> None:
    lines = explained(
        HttpRequest(target="/orgs/1"), CallerWish(service="ml"), policy=policy
    ).splitlines()

    assert "caller    service:ml for *" in lines
    assert (
        "decision  DENY 401 service_token_exposed (told as token_malformed): "
        "The token is malformed."
    ) in lines


def test_a_program_reads_one_object(policy: Path) -> None:
    found = document(
        HttpRequest(target="/orgs/7/items", headers={"cookie": "__session=secret"}),
        CallerWish(is_user=True),
        policy=policy,
    )

    assert found == {
        "request": {
            "method": "GET",
            "host": "",
            "path": "/orgs/7/items",
            "context": {},
            "headers": {"cookie": "(not shown)", "authorization": "(not shown)"},
            "source": "",
        },
        "caller": {
            "who": "user:user_explain",
            "notes": ["claims taken as given, nothing was verified"],
        },
        "now": NOW,
        "policy": str(policy),
        "rules": [
            {
                "number": 1,
                "name": "health",
                "decides": False,
                "mismatches": ["path /orgs/7/items is not /healthz"],
                "shadow": None,
            },
            {
                "number": 2,
                "name": "stricter",
                "decides": False,
                "mismatches": [],
                "shadow": "role_not_admitted",
            },
            {"number": 3, "name": "orgs", "decides": True, "mismatches": [], "shadow": None},
        ],
        "rules_not_shown": 0,
        "rules_not_asked": 1,
        "decision": "deny",
        "reason": "organization_not_admitted",
        "told": "organization_not_admitted",
        "status": 403,
        "title": "The active organization is not admitted here.",
        "rule": "orgs",
        "template": "/orgs/{org}/items",
        "principal": "user:user_explain",
        "parameters": {"org": "7"},
        "because": ["org_id: no organization is not org_1"],
        "headers": None,
    }


@pytest.mark.parametrize(
    ("wish", "principal", "told"),
    [
        (CallerWish(), "anonymous", "anonymous"),
        (CallerWish(is_user=True), "user:user_explain", "user:user_explain"),
        (CallerWish(service="ml"), "service:ml", "service:ml"),
    ],
)
def test_a_program_reads_who_is_let_in(
    tmp_path: Path, wish: CallerWish, principal: str, told: str
) -> None:
    rules = "[{name: r, allow: [anonymous, user, service]}]"
    policy = written(tmp_path / "p.yaml", f"version: 1\nrules: {rules}\n")

    found = document(HttpRequest(context={"exposure": "internal"}), wish, policy=policy)

    assert (found["decision"], found["principal"]) == ("allow", principal)
    assert found["headers"]["set"]["wicketgate-principal"] == told
    assert "x-clerk-user-id" in found["headers"]["removed"]


def test_a_program_reads_that_no_rule_was_asked() -> None:
    found = document(HttpRequest(context={"misspelt": "x"}))

    assert (found["rule"], found["template"], found["principal"]) == (None, None, None)
    assert found["status"] == 503


def test_of_many_rules_only_those_that_are_near_are_shown(tmp_path: Path) -> None:
    rules = [
        *(f"{{name: far{number}, match: {{paths: /far}}, allow: user}}" for number in range(50)),
        "{name: near, match: {methods: PUT, paths: /a}, allow: user}",
        "{name: here, match: {paths: /a}, allow: user}",
    ]
    policy = written(
        tmp_path / "p.yaml", "version: 1\nrules:\n" + "".join(f"  - {each}\n" for each in rules)
    )

    found = document(HttpRequest(target="/a"), policy=policy)
    lines = explained(HttpRequest(target="/a"), policy=policy).splitlines()

    assert [each["name"] for each in found["rules"]] == ["near", "here"]
    assert found["rules_not_shown"] == 50
    assert "50 more above: tried, and decided nothing" in lines
    assert not any("far" in line for line in lines)


def test_of_too_many_that_are_near_the_last_are_shown(tmp_path: Path) -> None:
    rules = "".join(
        f"  - {{name: r{number}, match: {{methods: PUT, paths: /a}}, allow: user}}\n"
        for number in range(SHOWN + 5)
    )
    policy = written(tmp_path / "p.yaml", f"version: 1\nrules:\n{rules}")

    found = document(HttpRequest(target="/a"), policy=policy)

    assert [each["number"] for each in found["rules"]] == list(range(6, SHOWN + 6))


def test_the_verdict_has_a_colour_on_a_terminal(policy: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    text = explained(HttpRequest(target="/healthz"), policy=policy, out=Terminal())

    assert "\x1b[32mALLOW\x1b[0m" in text


def test_what_the_request_holds_does_not_write_to_the_terminal() -> None:
    request = HttpRequest(
        target="/\x1b[2J", headers={"x-a": "\x1b[2J"}, context={"policy": "\x9b"}
    )

    assert explained(request).isascii()
    assert "\x1b" not in explained(request)


def test_a_policy_with_mistakes_is_complained_about_line_by_line(tmp_path: Path) -> None:
    policy = written(tmp_path / "p.yaml", "version: 2\nrules: []\ndefault: x\n")

    with pytest.raises(ConfigurationError) as raised:
        explained(HttpRequest(), policy=policy)

    assert [each.partition(": ")[0] for each in raised.value.mistakes] == [
        f"{policy}:1:10",
        f"{policy}:3:10",
    ]


def test_nobody_is_meant_unless_somebody_is_named() -> None:
    assert known(CallerWish()) == KnownCaller(NO_CREDENTIAL)


def test_a_user_of_whom_little_is_known() -> None:
    caller = known(CallerWish(is_user=True)).caller

    assert isinstance(caller, Claims)
    assert caller.document == {"sub": USER, "sid": SESSION, "iat": NOW, "exp": NOW + 60, "v": 2}


@pytest.mark.parametrize(
    ("scopes", "expected"), [((), {EVERY_SCOPE}), (("a", "b"), {"a", "b"})], ids=["all", "some"]
)
def test_a_service_has_the_scopes_that_are_named(
    scopes: tuple[str, ...], expected: set[str]
) -> None:
    caller = known(CallerWish(service="ml", scopes=scopes)).caller

    assert caller == ServiceToken(name="ml", digest=b"", scopes=frozenset(expected))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"sub": USER, "sid": SESSION, "iat": NOW, "exp": NOW + 60, "v": 2}),
        ({"iat": 1_000}, {"iat": 1_000, "exp": 1_060}),
        ({"iat": 1.5, "exp": 10**10}, {"iat": 1.5, "exp": 10**10}),
        ({"sub": "user_9", "sid": None, "v": 1}, {"sub": "user_9", "sid": None, "v": 1}),
        ({"sts": "pending", "act": {"sub": "user_2"}, "iss": 7}, {"sts": "pending", "iss": 7}),
    ],
)
def test_claims_are_taken_as_given_and_what_is_missing_is_made_up(
    tmp_path: Path, given: dict[str, object], expected: dict[str, object]
) -> None:
    caller = known_claims(tmp_path / "claims.json", **given)

    assert dict(caller.document) | expected == caller.document
    assert caller.issued_at == caller.document["iat"]


def test_claims_of_version_1_stay_so(tmp_path: Path) -> None:
    caller = known_claims(tmp_path / "claims.json", org_id="org_1")

    assert "v" not in caller.document
    assert caller.facts.org_id == "org_1"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[]", "not an object; expected one JSON object of claims"),
        ("{", "not strict JSON; expected one JSON object of claims"),
        ('{"a": 1, "a": 2}', "not strict JSON"),
        ('{"sub": "mina"}', "subject_invalid"),
        ('{"sub": "mch_1"}', "machine_token"),
        ('{"sid": "7"}', "session_missing"),
        ('{"iat": "now"}', "claims_malformed"),
        ('{"iat": 10, "exp": 10}', "claims_malformed"),
    ],
)
def test_what_are_no_claims_is_complained_about(tmp_path: Path, text: str, complaint: str) -> None:
    path = written(tmp_path / "claims.json", text)

    with pytest.raises(ConfigurationError) as raised:
        known(CallerWish(claims=path))

    assert str(raised.value).startswith(f"{path}: ")
    assert complaint in str(raised.value)


def test_a_token_is_read_and_not_verified() -> None:
    forged = TOKEN[:-8] + "AAAAAAAA"[: len(TOKEN[-8:])]

    found = known(CallerWish(token=forged))

    assert isinstance(found.caller, Claims)
    assert found.notes[0].startswith("signature not checked")


def test_a_token_may_come_from_a_file_or_from_stdin(tmp_path: Path) -> None:
    by_argument = known(CallerWish(token=TOKEN)).caller
    path = written(tmp_path / "token", f"{TOKEN}\n")

    assert isinstance(by_argument, Claims)
    assert known(CallerWish(token_file=path)).caller == by_argument
    assert known(CallerWish(token="-"), stdin=f"{TOKEN}\n".encode()).caller == by_argument


@pytest.mark.parametrize(
    ("claims", "header", "reason"),
    [
        ({"exp": NOW - 60, "iat": NOW - 120, "nbf": NOW - 120}, {}, Reason.TOKEN_EXPIRED),
        ({"nbf": NOW + 60}, {}, Reason.TOKEN_NOT_YET_VALID),
        ({"sub": "mina"}, {}, Reason.SUBJECT_INVALID),
        ({"iss": 7}, {}, Reason.ISSUER_MISMATCH),
        ({"iss": "https://other.example"}, {}, None),
        ({"act": {"sub": "user_2"}}, {}, None),
        ({}, {"alg": "HS256"}, Reason.TOKEN_ALGORITHM),
        ({}, {"cat": "cl_B7d4PD222AAA"}, Reason.TEMPLATE_TOKEN),
    ],
)
def test_what_can_be_checked_of_a_token_is(
    claims: dict[str, object], header: dict[str, object], reason: Reason | None
) -> None:
    token = clerk().mint(now=NOW, claims=claims, header=header)

    found = known(CallerWish(token=token))

    assert (found.caller if isinstance(found.caller, Reason) else None) is reason
    assert reason is None or any(f"refused: {reason}, " in note for note in found.notes)


@pytest.mark.parametrize(("takes_pending", "is_refused"), [(True, False), (False, True)])
def test_whether_a_pending_session_counts_is_the_rules_to_say_when_there_are_any(
    *, takes_pending: bool, is_refused: bool
) -> None:
    token = clerk().mint(now=NOW, claims={"sts": "pending"})

    found = known(CallerWish(token=token), takes_pending=takes_pending)

    assert is_refused == (found.caller is Reason.SESSION_PENDING)


def test_an_expired_token_says_when_it_counted() -> None:
    found = caller_of(
        CallerWish(token=TOKEN), now=NOW + 3600, stdin=io.BytesIO(), takes_pending=True
    )

    assert found.caller is Reason.TOKEN_EXPIRED
    assert found.notes[-1] == f"it counts from {NOW - 10:.0f} to {NOW + 60:.0f}; see --now"


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("token", [TOKEN, "opaque-and-secret", TOKEN.replace(".", "..")])
def test_a_token_is_never_shown(token: str, *, as_json: bool, policy: Path) -> None:
    text = explained(
        HttpRequest(target="/orgs/1/items"),
        CallerWish(token=token),
        policy=policy,
        as_json=as_json,
    )

    assert not any(part in text for part in (token, *token.split(".")) if part)


@pytest.mark.parametrize(
    ("kind", "who"), [({"token": "opaque"}, "refused"), ({}, "nobody")], ids=["refused", "nobody"]
)
def test_who_is_not_known_is_not_named(kind: dict[str, str], who: str) -> None:
    assert document(HttpRequest(), CallerWish(**kind))["caller"]["who"] == who  # type: ignore[arg-type] # a word


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser(prog="wicketgate")
    add_policy(parser.add_subparsers().add_parser)
    parsed = parser.parse_args(["policy", "explain", *arguments])
    return int(parsed.run(parsed))


def test_the_command_line_explains(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(
        *(
            "--policy",
            str(policy),
            "--json",
            "--method",
            "PUT",
            "--path",
            "/a?b",
            "--host",
            "x.com",
        ),
        *("--context", "exposure=internal", "--context", "a=b=c", "--header", "X-A: b:c"),
        *("--source", "spiffe://a", "--service", "ml", "--scope", "a", "--scope", "b"),
        *("--now", "1000"),
    )

    found = json.loads(capsys.readouterr().out)
    assert status == 0
    assert found["request"] == {
        "method": "PUT",
        "host": "x.com",
        "path": "/a?b",
        "context": {"exposure": "internal", "a": "b=c"},
        "headers": {"x-a": "b:c", "authorization": "(not shown)"},
        "source": "spiffe://a",
    }
    assert found["caller"]["who"] == "service:ml for a, b"
    assert found["now"] == 1000


def test_by_default_it_is_now_and_nobody_asks(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json", "--path", "/") == 0

    found = json.loads(capsys.readouterr().out)
    assert found["caller"]["who"] == "nobody"
    assert found["now"] > 1_700_000_000


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--context", "exposure"), "expected KEY=VALUE"),
        (("--context", "=a"), "expected KEY=VALUE"),
        (("--header", "x-a"), "expected NAME:VALUE"),
        (("--header", ":a"), "expected NAME:VALUE"),
        (("--header", "Authorization: Bearer s3cret"), "authorization is not taken here"),
        (("--header", "proxy-authorization:s3cret"), "proxy-authorization is not taken here"),
        (("--now", "noon"), "expected POSIX seconds"),
        (("--now", "nan"), "expected POSIX seconds"),
        (("--now", "-1"), "expected"),
        (("--now", "1e300"), "expected POSIX seconds"),
        (("--host", "a\nb"), "expected no control characters"),
        (("--method", "GET\n"), "expected no control characters"),
        (("--user", "--service", "ml"), "not allowed with"),
    ],
)
def test_arguments_that_cannot_be_used_are_usage_errors(
    arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        run("--path", "/", *arguments)

    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert complaint in said
    assert "s3cret" not in said


def test_scopes_without_a_service_are_complained_about() -> None:
    with pytest.raises(ConfigurationError, match=r"--scope: is of no use"):
        run("--path", "/", "--scope", "a")
