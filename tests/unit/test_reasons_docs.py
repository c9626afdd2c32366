"""docs/reasons.md has a section for each reason, and its commands show what it says.

What is ours is run, in this process; what is `curl` is judged as the request that it sends.
"""

import os
import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest

from conformance.mutations import Mint, rs512
from tokens import NOW, ORIGIN, clerk, judge, keys, refusal, stranger_key
from wicketgate.adapters.envoy import UnreadableError, request_from
from wicketgate.adapters.jwks_file import KeyFile
from wicketgate.cli import main
from wicketgate.core.credential import CookieRules
from wicketgate.core.decision import decide
from wicketgate.core.policy.parse import parse_policy
from wicketgate.core.reason import ANSWERS, PUBLIC_WORD, Reason
from wicketgate.core.request import HttpRequest
from wicketgate.core.revocation import NO_REVOCATIONS, RevocationSet, RevocationSource
from wicketgate.core.service_token_file import parse_service_tokens
from wicketgate.local.clerk_instance import ABSENT
from wicketgate.tools.token_report import PAGE as NAMED_PAGE
from wicketgate.tools.token_trace import Check

TOP: Final = Path(__file__).parents[2]
PAGE: Final = (TOP / NAMED_PAGE).read_text("utf-8")
WHO: Final = {"caller", "frontend developer", "policy author", "platform operator"}
EXAMPLE_TOKEN: Final = "an-example-token-that-is-of-no-use"


@dataclass(frozen=True)
class Block:
    """An example: what stands behind its fence, and what is inside."""

    language: str
    words: tuple[str, ...]
    body: str

    @property
    def file(self) -> str:
        """Where commands find it; empty for nowhere."""
        names = [word.removeprefix("file=") for word in self.words if word.startswith("file=")]
        return names[0] if names else ""


