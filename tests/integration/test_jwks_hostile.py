"""Keys over real HTTP, from a server that means no good."""

import asyncio
import gzip
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hostile_jwks import (
    BOMB_BYTES,
    HostileJwks,
    Responder,
    answer,
    bomb,
    drip,
    endless,
    raw,
    redirect,
    reset,
    silence,
    truncated,
    truncated_chunk,
)
from wicketgate.adapters.jwks import JwksClient, JwksTiming, KeyStore
from wicketgate.adapters.jwks_file import KeyFile
from wicketgate.adapters.jwks_http import LIMIT_BYTES, HttpFetch, open_session
from wicketgate.core.claims import Claims, TokenRules
from wicketgate.core.keys import KeySet
from wicketgate.core.reason import Reason
from wicketgate.core.token import MissingKey, TokenVerifier
from wicketgate.errors import DependencyError, InternalError
from wicketgate.local.clerk_instance import ClerkInstance, base64url, new_key

NOW = 1_800_000_000.0
TIMEOUT_SECONDS = 0.8
KEY = new_key()
OTHER_KEY = new_key()
SECRET = "sk_test_do_not_repeat_me"


@dataclass
class Clock:
    """POSIX seconds that only the tests move."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Diary:
    """Writes down what it is told."""

    changes: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def keys_changed(self, keys: KeySet) -> None:
        self.changes.append(len(keys.keys))

    def refreshed(self) -> None:
        pass

    def refresh_failed(self, error: str) -> None:
        self.failures.append(error)


class Gate:
    """A client and a verifier, as a gate has them, with the background parked."""

    def __init__(
        self, fetch: Callable[[], Awaitable[bytes]], issuer: str, store: KeyStore | None
    ) -> None:
        self.clock = Clock()
        self.diary = Diary()
        self.verifier = TokenVerifier(TokenRules(issuers=frozenset({issuer})))
        self.client = JwksClient(
            fetch,
            timing=JwksTiming(wait_seconds=5),
            clock=self.clock,
            jitter=lambda: 0.5,
            observer=self.diary,
            store=store,
            sleep=_never,
        )

    async def judge(self, token: str) -> Claims | Reason:
        """Verify `token`, refresh when that is asked for, and verify once more."""
        outcome = self._verify(token)
        if not isinstance(outcome, MissingKey):
            return outcome
        is_current = await self.client.refresh(outcome.kid)
        outcome = self._verify(token)
        if isinstance(outcome, MissingKey):
            return outcome.if_current if is_current else outcome.if_stale
        return outcome

    def _verify(self, token: str) -> Claims | Reason | MissingKey:
        return self.verifier.verify(token, keys=self.client.snapshot, now=self.clock.now)


async def _never(_: float) -> None:
    await asyncio.Event().wait()


@asynccontextmanager
async def gate_at(url: str, issuer: str, *, store: KeyStore | None = None) -> AsyncIterator[Gate]:
    async with open_session() as session:
        fetch = HttpFetch(url, session, timeout_seconds=TIMEOUT_SECONDS)
        gate = Gate(fetch, issuer, store)
        try:
            yield gate
        finally:
            await gate.client.close()


@pytest.fixture
def clerk() -> ClerkInstance:
    return ClerkInstance(key=KEY)


@pytest.fixture
async def server(clerk: ClerkInstance) -> AsyncIterator[HostileJwks]:
    async with HostileJwks(answer(clerk.jwks())) as server:
        yield server


@pytest.fixture
async def gate(server: HostileJwks, clerk: ClerkInstance) -> AsyncIterator[Gate]:
    """A gate that has its first keys."""
    async with gate_at(server.url, clerk.issuer) as gate:
        assert await gate.client.refresh("first") is True
        gate.clock.now += 30
        yield gate


def forged(clerk: ClerkInstance, number: int) -> str:
    """Return a token with a signature of noise; every other one names a kid of its own."""
    header = {"kid": f"ins_forged{number}"} if number % 2 else {}
    parts = ({"alg": "RS256", "kid": clerk.kid} | header, clerk.claims(now=NOW))
    unsigned = ".".join(base64url(json.dumps(part).encode()) for part in parts)
    return f"{unsigned}.{base64url(number.to_bytes(256, 'big'))}"


async def test_a_good_document_is_asked_for_plainly(server: HostileJwks, gate: Gate) -> None:
    """One request, without cookies, credentials or a wish for compression."""
    assert gate.client.snapshot
    (head,) = server.requests
    assert head.startswith("GET /.well-known/jwks.json HTTP/1.1\r\n")
    assert "Accept-Encoding: identity\r\n" in head
    assert "cookie" not in head.lower()
    assert "authorization" not in head.lower()


async def test_cookies_are_not_kept(server: HostileJwks, clerk: ClerkInstance, gate: Gate) -> None:
    """What a server sets is not sent back."""
    server.respond = answer(clerk.jwks(), headers={"Set-Cookie": "a=b"})
    await gate.client.refresh("one")
    gate.clock.now += 30
    await gate.client.refresh("two")
    assert len(server.requests) == 3
    assert "cookie" not in server.requests[-1].lower()


@pytest.mark.parametrize(
    "kid", [None, "ins_2xTheNewKeyOfTheInstance"], ids=["same kid", "new kid"]
)
async def test_a_rotation_is_followed_by_the_first_token(
    server: HostileJwks, clerk: ClerkInstance, gate: Gate, kid: str | None
) -> None:
    """The new key's token brings the new keys; from then on the old key's is refused."""
    old_token = clerk.mint(now=NOW + 30)
    assert isinstance(await gate.judge(old_token), Claims)
    clerk.rotate(kid=kid)
    new_token = clerk.mint(now=NOW + 30)
    server.respond = answer(clerk.jwks())
    assert isinstance(await gate.judge(old_token), Claims), "until anybody knows of the rotation"

    assert isinstance(await gate.judge(new_token), Claims)
    expected = Reason.KEY_UNKNOWN if kid else Reason.SIGNATURE_INVALID
    assert await gate.judge(old_token) is expected
    assert len(server.requests) == 2


async def test_two_keys_serve_both_tokens(
    server: HostileJwks, clerk: ClerkInstance, gate: Gate
) -> None:
    """While both keys are published, both count; under one kid as well."""
    old_token, old_entry = clerk.mint(now=NOW + 30), clerk.jwk()
    clerk.rotate()
    server.respond = answer(json.dumps({"keys": [old_entry, clerk.jwk()]}).encode())

    assert isinstance(await gate.judge(clerk.mint(now=NOW + 30)), Claims)
    assert isinstance(await gate.judge(old_token), Claims)


async def test_entries_that_are_not_rsa_do_not_stand_in_the_way(
    server: HostileJwks, clerk: ClerkInstance, gate: Gate
) -> None:
    """``oct`` and ``EC`` first, under the same kid."""
    clerk.rotate()
    oct_entry = {"kty": "oct", "kid": clerk.kid, "k": "c2VjcmV0", "alg": "HS256"}
    ec_entry = {"kty": "EC", "kid": clerk.kid, "crv": "P-256", "x": "AQAB", "y": "AQAB"}
    server.respond = answer(json.dumps({"keys": [oct_entry, ec_entry, clerk.jwk()]}).encode())

    assert isinstance(await gate.judge(clerk.mint(now=NOW + 30)), Claims)


def good() -> bytes:
    """Return a document that would do, had it come in another way."""
    return ClerkInstance(key=OTHER_KEY).jwks()


def padded(size: int) -> bytes:
    document = good()
    return document[:-1] + b" " * (size - len(document)) + document[-1:]


BAD_ANSWERS: list[tuple[str, Callable[[], Responder], str]] = [
    ("empty", lambda: answer(b""), "not strict JSON"),
    ("no keys", lambda: answer(b"{}"), "no list of keys"),
    ("empty list", lambda: answer(b'{"keys":[]}'), "none of the 0 entries"),
    ("wrong json", lambda: answer(b'{"errors":[{"code":"' + SECRET.encode() + b'"}]}'), "no list"),
    ("html", lambda: answer(f"<html>{SECRET}</html>".encode()), "not strict JSON"),
    ("500", lambda: answer(good(), status=500), "status 500: the server fails"),
    ("503", lambda: answer(good(), status=503), "status 503: the server fails"),
    ("429", lambda: answer(b"", status=429, headers={"Retry-After": "9"}), "too many requests"),
    ("401", lambda: answer(good(), status=401), "without credentials"),
    ("403", lambda: answer(good(), status=403), "without credentials"),
    ("404", lambda: answer(good(), status=404), "check CLERK_JWKS_URL"),
    ("204", lambda: raw(b"HTTP/1.1 204 No\r\nConnection: close\r\n\r\n"), "status 204 instead"),
    ("silence", silence, "no complete answer in time"),
    ("drip", lambda: drip(good()), "no complete answer in time"),
    ("truncated", lambda: truncated(good()), "cut short"),
    ("truncated chunk", lambda: truncated_chunk(good()), "cut short"),
    ("huge", lambda: answer(padded(LIMIT_BYTES + 1)), "larger than 65536 bytes"),
    ("endless", endless, "larger than 65536 bytes"),
    ("gzip bomb", bomb, "compressed"),
    (
        "gzip",
        lambda: answer(gzip.compress(good()), headers={"Content-Encoding": "gzip"}),
        "compressed",
    ),
    (
        "unknown encoding",
        lambda: answer(good(), headers={"Content-Encoding": SECRET}),
        "compressed",
    ),
    ("reset", reset, "connection broke"),
    (
        "reset in mid-answer",
        lambda: reset(after=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
        "127.0.0.1: the ",  # the reset may overtake the beginning of the answer
    ),
    ("hang up", lambda: raw(b""), "closed without an answer"),
    ("not http", lambda: raw(f"SSH-2.0-{SECRET}\r\n\r\n".encode()), "is not HTTP"),
    (
        "huge header",
        lambda: raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"),
        "is not HTTP",
    ),
    (
        "two lengths",
        lambda: raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}"),
        "is not HTTP",
    ),
]


@pytest.mark.parametrize(
    ("respond", "complaint"),
    [pytest.param(respond, complaint, id=name) for name, respond, complaint in BAD_ANSWERS],
)
async def test_a_bad_answer_changes_no_key(
    server: HostileJwks,
    clerk: ClerkInstance,
    gate: Gate,
    respond: Callable[[], Responder],
    complaint: str,
) -> None:
    """The old keys go on serving, one line says what is wrong, and the next answer counts."""
    before = gate.client.snapshot
    token = clerk.mint(now=NOW + 30)
    server.respond = respond()

    assert await gate.client.refresh("unknown") is False

    assert len(server.requests) == 2
    assert gate.client.snapshot is before
    assert isinstance(await gate.judge(token), Claims)
    (line,) = gate.diary.failures
    assert complaint in line
    assert line == gate.client.status().last_error
    assert len(line.splitlines()) == 1
    assert SECRET not in line

    server.respond = answer(clerk.jwks())
    gate.clock.now += 30
    assert await gate.client.refresh("unknown") is True
    assert gate.client.snapshot is before


async def test_a_bad_answer_at_first_leaves_no_keys(
    server: HostileJwks, clerk: ClerkInstance
) -> None:
    """Without keys the gate cannot decide, and says that rather than that the token is bad."""
    server.respond = answer(good(), status=500)
    async with gate_at(server.url, clerk.issuer) as gate:
        assert await gate.judge(clerk.mint(now=NOW)) is Reason.KEYS_UNAVAILABLE
        assert not gate.client.snapshot
        assert gate.diary.changes == []


async def test_a_document_of_the_largest_size_is_read(
    server: HostileJwks, clerk: ClerkInstance, gate: Gate
) -> None:
    """The limit is inclusive, in one piece and in chunks."""
    server.respond = answer(padded(LIMIT_BYTES))
    assert await gate.client.refresh("unknown") is True

    gate.clock.now += 30
    body = clerk.jwks()
    chunks = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    server.respond = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    assert await gate.client.refresh("unknown") is True
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(
    server: HostileJwks, clerk: ClerkInstance, gate: Gate, status: int
) -> None:
    """It could lead anywhere: to keys of somebody else, or into the internal network."""
    before = gate.client.snapshot
    async with HostileJwks(answer(good())) as elsewhere:
        server.respond = redirect(elsewhere.url, status=status)

        assert await gate.client.refresh("unknown") is False

        assert elsewhere.requests == []
    assert gate.client.snapshot is before
    assert gate.client.status().last_error == (
        f"Clerk's keys could not be fetched from 127.0.0.1: status {status}, a redirect, "
        "which is not followed: set CLERK_JWKS_URL to where the keys are"
    )
    assert isinstance(await gate.judge(clerk.mint(now=NOW + 30)), Claims)


def test_the_bomb_is_one() -> None:
    """On the wire it would pass for a document; unpacked it is huge."""
    assert len(gzip.compress(bytes(BOMB_BYTES))) < LIMIT_BYTES < BOMB_BYTES


@pytest.mark.parametrize(
    ("respond", "kid_reason"),
    [
        pytest.param(None, Reason.KEY_UNKNOWN, id="healthy"),
        pytest.param(answer(b"", status=500), Reason.KEYS_UNAVAILABLE, id="down"),
        pytest.param(silence(), Reason.KEYS_UNAVAILABLE, id="hanging"),
    ],
)
async def test_a_thousand_forged_tokens_cause_one_fetch_per_cooldown(
    server: HostileJwks,
    clerk: ClerkInstance,
    gate: Gate,
    respond: Responder | None,
    kid_reason: Reason,
) -> None:
    """Whether Clerk answers or not, and whether the kid is known or not."""
    tokens = [forged(clerk, number) for number in range(1_000)]
    server.respond = respond or server.respond

    async def burst() -> None:
        answers = await asyncio.gather(*map(gate.judge, tokens))
        assert set(answers[1::2]) == {kid_reason}
        assert set(answers[::2]) == {Reason.SIGNATURE_INVALID}

    await burst()
    assert len(server.requests) == 2
    gate.clock.now += 29.9
    await burst()
    assert len(server.requests) == 2
    gate.clock.now += 0.2
    await burst()
    assert len(server.requests) == 3
    assert gate.client.snapshot


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


async def test_a_gate_starts_while_clerk_is_unreachable(clerk: ClerkInstance) -> None:
    """At once, without keys, and says what to check."""
    async with gate_at(f"http://127.0.0.1:{free_port()}/jwks", clerk.issuer) as gate:
        await gate.client.start()
        assert await gate.judge(clerk.mint(now=NOW)) is Reason.KEYS_UNAVAILABLE
        assert gate.client.status().usable is False
        assert "no connection: check CLERK_JWKS_URL" in gate.diary.failures[0]


async def test_a_gate_starts_from_the_copy_of_the_one_before(
    clerk: ClerkInstance, tmp_path: Path
) -> None:
    """Keys fetched by one process serve the next, but not one with another URL."""
    path = tmp_path / "cache" / "jwks.json"
    async with HostileJwks(answer(clerk.jwks())) as server:
        url = server.url
        store = KeyFile(path, url, clock=Clock())
        async with gate_at(url, clerk.issuer, store=store) as first:
            assert await first.client.refresh("any") is True

    async with gate_at(url, clerk.issuer, store=store) as second:
        second.clock.now += 40
        await second.client.start()
        assert isinstance(await second.judge(clerk.mint(now=NOW + 40)), Claims)
        assert second.client.status().age_seconds == 40

    elsewhere = f"http://127.0.0.1:{free_port()}/jwks"
    store = KeyFile(path, elsewhere, clock=Clock())
    async with gate_at(elsewhere, clerk.issuer, store=store) as third:
        await third.client.start()
        assert not third.client.snapshot
        assert "another JWKS URL" in third.diary.failures[0]


async def fetched_from(url: str, session: aiohttp.ClientSession) -> str:
    """Return the one line with which fetching from `url` fails."""
    with pytest.raises(DependencyError) as caught:
        await HttpFetch(url, session, timeout_seconds=TIMEOUT_SECONDS)()
    return str(caught.value)


async def test_tls_that_fails_says_so() -> None:
    """An https URL that leads to something which speaks plainly, and first."""

    def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"220 {SECRET} ESMTP\r\n".encode())
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, open_session() as session:
        line = await fetched_from(f"https://127.0.0.1:{port}/jwks", session)
    assert "TLS failed" in line
    assert SECRET not in line


async def test_a_certificate_that_nobody_vouches_for_says_so(tmp_path: Path) -> None:
    """And the request is never sent."""
    async with HostileJwks(answer(good()), tls=_self_signed(tmp_path)) as server:
        async with open_session() as session:
            line = await fetched_from(server.url, session)
        assert server.requests == []
    assert "the certificate is not trusted" in line


def _self_signed(directory: Path) -> ssl.SSLContext:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(KEY, SHA256())
    )
    path = directory / "server.pem"
    path.write_bytes(
        KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def test_a_name_that_does_not_resolve_says_so() -> None:
    """The commonest mistake in CLERK_JWKS_URL."""

    class Nowhere(AbstractResolver):
        async def resolve(
            self,
            host: str,
            port: int = 0,
            family: socket.AddressFamily = socket.AF_INET,
        ) -> list[ResolveResult]:
            raise OSError(None, f"{SECRET} {host} {port} {family}")

        async def close(self) -> None:
            pass

    connector = aiohttp.TCPConnector(resolver=Nowhere())
    async with aiohttp.ClientSession(connector=connector) as session:
        line = await fetched_from("http://clerk.invalid/jwks", session)
    assert line == (
        "Clerk's keys could not be fetched from clerk.invalid: "
        "the name does not resolve: check CLERK_JWKS_URL and DNS"
    )


@pytest.mark.parametrize("url", ["http://", "no-scheme/jwks", "ftp://127.0.0.1/jwks"])
async def test_a_url_that_is_none_is_a_failure_and_no_traceback(url: str) -> None:
    """Settings refuse it earlier; here it is merely one line."""
    async with open_session() as session:
        assert await fetched_from(url, session)


async def test_a_closed_session_is_a_failure_and_no_traceback(server: HostileJwks) -> None:
    """A refresh that loses the race against the shutdown."""
    session = open_session()
    await session.close()
    assert "unexpected RuntimeError" in await fetched_from(server.url, session)


async def test_a_session_that_trusts_the_environment_is_refused() -> None:
    """A proxy or a .netrc of the environment has no say in who Clerk is."""
    async with aiohttp.ClientSession(trust_env=True) as session:
        with pytest.raises(InternalError):
            HttpFetch("http://127.0.0.1/jwks", session)
