"""What the operator changes takes effect without a restart: all of it, or nothing."""

import asyncio
import json
import shutil
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from itertools import count, cycle
from pathlib import Path
from typing import TypeVar

import aiohttp
import grpc

from certificates import Authority
from conformance.table import World, bearer
from gates import FakeRecorder, check_request
from processes import Running, check, code, environ, gate, spawn, surroundings
from transports import on_both_transports
from webhooks import OTHER_SECRET, PATH, SECRET, body_of, signed, user
from wicketgate.adapters.envoy import Responses
from wicketgate.adapters.reload_telemetry import ReloadTelemetry
from wicketgate.adapters.telemetry import Instruments, make_log
from wicketgate.app.rulebook import LoadedRules, load_rules, rules_of_tokens
from wicketgate.core.identity import IdentityHeaders
from wicketgate.core.keys import KeySet
from wicketgate.core.token import TokenVerifier
from wicketgate.gate import Gate
from wicketgate.reload import Reloader
from wicketgate.settings import AuthzSettings, Transport

Value = TypeVar("Value")

TOKENS = [f"a-service-token-of-some-length-{number:04}" for number in range(3)]

OPEN = "version: 1\nrules: [{name: open, allow: anonymous}]\n"
USERS = "version: 1\nrules: [{name: users, allow: user}]\n"
SERVICES = """\
version: 1
rules:
  - {name: static, match: {paths: /static, context: {exposure: internal}}, allow: service}
  - {name: audio, match: {paths: /audio, context: {exposure: internal}}, allow: service}
"""
INTERNAL = {"exposure": "internal"}


def replace(path: Path, text: str) -> None:
    """Write a file as careful editors do: nobody ever sees half of it."""
    beside = path.with_name(f"{path.name}~")
    beside.write_text(text)
    beside.rename(path)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@asynccontextmanager
async def running_gate(
    variables: Mapping[str, str],
) -> AsyncIterator[tuple[Running, grpc.aio.Channel, aiohttp.ClientSession]]:
    """Run a gate; yields it, a client of it, and a client of its admin address."""
    async with (
        gate(variables) as running,
        grpc.aio.insecure_channel(running.checks) as channel,
        aiohttp.ClientSession(f"http://{running.admin}") as admin,
    ):
        yield running, channel, admin


async def told(running: Running, event: str) -> dict[str, object]:
    return await asyncio.wait_for(running.next_event(event), 20)


async def refused(running: Running) -> str:
    """Wait for a reload that does not come about, and return the first reason."""
    line = await told(running, "not reloaded, the old stays in force")
    return str(line.get("mistake", line))


async def readiness(admin: aiohttp.ClientSession) -> tuple[int, dict[str, object]]:
    async with admin.get("/readyz") as answer:
        return answer.status, await answer.json()


async def reloads(admin: aiohttp.ClientSession, what: str = "policy") -> list[float]:
    """Return how many reloads there were, and how many that failed."""
    async with admin.get("/metrics") as answer:
        lines = dict(line.rsplit(" ", 1) for line in (await answer.text()).splitlines())
    names = (f"wicketgate_{what}_reloads_total", f"wicketgate_{what}_reload_failures_total")
    return [float(lines[name]) for name in names]


def by_service(token: str, path: str) -> bytes:
    return check_request({"authorization": f"Bearer {token}"}, path=path, context=INTERNAL)


# --- the policy --------------------------------------------------------------


async def test_an_edit_of_the_policy_takes_effect_and_so_does_sighup(
    world: World, tmp_path: Path
) -> None:
    path = written(tmp_path / "policy.yaml", OPEN)
    variables = environ(world, WICKETGATE_POLICY_FILE=str(path))
    async with running_gate(variables) as (running, channel, admin):
        before = code(await check(channel, check_request({})))
        replace(path, USERS)
        reloaded = await told(running, "reloaded")
        after = code(await check(channel, check_request({})))
        running.process.send_signal(signal.SIGHUP)
        again = await told(running, "reloaded")
        counts = await reloads(admin)

    assert (before, after) == (0, 16)
    assert reloaded["rules"] == again["rules"] == 1
    assert counts == [2, 0]


