"""The corpus of paths.yaml through a real Envoy, judged by what the upstream was asked for.

Two Envoys: as shipped, and one that hands every path on as it came. Beside the answer
that each row expects, the upstream never sees a request that the policy would not admit
were it judged as it arrived, and never one that a forgiving reader would take for such a
request. The forgiving reader is `place_of`, made here of nothing that the gate is made of.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import pytest
import pytest_asyncio
import yaml
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)

from conformance.table import World
from policies import credential, outcome
from transports import TRANSPORT
from wicketgate.core.decision import (
    decide,
)
from wicketgate.core.policy.parse import parse_policy
from wicketgate.core.request import HttpRequest
from wicketgate.core.revocation import NO_REVOCATIONS
from wicketgate.core.verdict import (
    Allow,
)
from wicketgate.local.client import NO_ANSWER, TIMEOUT_SECONDS, Client, Reply, bearer
from wicketgate.local.envoy_config import AS_SHIPPED, EnvoyOptions
from wicketgate.local.stack import LocalStack
from wicketgate.local.upstream import EchoUpstream, Seen

CORPUS: Final[Any] = yaml.safe_load(
    (Path(__file__).parents[1] / "conformance" / "paths.yaml").read_text("utf-8")
)
POLICY: Final = parse_policy(CORPUS["policy"]).policy
ENVOYS: Final = {"normalised": AS_SHIPPED, "raw": EnvoyOptions(normalise=False)}
EXPOSURES: Final = {"edge": "public", "internal": "internal"}
CALLERS: Final = ("nobody", "member", "admin", "service")
CREDENTIALS: Final = ("member", "admin", "service", "crit", "huge", "enormous")
IN_FLIGHT: Final = {"h1": 8, "h2": 64}
"""A check has half a second, so not everything at once. But most of HTTP/2 never gets to the
gate, and Envoy takes a second to close a connection that it gave up."""
ADVISORIES: Final = (
    *("CVE-2026-26205", "CVE-2026-32811", "GHSA-p224-6x5r-fjpm", "GHSA-vhr5-ggp3-qq85"),
    *("CVE-2024-47616", "CVE-2021-32777", "CVE-2021-32779", "CVE-2021-29492", "CVE-2021-31920"),
    *("CVE-2019-9901", "CVE-2023-27488", "CVE-2024-45806", "CVE-2026-26308", "CVE-2026-31838"),
    *("CVE-2025-61920", "CVE-2025-59420", "istio/istio#27409"),
)

Line = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the corpus; the file says what its parts mean."""

    id: str
    lesson: str
    source: tuple[str, ...]
    target: str
    method: str = "GET"
    host: str = "api.example.com"
    headers: tuple[Line, ...] = ()
    caller: str = "nobody"
    listener: str = "edge"
    protocol: str = "h1"
    expect: Mapping[str, tuple[str, ...]]
    hidden: tuple[str, ...] = ()

    @property
    def is_bare(self) -> bool:
        """Whether a credential can be added to it."""
        return all(name.lower() != "authorization" for name, _ in self.headers)

    def lines(self, credentials: Mapping[str, str], caller: str) -> list[Line]:
        """Return the header lines that `caller` sends."""
        lines = [(name, value.format_map(credentials)) for name, value in self.headers]
        return [*lines, bearer(credentials[caller])] if caller in credentials else lines


def several(value: Any) -> tuple[Any, ...]:  # noqa: ANN401 - YAML holds anything
    """Return what may be one or several as several."""
    return tuple(value) if isinstance(value, list) else (value,)


def row_of(words: dict[str, Any]) -> Row:
    """Read a row. A word that is not known is an argument that is not."""
    send = words.pop("send")
    parts: dict[str, Any] = {"target": send} if isinstance(send, str) else dict(send)
    expect = words.pop("expect")
    each = expect if isinstance(expect, dict) else dict.fromkeys(ENVOYS, expect)
    return Row(
        source=several(words.pop("source", [])),
        headers=tuple((name, value) for name, value in parts.pop("headers", ())),
        caller=parts.pop("as", "nobody"),
        expect={envoy: several(each[envoy]) for envoy in ENVOYS},
        hidden=tuple(words.pop("hidden", ())),
        **words,
        **parts,
    )


ROWS: Final = [row_of(dict(words)) for words in CORPUS["rows"]]

each_row: Final = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)