def blocks_in(text: str) -> list[Block]:
    fenced = re.compile(r"^```(\w+)(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
    return [Block(found[1], tuple(found[2].split()), found[3]) for found in fenced.finditer(text)]


SECTIONS: Final = {
    found[1]: found[2]
    for found in re.finditer(r"^### (\S+)\n((?:(?!##? |### ).*\n)*)", PAGE, re.MULTILINE)
}
POLICY: Final = next(each.body for each in blocks_in(PAGE) if each.file == "policy.yaml")

# --- the sections ------------------------------------------------------------------


def test_every_reason_has_a_section_and_nothing_else_has() -> None:
    assert sorted(re.findall(r"^### (.+)$", PAGE, re.MULTILINE)) == sorted(Reason)
    assert list(SECTIONS) == [*dict.fromkeys(SECTIONS)]


@pytest.mark.parametrize("reason", Reason)
def test_a_section_begins_with_what_the_caller_is_told_and_who_acts(reason: Reason) -> None:
    answer = ANSWERS[PUBLIC_WORD.get(reason, reason)]
    first = SECTIONS[reason].strip().splitlines()[0]
    error = f", `{answer.error}`" if answer.error else ""

    told, acts, who = first.partition(" Acts: ")

    assert told == f'**{answer.status}**{error}, "{answer.title}"'
    assert acts
    assert who.removesuffix(".") in WHO


@pytest.mark.parametrize("reason", Reason)
def test_a_section_says_how_to_see_it_and_what_to_look_at(reason: Reason) -> None:
    text = SECTIONS[reason]

    assert [each.language for each in blocks_in(text) if each.language in {"console", "sh"}]
    assert re.search(r"^\*\*Look at:\*\* .{10,}", text, re.MULTILINE)
    assert re.match(r"\n?.+\n\n[A-Z`].{40,}", text)


def test_every_anchor_that_is_linked_to_is_a_section() -> None:
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= set(Reason)


def test_every_anchor_of_the_other_page_exists() -> None:
    page = (TOP / "docs" / "operations.md").read_text("utf-8")
    headings = re.findall(r"^##+ (.+)$", page, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-") for each in headings}

    assert set(re.findall(r"operations\.md#([^)]+)\)", PAGE)) <= anchors


def test_every_metric_that_is_named_exists() -> None:
    sources = "".join(path.read_text() for path in (TOP / "src" / "wicketgate").rglob("*.py"))
    named = {name.removesuffix("_total") for name in re.findall(r"\bwicketgate_[a-z_]+", PAGE)}

    assert named
    assert [name for name in sorted(named) if f'"{name}"' not in sources] == []


def test_every_row_of_a_report_that_is_named_exists() -> None:
    named = re.findall(r"\brows? `(\w+)`", PAGE)

    assert named
    assert set(named) <= set(Check)


# --- the commands ------------------------------------------------------------------

Spoil = Callable[[], str]


def minted(
    claims: Mapping[str, object] | None = None, header: Mapping[str, object] | None = None
) -> Spoil:
    return lambda: clerk().mint(now=time.time(), claims=claims, header=header)


def aged(seconds: int) -> Spoil:
    return lambda: clerk().mint(now=time.time() - seconds)


def issued_ahead() -> str:
    at = int(time.time())
    return clerk().mint(now=at, claims={"iat": at + 3_600, "exp": at + 3_660})


TOKENS: Final[Mapping[Reason, Spoil]] = {
    Reason.TOKEN_TOO_LARGE: minted({"big": "x" * 9_000}),
    Reason.TOKEN_ALGORITHM: lambda: rs512(Mint(clerk=clerk(), stranger=stranger_key(), now=9)),
    Reason.TOKEN_TYPE: minted(header={"typ": "logout+jwt"}),
    Reason.TOKEN_HEADER_UNSUPPORTED: minted(header={"crit": ["exp"]}),
    Reason.TOKEN_CLASS: minted(header={"cat": "cl_B7d4PD444AAA"}),
    Reason.TEMPLATE_TOKEN: minted(header={"cat": "cl_B7d4PD222AAA"}),
    Reason.KEY_ID_INVALID: minted(header={"kid": ABSENT}),
    Reason.KEY_UNKNOWN: minted(header={"kid": "ins_another"}),
    Reason.SIGNATURE_INVALID: lambda: clerk().mint(now=time.time(), key=stranger_key()),
    Reason.CLAIMS_MALFORMED: minted({"exp": ABSENT}),
    Reason.ISSUER_MISMATCH: minted({"iss": "https://other-bat-2.clerk.accounts.dev"}),
    Reason.SUBJECT_INVALID: minted({"sub": "mina@example.com"}),
    Reason.SESSION_MISSING: minted({"sid": ABSENT}),
    Reason.TOKEN_EXPIRED: aged(3_600),
    Reason.TOKEN_NOT_YET_VALID: aged(-3_600),
    Reason.TOKEN_ISSUED_IN_FUTURE: issued_ahead,
    Reason.TOKEN_LIFETIME: minted({"exp": 1_790_000_060_000}),
    Reason.PARTY_MISSING: minted({"azp": ABSENT}),
    Reason.PARTY_MISMATCH: minted({"azp": ORIGIN}),
    Reason.AUDIENCE_MISMATCH: minted(),
    Reason.IMPERSONATION: minted({"act": {"sub": "user_support"}}),
    Reason.KEYS_UNAVAILABLE: minted(),
    Reason.USER_REVOKED: minted(),
    Reason.SESSION_REVOKED: minted(),
}
"""What is in ``token.txt``, of the sections that have one."""

SETTINGS: Final = ("CLERK_", "WICKETGATE_", "DATABASE_", "SERVICE_AUTH_")
NOT_SHOWN: Final = {
    *(Reason.COOKIE_AMBIGUOUS, Reason.COOKIE_CROSS_SITE, Reason.SERVICE_PRINCIPAL_MISMATCH),
    *(Reason.USER_REVOKED, Reason.SESSION_REVOKED, Reason.REVOCATIONS_UNAVAILABLE),
    *(Reason.REQUEST_UNREADABLE, Reason.PEER_NOT_ALLOWED, Reason.INTERNAL_ERROR),
}
"""Reasons that no command of ours brings about without a gate, a database or a mesh."""


@dataclass
class Shell:
    """Runs the commands of a section where its files are."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    statuses: list[int] = field(default_factory=list)

    def run(self, command: str) -> str:
        """Return what a command prints, and keep its exit status."""
        words = shlex.split(command)
        with self.monkeypatch.context() as patch:
            scope = self.monkeypatch if words[0] == "export" else patch
            words = words[words[0] == "export" :]
            while words and re.match(r"[A-Z_]+=", words[0]):
                scope.setenv(*words.pop(0).split("=", 1))
            if not words:
                return ""
            assert words.pop(0) == "wicketgate"
            self.statuses.append(status_of(words))
        printed = self.capsys.readouterr()
        return printed.out + printed.err


def status_of(arguments: Sequence[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as exit_:
        return int(exit_.code or 0)


@pytest.fixture
def shell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Shell:
    """Settings of an operator, with the copy of Clerk's keys that a gate has made."""
    return prepared(Shell(monkeypatch, capsys), tmp_path)


def prepared(shell: Shell, directory: Path) -> Shell:
    monkeypatch = shell.monkeypatch
    for name in [each for each in os.environ if each.startswith(SETTINGS)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(directory)
    cache = directory / "keys" / "jwks.json"
    KeyFile(cache, f"{clerk().issuer}/.well-known/jwks.json").save(clerk().jwks(), time.time())
    monkeypatch.setenv("CLERK_PUBLISHABLE_KEY", clerk().publishable_key)
    monkeypatch.setenv("WICKETGATE_JWKS_CACHE_FILE", str(cache))
    return shell


def lay_out(reason: Reason) -> None:
    """Write the files of a section where its commands find them."""
    Path("policy.yaml").write_text(POLICY, "utf-8")
    for block in blocks_in(SECTIONS[reason]):
        if block.file:
            Path(block.file).write_text(block.body, "utf-8")
    if reason in TOKENS:
        Path("token.txt").write_text(TOKENS[reason]() + "\n", "utf-8")


def steps_of(block: Block) -> list[tuple[str, str]]:
    """Return the commands of a block, each with what the page shows that it prints."""
    found = re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", block.body, re.MULTILINE)
    return [(command, shown) for command, shown in found]


def is_shown(output: str, shown: str) -> bool:
    """Tell whether the page shows `output`, with ``...`` for what is left out."""
    parts = re.split(r"(^\.\.\.\n|\.\.\.)", shown, flags=re.MULTILINE)
    patterns = {"...\n": r"(?:.*\n)+?", "...": ".+"}
    return bool(
        re.fullmatch("".join(patterns.get(each, re.escape(each)) for each in parts), output)
    )


@pytest.mark.parametrize("reason", Reason)
def test_the_commands_print_what_the_page_shows(reason: Reason, shell: Shell) -> None:
    lay_out(reason)
    whole = ""
    for block in blocks_in(SECTIONS[reason]):
        if block.language != "console" or "database" in block.words:
            continue
        for command, shown in steps_of(block):
            printed = shell.run(command)
            assert is_shown(printed, shown), f"{command}\n{printed}"
            whole += printed

    assert (reason in NOT_SHOWN) == (f" {reason}" not in whole)
    assert set(shell.statuses) <= {0, 1}


@pytest.mark.parametrize(
    "reason",
    [each for each in SECTIONS if any("database" in b.words for b in blocks_in(SECTIONS[each]))],
)
def test_commands_about_a_database_are_taken(reason: str, shell: Shell) -> None:
    """
    Where there is none they say so, which is neither done nor a mistake of theirs.
    """
    lay_out(Reason(reason))
    shell.monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    for block in blocks_in(SECTIONS[reason]):
        for command, _ in steps_of(block):
            printed = shell.run(command)
            assert printed.startswith("wicketgate: ")
            assert "127.0.0.1" in printed or "Postgres" in printed

    assert set(shell.statuses) == {1}


def test_every_token_is_of_a_section_that_has_one() -> None:
    assert set(TOKENS) == {each for each in SECTIONS if "token.txt" in SECTIONS[each]}


@pytest.mark.parametrize(
    ("output", "shown", "expected"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a\nb\n", "a\n", False),
        ("a\nb\nc\n", "...\nc\n", True),
        ("a 17 b\n", "a ... b\n", True),
        ("a\nd\n", "...\nc\n", False),
    ],
)
def test_dots_stand_for_what_is_left_out(output: str, shown: str, *, expected: bool) -> None:
    assert expected == is_shown(output, shown)


# --- what curl would be told -------------------------------------------------------


def requests_in(reason: Reason) -> list[HttpRequest]:
    """Return the requests that the `curl` commands of a section send."""
    return [
        _request(shlex.split(line))
        for block in blocks_in(SECTIONS[reason])
        if block.language == "sh"
        for line in block.body.splitlines()
        if line.startswith("curl ")
    ]


def _request(words: Sequence[str]) -> HttpRequest:
    headers = [words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H"]
    (url,) = [word for word in words if word.startswith("http://")]
    _, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    method = words[words.index("-X") + 1] if "-X" in words else "GET"
    return HttpRequest(
        method=method,
        host=host,
        target=f"/{path}",
        headers={
            name.lower(): value.replace("$TOKEN", clerk().mint(now=NOW)) for name, value in headers
        },
        context={"exposure": "internal"} if host.endswith(":10001") else {},
    )


COOKIES: Final = CookieRules.of_instance(clerk().publishable_key, frozenset({ORIGIN}))
DISTRUSTED: Final = RevocationSet()
DISTRUSTED.is_trusted = False


@pytest.mark.parametrize(
    ("reason", "revocations"),
    [
        (Reason.COOKIE_AMBIGUOUS, NO_REVOCATIONS),
        (Reason.COOKIE_CROSS_SITE, NO_REVOCATIONS),
        (Reason.SERVICE_PRINCIPAL_MISMATCH, NO_REVOCATIONS),
        (Reason.REVOCATIONS_UNAVAILABLE, DISTRUSTED),
    ],
)
def test_a_request_of_curl_s_is_denied_for_the_reason(
    reason: Reason, revocations: RevocationSource
) -> None:
    files = {each.file: each.body for each in blocks_in(SECTIONS[reason])}
    named = parse_service_tokens(files["tokens.yaml"]) if "tokens.yaml" in files else ()
    sent = requests_in(reason)

    assert sent
    for each in sent:
        decision = decide(
            each,
            judge=judge(named=named, cookies=COOKIES),
            policy=parse_policy(POLICY).policy,
            keys=keys(),
            revocations=revocations,
            now=NOW,
        )
        assert refusal(decision) == reason


def test_without_its_fault_the_request_is_not_denied_for_the_reason() -> None:
    """
    The request that revocations refuse is a good one otherwise.
    """
    (sent,) = requests_in(Reason.REVOCATIONS_UNAVAILABLE)
    decision = decide(
        sent,
        judge=judge(),
        policy=parse_policy(POLICY).policy,
        keys=keys(),
        revocations=NO_REVOCATIONS,
        now=NOW,
    )

    assert refusal(decision) is None


@pytest.mark.parametrize(
    ("reason", "is_readable"),
    [(Reason.REQUEST_UNREADABLE, False), (Reason.PEER_NOT_ALLOWED, True)],
)
def test_what_is_sent_to_the_gate_itself_is_a_check_or_none(
    reason: Reason, *, is_readable: bool
) -> None:
    (written,) = re.findall(r"^printf '((?:\\[0-7]+)+)'", SECTIONS[reason], re.MULTILINE)
    raw = bytes(int(octet, 8) for octet in written.split("\\")[1:])
    length, message = int.from_bytes(raw[1:5], "big"), raw[5:]
    read = False

    with suppress(UnreadableError):
        request_from(message)
        read = True

    assert (raw[0], length) == (0, len(message))
    assert read == is_readable


def test_the_token_of_the_examples_is_the_one_whose_digest_is_shown() -> None:
    digests = set(re.findall(r"sha256: ([0-9a-f]{64})", PAGE))

    assert digests == {sha256(EXAMPLE_TOKEN.encode()).hexdigest()}
    assert PAGE.count(EXAMPLE_TOKEN) == 2