async def test_a_policy_that_cannot_be_used_changes_nothing_until_it_can(
    world: World, tmp_path: Path
) -> None:
    path = written(tmp_path / "policy.yaml", USERS)
    variables = environ(world, WICKETGATE_POLICY_FILE=str(path))
    async with running_gate(variables) as (running, channel, admin):
        replace(path, "version: 1\nrules:\n  - {name: open, alow: anonymous}\n")
        mistakes = [await refused(running), await refused(running)]
        spoilt = code(await check(channel, check_request({}))), await readiness(admin)
        failed = await reloads(admin)
        path.unlink()
        missing = await refused(running)
        replace(path, OPEN)
        await told(running, "reloaded")
        mended = code(await check(channel, check_request({}))), await readiness(admin)
        counts = await reloads(admin)

    assert mistakes == [
        f"{path}:3:5: rules[0].allow: is missing; expected it here",
        f"{path}:3:18: rules[0].alow: is not a word of this file; did you mean allow?",
    ]
    components = {"keys": "ready", "accepting": "ready", "policy": "degraded"}
    assert spoilt == (16, (200, {"status": "degraded", "components": components}))
    assert failed == [0, 1]
    assert missing.startswith(f"{path}: cannot be read (no such file or directory); expected")
    components["policy"] = "ready"
    assert mended == (0, (200, {"status": "ready", "components": components}))
    assert counts == [1, 2]


async def test_a_volume_of_kubernetes_is_followed(world: World, tmp_path: Path) -> None:
    def swap(version: str, text: str) -> None:
        (tmp_path / version).mkdir()
        written(tmp_path / version / "policy.yaml", text)
        (tmp_path / "..data_tmp").symlink_to(version)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    path = tmp_path / "policy.yaml"
    path.symlink_to("..data/policy.yaml")
    swap("..2026_1", OPEN)
    variables = environ(world, WICKETGATE_POLICY_FILE=str(path))
    async with running_gate(variables) as (running, channel, _):
        codes = [code(await check(channel, check_request({})))]
        for version, text in (("..2026_2", USERS), ("..2026_3", OPEN)):
            swap(version, text)
            await told(running, "reloaded")
            codes.append(code(await check(channel, check_request({}))))
        shutil.rmtree(tmp_path / "..2026_1")

    assert codes == [0, 16, 0]


# --- secrets -----------------------------------------------------------------


async def test_service_tokens_are_rotated_with_an_overlap(world: World, tmp_path: Path) -> None:
    """
    Both kinds, one after the other: old, old and new, new.
    """

    def named(*tokens: str) -> str:
        digests = [sha256(token.encode()).hexdigest() for token in tokens]
        entries = [{"name": "ml", "sha256": digest, "scopes": ["audio"]} for digest in digests]
        return json.dumps({"version": 1, "tokens": entries})

    old, new, other = TOKENS
    static_file = written(tmp_path / "static", old)
    named_file = written(tmp_path / "named.yaml", named(other))
    variables = environ(
        world,
        WICKETGATE_POLICY_FILE=str(written(tmp_path / "policy.yaml", SERVICES)),
        SERVICE_AUTH_TOKEN_FILE=str(static_file),
        WICKETGATE_SERVICE_TOKENS_FILE=str(named_file),
    )

    async with running_gate(variables) as (running, channel, _):

        async def codes(path: str, *tokens: str) -> list[int]:
            return [code(await check(channel, by_service(each, path))) for each in tokens]

        static = [await codes("/static", old, new)]
        for text in (f"{old},{new}\n", f"{new}\n"):
            replace(static_file, text)
            await told(running, "reloaded")
            static.append(await codes("/static", old, new))
        scoped = [await codes("/audio", other, old), await codes("/static", other)]
        for tokens in ((other, old), (old,)):
            replace(named_file, named(*tokens))
            await told(running, "reloaded")
            scoped.append(await codes("/audio", other, old))
        lines = [running.lines.get_nowait() for _ in range(running.lines.qsize())]

    assert static == [[0, 16], [0, 0], [16, 0]]
    assert scoped == [[0, 16], [7], [0, 0], [16, 0]]
    assert not any(token in repr(lines) for token in TOKENS)


