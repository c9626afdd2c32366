"""TLS on our own transport: ALPN, versions, and what goes wrong below HTTP/2."""

import socket
import ssl
from pathlib import Path

import grpc
import pytest

from certificates import Authority
from fuzz.listening import ECHO, LoopFactory, on_both_loops, serving
from fuzz.raw import Raw
from unit.grpc.peer import FIRST, headers
from wicketgate.grpc import server as server_module
from wicketgate.grpc.endpoint import TlsIdentity
from wicketgate.grpc.tls import FollowedContext


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def identity(authority: Authority, folder: Path) -> TlsIdentity:
    certificate, key = authority.server().write(folder, "server")
    return TlsIdentity(certificate=certificate, key=key)


def credentials(authority: Authority) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(authority.certificate)


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
