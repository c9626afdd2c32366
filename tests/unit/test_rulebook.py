"""What a gate judges by, read from the files that the settings name."""

import gc
import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from certificates import Authority
from tokens import ISSUER, ORIGIN, clerk, decision_on, refusal, request, valid_token
from wicketgate.app.rulebook import LoadedRules, check_rules, load_rules, rules_of_tokens
from wicketgate.core.policy.routes import Admission, RoutePolicy
from wicketgate.core.policy.rule import Exposure, Match, Rule, UserTerms
from wicketgate.core.token import TokenVerifier
from wicketgate.errors import ConfigurationError
from wicketgate.local.clerk_instance import ClerkInstance
from wicketgate.settings import AuthzSettings

TOKEN = "5eb63bbbe01eeed093cb22bb8f5acdc35eb63bbbe01eeed0"
OTHER_TOKEN = "f1c9645dbc14efddc7d8a322685f26eb93cb22bb8f5acdc3"
POLICY = "version: 1\nrules:\n  - {name: mine, match: {paths: /mine}, allow: user}\n"


def tokens_file(*tokens: str) -> str:
    """Return a file of named service tokens."""
    digests = [sha256(token.encode()).hexdigest() for token in tokens]
    entries = [{"name": "billing", "sha256": digest, "scopes": ["mine"]} for digest in digests]
    return json.dumps({"version": 1, "tokens": entries})