@on_both_transports
async def test_a_certificate_that_cannot_be_used_is_told_and_the_old_one_serves(
    world: World, tmp_path: Path, transport: Transport
) -> None:
    authority = Authority()
    certificate, key = authority.server().write(tmp_path, "server")
    good = certificate.read_text()
    variables = environ(
        world,
        WICKETGATE_TRANSPORT=transport,
        WICKETGATE_TLS_CERT_FILE=str(certificate),
        WICKETGATE_TLS_KEY_FILE=str(key),
    )
    credentials = grpc.ssl_channel_credentials(authority.certificate)

    async with (
        gate(variables) as running,
        aiohttp.ClientSession(f"http://{running.admin}") as admin,
    ):

        async def connected() -> int:
            # Channels alike share a connection, unless each keeps to its own.
            own = [("grpc.use_local_subchannel_pool", 1)]
            async with grpc.aio.secure_channel(running.checks, credentials, own) as channel:
                return code(await check(channel, check_request(bearer()(world))))

        before = await connected()
        replace(certificate, "-----BEGIN CERTIFICATE-----\n?\n")
        mistake = await refused(running)
        _, spoilt = await readiness(admin)
        meanwhile = await connected()
        replace(certificate, good)
        await told(running, "reloaded")
        _, mended = await readiness(admin)

    assert (before, meanwhile) == (0, 0)
    assert mistake.startswith("WICKETGATE_TLS_CERT_FILE and WICKETGATE_TLS_KEY_FILE: ")
    assert "expected a PEM certificate chain and its private key" in mistake
    assert (spoilt["status"], mended["status"]) == ("degraded", "ready")


async def test_signing_secrets_of_webhooks_are_rotated(tmp_path: Path, nobody: int) -> None:
    """
    Whatever is signed rightly is answered 503 here, where there is no Postgres.
    """
    path = written(tmp_path / "secret", SECRET)
    variables = {
        **surroundings(),
        "CLERK_WEBHOOK_SIGNING_SECRET_FILE": str(path),
        "DATABASE_URL": f"postgresql://127.0.0.1:{nobody}/users",
        "WICKETGATE_WEBHOOKS_ADDRESS": "127.0.0.1:0",
        "WICKETGATE_WEBHOOKS_ADMIN_ADDRESS": "127.0.0.1:0",
    }
    process = await spawn(variables, "webhooks")
    running = Running(process)
    reading = asyncio.create_task(running.read())
    try:
        listening = await told(running, "listening")
        async with (
            aiohttp.ClientSession(f"http://{listening['webhooks']}") as sender,
            aiohttp.ClientSession(f"http://{listening['admin']}") as admin,
        ):

            async def status(secret: str) -> int:
                body = body_of("user.created", user())
                headers = signed(body, secret=secret)
                async with sender.post(PATH, data=body, headers=headers) as answer:
                    return answer.status

            before = await status(OTHER_SECRET)
            replace(path, f"{SECRET},{OTHER_SECRET}")
            both = await told(running, "reloaded")
            replace(path, "whsec_")
            mistake = await refused(running)
            _, spoilt = await readiness(admin)
            counts = await reloads(admin, "secret")
            replace(path, OTHER_SECRET)
            await told(running, "reloaded")
            after = [await status(SECRET), await status(OTHER_SECRET)]
    finally:
        process.kill()
        await process.wait()
        await reading

    assert (before, both["secrets"], after) == (400, 2, [400, 503])
    assert mistake.startswith("CLERK_WEBHOOK_SIGNING_SECRET (from CLERK_WEBHOOK_SIGNING_SECRET")
    assert spoilt["components"] == {
        "store": "not ready",
        "accepting": "ready",
        "secrets": "degraded",
    }
    assert counts == [1, 1]


# --- in the middle of traffic ------------------------------------------------


@on_both_transports
async def test_no_check_fails_while_files_are_reloaded(
    world: World, tmp_path: Path, transport: Transport
) -> None:
    path = written(tmp_path / "policy.yaml", OPEN)
    variables = environ(
        world,
        WICKETGATE_TRANSPORT=transport,
        WICKETGATE_POLICY_FILE=str(path),
        WICKETGATE_DECISION_LOG="off",
    )
    codes: Counter[int] = Counter()
    good, bad, texts = 0.0, 0.0, cycle([USERS, OPEN])
    async with running_gate(variables) as (_, channel, admin):
        while good < 3 or codes.total() < 400:
            replace(path, next(texts))
            # As many at once as one connection of Envoy may have in flight.
            for _ in range(20):
                answers = [check(channel, check_request({}), seconds=5) for _ in range(8)]
                codes.update(map(code, await asyncio.gather(*answers)))
            good, bad = await reloads(admin)

    assert codes.keys() == {0, 16}
    assert bad == 0


