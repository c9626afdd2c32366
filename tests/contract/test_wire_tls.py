"""TLS on our own transport: ALPN, who is believed, who may ask, renewal without a restart."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from certificates import Authority, Pair
from conformance.table import World, bearer
from fuzz.listening import ECHO, LoopFactory, Observed, on_both_loops, serving
from fuzz.raw import Raw
from gates import check_request, denial, make_gate
from processes import check, code
from unit.grpc.peer import FIRST, headers
from wicketgate.adapters.wire_server import WireGrpcServer
from wicketgate.errors import EnvironmentFaultError
from wicketgate.grpc import server as server_module
from wicketgate.grpc.endpoint import TlsIdentity
from wicketgate.grpc.tls import FollowedContext

ENVOY = "spiffe://mesh/ns/edge/sa/envoy"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def identity(
    authority: Authority, folder: Path, *, mutual: bool = False, sans: frozenset[str] = frozenset()
) -> TlsIdentity:
    certificate, key = authority.server().write(folder, "server")
    client_ca = folder / "ca.pem"
    client_ca.write_bytes(authority.certificate)
    return TlsIdentity(
        certificate=certificate,
        key=key,
        client_ca=client_ca if mutual else None,
        allowed_sans=sans,
    )


@asynccontextmanager
async def gate(world: World, tls: TlsIdentity) -> AsyncIterator[tuple[str, Observed]]:
    observed = Observed()
    server = WireGrpcServer(make_gate(world), address="127.0.0.1:0", observer=observed, tls=tls)
    address = await server.start()
    try:
        yield address, observed
    finally:
        await server.stop(grace=0)


def credentials(authority: Authority, client: Pair | None = None) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        authority.certificate,
        client.key if client else None,
        client.certificate if client else None,
    )


def channel(address: str, authority: Authority, client: Pair | None = None) -> grpc.aio.Channel:
    return grpc.aio.secure_channel(address, credentials(authority, client))


def client_context(authority: Authority, *, alpn: tuple[str, ...] = ("h2",)) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.certificate.decode())
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


@on_both_loops
def test_large_and_small_messages_over_tls(
    authority: Authority, tmp_path: Path, loop_factory: LoopFactory
) -> None:
    context = FollowedContext(identity(authority, tmp_path)).context
    with (
        serving(tls=context, loop_factory=loop_factory) as served,
        grpc.secure_channel(served.address, credentials(authority)) as secure,
    ):
        echo: grpc.UnaryUnaryMultiCallable[bytes, bytes] = secure.unary_unary(ECHO)
        messages = [b"", b"x", bytes(100_000), bytes(3_000_000)]
        assert [echo(message, timeout=20) for message in messages] == messages

    assert served.observed.faults == {"": 1}
    assert served.troubles == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_tls(
    authority: Authority, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """
    Envoy offers 1.2 to its upstreams unless it is told otherwise.
    """
    context = FollowedContext(identity(authority, tmp_path)).context
    client = client_context(authority)
    client.minimum_version = client.maximum_version = version
    with serving(tls=context) as served, Raw(served.address, tls=client) as raw:
        raw.send(FIRST)
        assert raw.until_said("HEADERS 1 END")[-1] == "HEADERS 1 END"
        cipher = raw.socket.cipher()  # type: ignore[attr-defined] # an SSLSocket

    assert "GCM" in cipher[0] or "CHACHA" in cipher[0]


@pytest.mark.parametrize("alpn", [(), ("http/1.1",)], ids=["none", "another"])
@on_both_loops
def test_a_client_that_did_not_choose_h2_is_told_so(
    authority: Authority, tmp_path: Path, alpn: tuple[str, ...], loop_factory: LoopFactory
) -> None:
    context = FollowedContext(identity(authority, tmp_path)).context
    with serving(tls=context, loop_factory=loop_factory) as served:
        with Raw(served.address, tls=client_context(authority, alpn=alpn)) as raw:
            told = raw.to_the_end()
        served.until(lambda: served.observed.open == 0)

    assert told[-1] == "GOAWAY 0 INADEQUATE_SECURITY"
    assert served.observed.faults == {"inadequate_security": 1}


@on_both_loops
def test_a_fault_over_tls(authority: Authority, tmp_path: Path, loop_factory: LoopFactory) -> None:
    context = FollowedContext(identity(authority, tmp_path)).context
    with serving(tls=context, loop_factory=loop_factory) as served:
        with Raw(served.address, tls=client_context(authority)) as raw:
            raw.send(FIRST + headers(2))
            told = raw.to_the_end()
        served.until(lambda: served.observed.open == 0)

    assert told[-1] == "GOAWAY 1 PROTOCOL_ERROR"
    assert served.observed.faults == {"protocol_error": 1}


@on_both_loops
def test_a_plain_client_gets_nothing_from_a_tls_port(
    authority: Authority, tmp_path: Path, loop_factory: LoopFactory
) -> None:
    context = FollowedContext(identity(authority, tmp_path)).context
    with serving(tls=context, loop_factory=loop_factory) as served:
        with Raw(served.address) as raw:
            raw.send(FIRST)
            assert raw.socket.recv(9)[:0] == b""
        with grpc.insecure_channel(served.address) as plain:
            echo: grpc.UnaryUnaryMultiCallable[bytes, bytes] = plain.unary_unary(ECHO)
            with pytest.raises(grpc.RpcError):
                echo(b"", timeout=2)

    assert served.observed.seen == 0


def test_a_tls_client_gets_nothing_from_a_plain_port(authority: Authority) -> None:
    with serving() as served:
        with (
            socket.create_connection(
                ("127.0.0.1", int(served.address.split(":")[1]))
            ) as connected,
            pytest.raises(ssl.SSLError),
        ):
            client_context(authority).wrap_socket(connected, server_hostname="localhost")
        with grpc.secure_channel(served.address, credentials(authority)) as secure:
            echo: grpc.UnaryUnaryMultiCallable[bytes, bytes] = secure.unary_unary(ECHO)
            with pytest.raises(grpc.RpcError):
                echo(b"", timeout=2)

    assert served.observed.faults["protocol_error"] >= 2


@on_both_loops
def test_who_never_begins_the_handshake_is_ended(
    authority: Authority,
    tmp_path: Path,
    loop_factory: LoopFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_module, "HANDSHAKE_SECONDS", 0.2)
    context = FollowedContext(identity(authority, tmp_path)).context
    with (
        serving(tls=context, loop_factory=loop_factory) as served,
        Raw(served.address, hello=b"") as raw,
    ):
        assert raw.to_the_end() == []

    assert served.observed.seen == 0


# -------------------------------------------------------------------------- who may ask


@pytest.mark.parametrize("stranger", [False, True], ids=["no certificate", "another authority"])
async def test_mutual_tls_refuses_a_client_that_is_not_vouched_for(
    authority: Authority, world: World, tmp_path: Path, *, stranger: bool
) -> None:
    client = Authority().client(ENVOY) if stranger else None
    async with (
        gate(world, identity(authority, tmp_path, mutual=True)) as (address, _),
        channel(address, authority, client) as unknown,
    ):
        with pytest.raises(grpc.aio.AioRpcError):
            await check(unknown, check_request({}), seconds=2, wait_for_ready=False)


@pytest.mark.parametrize(
    ("allowed", "is_answered"),
    [
        (frozenset[str](), True),
        (frozenset({ENVOY}), True),
        (frozenset({"spiffe://mesh/ns/other/sa/other", ENVOY}), True),
        (frozenset({"spiffe://mesh/ns/other/sa/other"}), False),
        (frozenset({ENVOY + "2"}), False),
        (frozenset({"spiffe://mesh"}), False),
    ],
)
async def test_only_a_listed_peer_is_answered(
    authority: Authority,
    world: World,
    tmp_path: Path,
    allowed: frozenset[str],
    *,
    is_answered: bool,
) -> None:
    """
    Any other is denied, and not by a gRPC error: its Envoy may be set to fail open.
    """
    tls = identity(authority, tmp_path, mutual=True, sans=allowed)
    async with (
        gate(world, tls) as (address, _),
        channel(address, authority, authority.client(ENVOY)) as envoy,
    ):
        response = await check(envoy, check_request(bearer()(world)))

    if is_answered:
        assert code(response) == 0
    else:
        assert json.loads(denial(response).body)["reason"] == "peer_not_allowed"


# -------------------------------------------------------------------------- renewal


async def shown_by(address: str, authority: Authority, *, name: str = "localhost") -> str:
    """Return the common name of the certificate that a new connection is shown."""
    host, port = address.split(":")
    _, writer = await asyncio.open_connection(
        host, int(port), ssl=client_context(authority), server_hostname=name
    )
    subject = writer.get_extra_info("peercert")["subject"]
    writer.close()
    return str(dict(entry for part in subject for entry in part)["commonName"])


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"], ids=["with SNI", "without SNI"])
async def test_a_renewed_certificate_is_shown_without_a_restart(
    authority: Authority, world: World, tmp_path: Path, name: str
) -> None:
    """
    And a half-written one is not: the old stays until all of it is there.
    """
    tls = identity(authority, tmp_path)
    async with (
        gate(world, tls) as (address, _),
        channel(address, authority) as before_renewal,
    ):
        await check(before_renewal, check_request({}))
        shown = [await shown_by(address, authority, name=name)]
        renewed = authority.server("renewed")
        tls.certificate.write_bytes(renewed.certificate)
        shown.append(await shown_by(address, authority, name=name))
        tls.key.write_bytes(renewed.key)
        shown.append(await shown_by(address, authority, name=name))
        tls.key.unlink()
        shown.append(await shown_by(address, authority, name=name))
        await check(before_renewal, check_request({}))

    assert shown == ["server", "server", "renewed", "renewed"]


async def test_an_authority_that_is_replaced_is_not_believed_any_more(
    authority: Authority, world: World, tmp_path: Path
) -> None:
    tls = identity(authority, tmp_path, mutual=True)
    client = authority.client(ENVOY)
    other = Authority()
    async with gate(world, tls) as (address, _):
        async with channel(address, authority, client) as envoy:
            assert code(await check(envoy, check_request(bearer()(world)))) == 0
        assert tls.client_ca is not None
        tls.client_ca.write_bytes(other.certificate)
        async with channel(address, authority, client) as envoy:
            with pytest.raises(grpc.aio.AioRpcError):
                await check(envoy, check_request({}), seconds=2, wait_for_ready=False)
        async with channel(address, authority, other.client(ENVOY)) as envoy:
            assert code(await check(envoy, check_request(bearer()(world)))) == 0


async def test_files_that_cannot_be_used_are_told_at_the_start(
    authority: Authority, world: World, tmp_path: Path
) -> None:
    tls = identity(authority, tmp_path)
    tls.key.write_bytes(b"")
    with pytest.raises(OSError, match=r"."):
        async with gate(world, tls):
            pass


async def test_two_on_one_port_is_one_too_many(
    authority: Authority, world: World, tmp_path: Path
) -> None:
    tls = identity(authority, tmp_path)
    async with gate(world, tls) as (address, _):
        second = WireGrpcServer(make_gate(world), address=address, observer=Observed(), tls=tls)
        with pytest.raises(EnvironmentFaultError, match="in use"):
            await second.start()