class Files:
    """The environment of a gate, and the files that it names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {"CLERK_JWT_KEY": clerk().public_pem, "CLERK_ISSUER": ISSUER}

    def name(self, setting: str, text: str | None = None) -> Path:
        """Name a file by `setting`, and unless `text` is `None`, write it."""
        path = self.folder / setting.lower()
        self.environ[setting] = str(path)
        if text is not None:
            path.write_text(text)
        return path

    def load(self) -> LoadedRules:
        settings = AuthzSettings.from_environ(self.environ)
        return load_rules(self.environ, TokenVerifier(rules_of_tokens(settings)))

    def mistakes(self) -> tuple[str, ...]:
        """Return what is wrong; both ways of reading have to say the same."""
        with pytest.raises(ConfigurationError) as loading:
            self.load()
        with pytest.raises(ConfigurationError) as checking:
            check_rules(self.environ)
        assert loading.value.mistakes == checking.value.mistakes
        return loading.value.mistakes


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def rule_for(loaded: LoadedRules, path: str) -> Rule:
    match = loaded.rulebook.policy.match(request(target=path))
    assert isinstance(match, Match)
    return match.rule


# --- what is read ------------------------------------------------------------


def test_what_is_read_has_names(files: Files) -> None:
    """The default comes first, because it decides whatever the file forgot."""
    routes = files.load()
    policy = files.name("WICKETGATE_POLICY_FILE", POLICY)
    files.name("WICKETGATE_SERVICE_TOKENS_FILE", tokens_file(TOKEN, OTHER_TOKEN))
    loaded = files.load()

    assert set(routes.rule_names) == {
        f"{exposure}:{admission}" for exposure in Exposure for admission in Admission
    }
    assert (routes.token_names, routes.digest) == ((), "")
    assert loaded.rule_names == ("default", "mine")
    assert loaded.token_names == ("billing", "billing")
    assert loaded.digest == sha256(policy.read_bytes()).hexdigest()


def test_without_a_policy_file_the_routes_decide(files: Files) -> None:
    loaded = files.load()

    assert isinstance(loaded.rulebook.policy, RoutePolicy)
    assert (loaded.rules, loaded.tokens) == (None, 0)
    assert not loaded.rulebook.judge.service_tokens


def test_a_policy_file_is_the_policy(files: Files) -> None:
    files.name("WICKETGATE_POLICY_FILE", POLICY)

    loaded = files.load()

    assert loaded.rules == 1
    assert rule_for(loaded, "/mine").name == "mine"
    assert rule_for(loaded, "/else").name == "default"


def test_the_claims_that_a_policy_reads_are_known(files: Files) -> None:
    rule = "{name: a, allow: user, when: claims.plan == 'pro'}"
    files.name("WICKETGATE_POLICY_FILE", f"version: 1\nrules: [{rule}]\n")

    assert files.load().rulebook.claims == {"plan"}


def test_service_tokens_come_from_the_settings_and_from_their_file(files: Files) -> None:
    files.environ["SERVICE_AUTH_TOKEN"] = TOKEN
    files.name("WICKETGATE_SERVICE_TOKENS_FILE", tokens_file(OTHER_TOKEN))

    loaded = files.load()

    static, named = map(loaded.rulebook.judge.service_tokens.recognise, (TOKEN, OTHER_TOKEN))
    assert loaded.tokens == 2
    assert static is not None
    assert [static.name, *static.scopes] == ["static", "*"]
    assert named is not None
    assert [named.name, *named.scopes] == ["billing", "mine"]


def test_everything_is_read_anew_each_time(files: Files) -> None:
    policy = files.name("WICKETGATE_POLICY_FILE", POLICY)
    named = files.name("WICKETGATE_SERVICE_TOKENS_FILE", tokens_file(TOKEN))
    static = files.name("SERVICE_AUTH_TOKEN_FILE", TOKEN)
    del files.environ["CLERK_JWT_KEY"]
    key = files.name("CLERK_JWT_KEY_FILE", clerk().public_pem)
    before = files.load()

    policy.write_text(POLICY.replace("mine", "yours"))
    named.write_text(tokens_file(OTHER_TOKEN))
    static.write_text(f"{TOKEN},{OTHER_TOKEN}")
    key.write_text(ClerkInstance().public_pem)
    after = files.load()

    assert (before.rules, after.rules) == (1, 1)
    assert rule_for(before, "/mine").name == "mine"
    assert rule_for(after, "/yours").name == "yours"
    assert before.rulebook.judge.service_tokens.recognise(OTHER_TOKEN) is None
    assert after.rulebook.judge.service_tokens.recognise(OTHER_TOKEN) is not None
    assert (before.tokens, after.tokens) == (2, 3)
    assert before.settings.pem_keys != after.settings.pem_keys


def test_the_verifier_and_what_it_remembers_outlive_a_reading(files: Files) -> None:
    verifier = TokenVerifier(rules_of_tokens(AuthzSettings.from_environ(files.environ)))

    before = load_rules(files.environ, verifier)
    after = load_rules(files.environ, verifier)

    assert before.rulebook.judge.verifier is after.rulebook.judge.verifier is verifier


@pytest.mark.parametrize(("detail", "always"), [("standard", False), ("replay", True)])
def test_for_replays_everybody_is_identified(detail: str, *, always: bool, files: Files) -> None:
    files.environ["WICKETGATE_DECISION_DETAIL"] = detail

    assert always == files.load().rulebook.judge.always_identify


def test_cookies_are_read_where_the_settings_say_so(files: Files) -> None:
    assert files.load().rulebook.judge.cookies is None

    files.environ |= {
        "CLERK_PUBLISHABLE_KEY": "pk_test_YWJsZS1tb2xlLTEuY2xlcmsuYWNjb3VudHMuZGV2JA",
        "WICKETGATE_SESSION_COOKIES": "true",
        "CLERK_AUTHORIZED_PARTIES": ORIGIN,
    }
    assert files.load().rulebook.judge.cookies is not None


# --- pending and impersonated users ------------------------------------------


@pytest.mark.parametrize("pending", [False, True])
@pytest.mark.parametrize("impersonation", [False, True])
def test_without_a_policy_file_the_settings_say_which_users_count(
    files: Files, *, pending: bool, impersonation: bool
) -> None:
    files.environ["WICKETGATE_PENDING_SESSIONS"] = str(pending)
    files.environ["WICKETGATE_IMPERSONATION"] = "allow" if impersonation else "deny"

    rules = rules_of_tokens(AuthzSettings.from_environ(files.environ))

    assert (rules.pending_sessions, rules.impersonation) == (pending, impersonation)


@pytest.mark.parametrize("pending", [False, True])
@pytest.mark.parametrize("impersonation", [False, True])
def test_with_a_policy_file_they_say_what_a_rule_means_that_does_not(
    files: Files, *, pending: bool, impersonation: bool
) -> None:
    files.environ["WICKETGATE_PENDING_SESSIONS"] = str(pending)
    files.environ["WICKETGATE_IMPERSONATION"] = "allow" if impersonation else "deny"
    explicit = "{name: b, match: {paths: /b}, allow: {user: {actor: deny, pending: allow}}}"
    files.name("WICKETGATE_POLICY_FILE", f"{POLICY}  - {explicit}\n")

    settings = AuthzSettings.from_environ(files.environ)
    rules, loaded = rules_of_tokens(settings), files.load()

    # No token is refused for it before a rule is asked.
    assert (rules.pending_sessions, rules.impersonation) == (True, True)
    assert (rules.issuers, rules.skew_seconds) == (
        settings.rules.issuers,
        settings.rules.skew_seconds,
    )
    assert rule_for(loaded, "/mine").users == (UserTerms(actor=impersonation, pending=pending),)
    assert rule_for(loaded, "/b").users == (UserTerms(actor=False, pending=True),)


# --- mistakes ----------------------------------------------------------------


def test_every_mistake_of_every_file_is_told_at_once(files: Files) -> None:
    policy = files.name(
        "WICKETGATE_POLICY_FILE", "version: 2\nrules:\n  - {name: a, alow: user}\n"
    )
    named = files.name("WICKETGATE_SERVICE_TOKENS_FILE", "version: 1\ntokens:\n  - {name: A}\n")
    certificate = files.name("WICKETGATE_TLS_CERT_FILE", "")
    key = files.name("WICKETGATE_TLS_KEY_FILE", "")

    tls, *others = files.mistakes()

    assert tls.startswith("WICKETGATE_TLS_CERT_FILE and WICKETGATE_TLS_KEY_FILE: ")
    assert f"expected a PEM certificate chain and its private key ({certificate}, {key})" in tls
    assert [other.partition(": ")[0] for other in others] == [
        f"{policy}:1:10",
        f"{policy}:3:5",
        f"{policy}:3:15",
        f"{named}:3:5",
        f"{named}:3:5",
        f"{named}:3:12",
    ]
    assert others[2] == (
        f"{policy}:3:15: rules[0].alow: is not a word of this file; did you mean allow?"
    )


@pytest.mark.parametrize("setting", ["WICKETGATE_POLICY_FILE", "WICKETGATE_SERVICE_TOKENS_FILE"])
def test_a_file_that_cannot_be_read_is_one_line(setting: str, files: Files) -> None:
    path = files.name(setting)

    assert files.mistakes() == (
        f"{path}: cannot be read (no such file or directory); expected a file of text",
    )


def test_what_is_good_is_of_no_use_beside_what_is_not(files: Files) -> None:
    files.name("WICKETGATE_POLICY_FILE", POLICY)
    path = files.name("WICKETGATE_SERVICE_TOKENS_FILE", "version: 1\ntokens: []\n")

    (line,) = files.mistakes()

    assert line.startswith(f"{path}:2:9: tokens: expected at least one")


def test_a_header_that_carries_the_identity_is_the_settings_to_set(files: Files) -> None:
    files.environ["WICKETGATE_IDENTITY_ALIASES"] = "X-User"
    headers = "    headers: {x_user: org_id}\n"
    path = files.name(
        "WICKETGATE_POLICY_FILE", f"version: 1\nrules:\n  - name: a\n    allow: user\n{headers}"
    )

    assert files.mistakes() == (
        f"{path}:5:15: rules[0].headers.x_user: carries the identity; expected another",
    )


def test_certificates_that_can_be_used_are_no_mistake(files: Files, tmp_path: Path) -> None:
    certificate, key = Authority().server().write(tmp_path, "server")
    files.environ |= {
        "WICKETGATE_TLS_CERT_FILE": str(certificate),
        "WICKETGATE_TLS_KEY_FILE": str(key),
    }

    assert files.load().rules is None
    check_rules(files.environ)


def test_certificates_that_cannot_be_used_are_a_mistake_beside_a_good_policy(
    files: Files,
) -> None:
    files.name("WICKETGATE_POLICY_FILE", POLICY)
    for setting in ("CERT", "KEY"):
        files.name(f"WICKETGATE_TLS_{setting}_FILE", "")

    (line,) = files.mistakes()

    assert line.startswith("WICKETGATE_TLS_CERT_FILE and WICKETGATE_TLS_KEY_FILE: ")


def test_mistakes_in_the_settings_come_before_all_files(files: Files) -> None:
    files.environ["WICKETGATE_LOG_LEVEL"] = "loud"

    with pytest.raises(ConfigurationError, match=r"^WICKETGATE_LOG_LEVEL is 'loud'; expected"):
        check_rules(files.environ)


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        f"version: 1\ntokens: {TOKEN}",
        f"version: 1\ntokens: [{TOKEN}]",
        f"version: 1\ntokens: [{{name: {TOKEN}}}]",
        f"version: 1\ntokens: [{{name: a, {TOKEN}: b}}]",
        f"version: 1\ntokens: [{{name: a, sha256: {TOKEN}}}]",
        f"version: 1\ntokens: [{{name: a, sha256: a, scopes: [{TOKEN}!]}}]",
        f"version: 1\ntokens: [{{name: a, not_after: {TOKEN}, principal: spiffe:{TOKEN}}}]",
        f"version: 1\ntokens: *{TOKEN}",
        f"version: 1\n{TOKEN}: a\n{TOKEN}: b",
    ],
)
def test_no_mistake_repeats_a_token_in_the_wrong_place(text: str, files: Files) -> None:
    files.name("WICKETGATE_SERVICE_TOKENS_FILE", text)
    files.environ["SERVICE_AUTH_TOKEN"] = OTHER_TOKEN

    said = "\n".join(files.mistakes())

    assert TOKEN not in said
    assert OTHER_TOKEN not in said


def test_a_secret_that_can_be_read_only_once_is_enough_to_check(files: Files) -> None:
    """
    ``SERVICE_AUTH_TOKEN_FILE=<(vault read ...)`` names a pipe.
    """
    reader, writer = os.pipe()
    try:
        os.write(writer, TOKEN.encode())
        os.close(writer)
        files.environ["SERVICE_AUTH_TOKEN_FILE"] = f"/dev/fd/{reader}"

        check_rules(files.environ)
    finally:
        os.close(reader)


# --- the garbage collector ---------------------------------------------------


@pytest.fixture
def collector() -> Iterator[None]:
    """Leave the collector as it was."""
    was_enabled = gc.isenabled()
    yield
    (gc.enable if was_enabled else gc.disable)()


@pytest.mark.usefixtures("collector")
@pytest.mark.parametrize("is_enabled", [False, True])
@pytest.mark.parametrize("text", [POLICY, "version: 2\nrules: []\n", "\0"])
def test_the_collector_is_left_as_it_was(text: str, files: Files, *, is_enabled: bool) -> None:
    files.name("WICKETGATE_POLICY_FILE", text)
    (gc.enable if is_enabled else gc.disable)()

    try:
        files.load()
    except ConfigurationError:
        assert text != POLICY

    assert gc.isenabled() is is_enabled


# --- whether it all works together -------------------------------------------


def test_requests_are_decided_by_what_was_loaded(files: Files) -> None:
    files.name("WICKETGATE_POLICY_FILE", POLICY)
    rulebook = files.load().rulebook

    def reason(path: str, bearer: str | None = None) -> str | None:
        asked = request(bearer, target=path)
        return refusal(decision_on(asked, by=rulebook.judge, policy=rulebook.policy))

    assert reason("/mine", valid_token()) is None
    assert reason("/mine") == "no_credential"
    assert reason("/else", valid_token()) == "nobody_admitted"