def worlds(world: World, folder: Path) -> list[dict[str, str]]:
    """Return two environments that agree on nothing but who the token is shown by.

    Each policy admits only the service that its own tokens file makes of the token,
    and sets a header that only users get, so that it is taken away here.
    """
    made = []
    for name in ("alpha", "beta"):
        digest = sha256(TOKENS[0].encode()).hexdigest()
        token = {"name": name, "sha256": digest, "scopes": [name]}
        allow = [{"service": {"name": name, "scope": name}}, "user"]
        rule = {"name": f"rule-{name}", "allow": allow, "headers": {f"x-{name}": "org_id"}}
        policy = written(folder / f"{name}.yaml", json.dumps({"version": 1, "rules": [rule]}))
        tokens = written(
            folder / f"{name}-tokens.yaml", json.dumps({"version": 1, "tokens": [token]})
        )
        made.append(
            environ(
                world,
                WICKETGATE_POLICY_FILE=str(policy),
                WICKETGATE_SERVICE_TOKENS_FILE=str(tokens),
            )
        )
    return made


class Swapped:
    """A gate whose policy and tokens are swapped whenever a check asks for anything else.

    It is what the gate asks: for the keys, the time and the id of a decision.
    """

    def __init__(self, world: World, folder: Path) -> None:
        self._environs = worlds(world, folder)
        self._verifier = TokenVerifier(
            rules_of_tokens(AuthzSettings.from_environ(self._environs[0]))
        )
        self._turns = cycle(self._environs)
        self._keys, self._now = world.keys(), world.now
        self.recorder = FakeRecorder()
        self.gate = Gate(
            rulebook=self.load().rulebook,
            keys=self,
            responses=Responses(IdentityHeaders()),
            recorder=self.recorder,
            clock=lambda: self._after_a_swap(self._now),
            timer=lambda: self._after_a_swap(0.0),
            # One id for all: whatever else differs is seen in the bytes.
            decision_ids=(self._after_a_swap("one") for _ in count()),
        )
        self._latest = [self.gate.rulebook]
        self.reloads = 0

    def load(self) -> LoadedRules:
        return load_rules(next(self._turns), self._verifier)

    def put_in_force(self, loaded: LoadedRules) -> None:
        """Have it swapped for what was loaded before it, from now on."""
        self._latest = [self._latest[-1], loaded.rulebook]
        self.reloads += 1

    def _after_a_swap(self, value: Value) -> Value:
        latest = self._latest
        self.gate.rulebook = latest[0] if self.gate.rulebook is latest[-1] else latest[-1]
        return value

    @property
    def snapshot(self) -> KeySet:
        return self._after_a_swap(self._keys)

    async def refresh(self, kid: str) -> bool:
        raise AssertionError(kid)

    def answers(self, requests: list[bytes]) -> list[set[bytes | Awaitable[bytes]]]:
        """Return for each request the answers of the two, each asked alone."""
        found: list[set[bytes | Awaitable[bytes]]] = [set() for _ in requests]
        for _ in self._environs:
            self._latest = [self.load().rulebook]
            self.gate.rulebook = self._latest[0]
            for each, raw in zip(found, requests, strict=True):
                each.add(self.gate.check(raw))
        return found


async def test_no_decision_is_a_mixture_of_before_and_after(world: World, tmp_path: Path) -> None:
    """
    One thread asks as fast as it can; another reads files, whose contents are put in
    force. And in every gap that a check has, what is in force is swapped once more.
    """
    swapped = Swapped(world, tmp_path)
    requests = [by_service(TOKENS[0], "/v1/me"), check_request(bearer()(world)), check_request({})]
    expected = swapped.answers(requests)
    assert list(map(len, expected)) == [2, 2, 2]
    known = {(each.rule, each.principal, each.reason) for each in swapped.recorder.records}
    instruments = Instruments(make_log(sys.stderr, level="error"))
    telemetry = ReloadTelemetry(
        instruments.log, instruments.registry, reloads="good", failures="bad"
    )
    reloader = Reloader(swapped.load, swapped.put_in_force, telemetry)
    found: list[Counter[bytes | Awaitable[bytes]]] = [Counter() for _ in requests]

    def ask() -> None:
        while sum(each.total() for each in found) < 20_000 or swapped.reloads < 20:
            for counter, raw in zip(found, requests, strict=True):
                counter[swapped.gate.check(raw)] += 1

    asking = asyncio.create_task(asyncio.to_thread(ask))
    while not asking.done():
        await reloader.reload()
    await asking

    assert reloader.is_current
    assert [set(each) for each in found] == expected
    # The records, too: rule, principal and reason belong together.
    assert known == {(each.rule, each.principal, each.reason) for each in swapped.recorder.records}