# -- how a row is sent


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A row as one caller sent it to one listener, and what became of it."""

    caller: str
    listener: str
    lines: tuple[Line, ...]
    reply: Reply
    seen: tuple[Seen, ...]


@dataclass(frozen=True)
class Run:
    """The whole corpus through one Envoy."""

    envoy: str
    world: World
    exchanges: Mapping[str, Sequence[Exchange]]
    """By the id of the row."""

    def arrivals(self, row: Row) -> list[tuple[Exchange, Seen]]:
        """Return what the upstream saw of a row."""
        return [(each, seen) for each in self.exchanges[row.id] for seen in each.seen]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ENVOYS)
async def run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Run]:
    """Send every row as every caller to both listeners."""
    policy = tmp_path_factory.mktemp("policy") / "policy.yaml"
    policy.write_text(CORPUS["policy"], "utf-8")
    options = ENVOYS[request.param]
    async with (
        LocalStack(transport=TRANSPORT, policy=policy, options=options) as stack,
        Client() as client,
    ):
        credentials = {who: credential(stack, who) for who in CREDENTIALS}
        bases = {"edge": stack.edge, "internal": stack.internal}
        places = {protocol: asyncio.Semaphore(n) for protocol, n in IN_FLIGHT.items()}

        async def exchange(row: Row, listener: str, caller: str) -> tuple[str, Exchange]:
            lines = row.lines(credentials, caller)
            tag = f"{row.id} {listener} {caller}"
            async with places[row.protocol]:
                reply = await send(client, bases[listener], row, [*lines, ("x-tag", tag)])
            seen = tuple(each for each in stack.upstream.seen if each.values("x-tag") == [tag])
            return row.id, Exchange(
                caller=caller, listener=listener, lines=tuple(lines), reply=reply, seen=seen
            )

        done = await asyncio.gather(
            *(
                exchange(row, listener, caller)
                for row in ROWS
                for listener in bases
                for caller in (CALLERS if row.is_bare else ("nobody",))
            )
        )
        clerk, service_token = stack.clerk.instance, credentials["service"]
        yield Run(
            envoy=request.param,
            world=World(clerk, clerk, service_token, time.time()),
            exchanges={row.id: [each for id_, each in done if id_ == row.id] for row in ROWS},
        )
        assert len(stack.upstream.seen) == sum(len(each.seen) for _, each in done)


async def send(client: Client, base: str, row: Row, lines: Sequence[Line]) -> Reply:
    """Send the row to a listener, with these header lines."""
    if row.protocol == "h2":
        return await send_h2(base, row, lines)
    return await client.send(
        base, method=row.method, target=row.target, host=row.host, headers=lines
    )


async def send_h2(base: str, row: Row, lines: Sequence[Line]) -> Reply:
    """Send the row over HTTP/2, as unchecked as the other client sends it."""
    pseudo = [(":method", row.method), (":scheme", "http"), (":path", row.target)]
    fields = [*pseudo, (":authority", row.host), *((name.lower(), text) for name, text in lines)]
    connection = H2Connection(
        H2Configuration(
            header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
        )
    )
    connection.initiate_connection()
    octets = [(name.encode("latin-1"), text.encode("latin-1")) for name, text in fields]
    connection.send_headers(1, octets, end_stream=True)
    host, _, port = base.removeprefix("http://").rpartition(":")
    async with asyncio.timeout(TIMEOUT_SECONDS):
        reader, writer = await asyncio.open_connection(host, int(port))
        with closing(writer), suppress(ConnectionError):
            writer.write(connection.data_to_send())
            return await _answer(reader, connection)
    return Reply(NO_ANSWER)


async def _answer(reader: asyncio.StreamReader, connection: H2Connection) -> Reply:
    headers: list[Line] = []
    body = b""
    while octets := await reader.read(65_536):
        for event in connection.receive_data(octets):
            match event:
                case ResponseReceived(headers=received):
                    headers = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in received]
                case DataReceived(data=data):
                    body += data
                case StreamEnded():
                    status = int(dict(headers)[":status"])
                    return Reply(status, tuple(headers), body)
                case StreamReset() | ConnectionTerminated():
                    return Reply(NO_ANSWER)
    return Reply(NO_ANSWER)


# -- what a row expects


@pytest.mark.envoy
@pytest.mark.asyncio(loop_scope="module")
@each_row
async def test_a_request_gets_the_answer_of_its_row(row: Row, run: Run) -> None:
    own = (row.listener, row.caller)
    (exchange,) = [e for e in run.exchanges[row.id] if (e.listener, e.caller) == own]

    arrived = {header for seen in exchange.seen for header, _ in seen.headers}
    assert outcome(exchange.reply, exchange.seen) in row.expect[run.envoy]
    assert arrived.isdisjoint(row.hidden)


# -- what holds for every row


@pytest.mark.envoy
@pytest.mark.asyncio(loop_scope="module")
@each_row
async def test_what_arrives_is_what_the_policy_admits(row: Row, run: Run) -> None:
    """
    Judged again as it arrived: by the same policy, with the same credential.
    """
    for exchange, seen in run.arrivals(row):
        decision = decide(
            as_it_arrived(exchange, seen),
            judge=run.world.judge(),
            policy=POLICY,
            keys=run.world.keys(),
            revocations=NO_REVOCATIONS,
            now=run.world.now,
        )
        assert isinstance(decision, Allow), exchange


def as_it_arrived(exchange: Exchange, seen: Seen) -> HttpRequest:
    """Return the request as it arrived, with the headers that it was sent with."""
    (host,) = seen.values("host")
    shown: dict[str, str] = {}
    for name, value in exchange.lines:
        key = name.lower()
        shown[key] = f"{shown[key]},{value}" if key in shown else value
    return HttpRequest(
        method=seen.method,
        host=host,
        target=seen.path,
        headers=shown,
        context={"exposure": EXPOSURES[exchange.listener]},
    )


@pytest.mark.envoy
@pytest.mark.asyncio(loop_scope="module")
@each_row
async def test_nothing_arrives_that_a_forgiving_reader_would_take_for_something_else(
    row: Row, run: Run
) -> None:
    for exchange, seen in run.arrivals(row):
        assert may_be_served(exchange, seen), exchange


@pytest.mark.envoy
@pytest.mark.asyncio(loop_scope="module")
async def test_something_does_arrive(run: Run) -> None:
    """
    The twin of the two above, which would also hold if nothing ever did.
    """
    arriving = [
        row for row in ROWS if any(word.startswith("upstream") for word in row.expect[run.envoy])
    ]

    assert [row.id for row in arriving if not run.arrivals(row)] == []
    assert {each.caller for row in ROWS for each, _ in run.arrivals(row)} == set(CALLERS)


def may_be_served(exchange: Exchange, seen: Seen) -> bool:
    """Tell whether the policy of the corpus means to let this be served.

    Written out once more, over the path and the host as the most forgiving reader
    would have them.
    """
    place = place_of(seen.path)
    (host,) = seen.values("host")
    if host.rpartition("@")[2].partition(":")[0].rstrip(".").lower() == "vault.example.com":
        return False
    if is_below("/public", place):
        return True
    if is_below("/admin", place):
        return exchange.caller == "admin"
    if is_below("/internal/audio", place):
        return exchange.caller == "service" and exchange.listener == "internal"
    if is_below("/partner", place):
        return seen.values("origin") == ["https://partner.example"]
    return False


def place_of(target: str) -> str:
    """Return the path of a target as a reader sees it who forgives everything.

    Decoded until nothing is left to decode, overlong UTF-8 included; cut at a query, a
    fragment and NUL; control characters dropped; backslashes taken for slashes, slashes
    merged, parameters cut, dot segments removed; case ignored.
    """
    octets = target.encode("latin-1", "replace")
    while (decoded := _OVERLONG.sub(_short, unquote_to_bytes(octets))) != octets:
        octets = decoded
    path = re.split(r"[?#\0]", octets.decode("latin-1"), maxsplit=1)[0]
    segments: list[str] = []
    for segment in re.split(r"[/\\]", re.sub(r"[\x01-\x1f\x7f]", "", path)):
        name = segment.partition(";")[0].rstrip(" ").casefold()
        if name == "..":
            segments = segments[:-1]
        elif name not in {"", "."}:
            segments.append(name)
    return "/" + "/".join(segments)


_OVERLONG: Final = re.compile(rb"[\xc0\xc1]([\x80-\xbf])|\xe0[\x80\x81]([\x80-\xbf])")


def _short(found: re.Match[bytes]) -> bytes:
    octets = found[0]
    return bytes([((octets[-2] & 0x01) << 6) | (octets[-1] & 0x3F)])


def is_below(folder: str, place: str) -> bool:
    """Tell whether a place is a folder or in it."""
    return place == folder or place.startswith(f"{folder}/")


# -- the forgiving reader, the corpus and the client themselves


@pytest.mark.parametrize(
    "target",
    [
        "/admin/x",
        "//admin/x",
        "/public/../admin/x",
        "/public/%2e%2E/admin/x",
        "/public%2f..%5Cadmin\\x",
        "/public/%252e%25252e/admin/x",
        "/public/%25%32%65%25%32%65/admin/x",
        "/%61dmin;a=b/./x?y#z",
        "/public/..;/admin/x",
        "/public/..%c0%afadmin%c0%af/x",
        "/public/%c0%ae%e0%80%ae/admin/x",
        "/ADMIN//x/",
        "/admin/x%00.png",
        "/admin/x%3f.png",
        "/public/.%09./ad\nmin/x%20",
    ],
)
def test_the_forgiving_reader_forgives(target: str) -> None:
    assert place_of(target) == "/admin/x"


@pytest.mark.parametrize(
    ("target", "place"),
    [("/public/x?/../admin", "/public/x"), ("/public/...", "/public/..."), ("/..", "/")],
)
def test_the_forgiving_reader_reads(target: str, place: str) -> None:
    assert place_of(target) == place


def test_every_advisory_has_a_row() -> None:
    sources = [source for row in ROWS for source in row.source]

    assert [each for each in ADVISORIES if each not in sources] == []


def test_rows_are_told_apart_by_their_ids() -> None:
    assert len({row.id for row in ROWS}) == len(ROWS)


async def test_the_client_sends_a_target_and_a_host_as_they_are_written() -> None:
    async with EchoUpstream() as upstream, Client() as client:
        await client.send(
            f"http://{upstream.address}/unused", target="//a/../b%2f?c", host="Some.Where.:1"
        )

        (seen,) = upstream.take()

    assert seen.path == "//a/../b%2f?c"
    assert seen.values("host") == ["Some.Where.:1"]
