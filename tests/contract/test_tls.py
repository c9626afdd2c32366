"""TLS on the gRPC port: who is believed, who may ask, and renewal without a restart.

With both transports; what only our own can tell is in test_wire_tls.py.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from cryptography.x509 import load_der_x509_certificate

from certificates import Authority, Pair
from conformance.table import World, bearer
from gates import check_request, denial, make_gate
from processes import check, code
from servers import serving_gate
from transports import on_both_transports
from wicketgate.errors import EnvironmentFaultError
from wicketgate.grpc.endpoint import TlsIdentity
from wicketgate.settings import Transport

pytestmark = on_both_transports

ENVOY = "spiffe://mesh/ns/edge/sa/envoy"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@asynccontextmanager
async def serving(transport: Transport, world: World, tls: TlsIdentity) -> AsyncIterator[str]:
    async with serving_gate(transport, make_gate(world), tls=tls) as (_, address):
        yield address


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


def channel(address: str, authority: Authority, client: Pair | None = None) -> grpc.aio.Channel:
    credentials = grpc.ssl_channel_credentials(
        authority.certificate,
        client.key if client else None,
        client.certificate if client else None,
    )
    return grpc.aio.secure_channel(address, credentials)


async def test_tls_serves_whoever_trusts_the_authority(
    authority: Authority, world: World, tmp_path: Path, transport: Transport
) -> None:
    async with (
        serving(transport, world, identity(authority, tmp_path)) as address,
        channel(address, authority) as envoy,
    ):
        assert code(await check(envoy, check_request(bearer()(world)))) == 0


async def test_a_plain_client_gets_nothing_from_a_tls_port(
    authority: Authority, world: World, tmp_path: Path, transport: Transport
) -> None:
    async with (
        serving(transport, world, identity(authority, tmp_path)) as address,
        grpc.aio.insecure_channel(address) as plain,
    ):
        with pytest.raises(grpc.aio.AioRpcError):
            await check(plain, b"", seconds=2, wait_for_ready=False)


@pytest.mark.parametrize("stranger", [False, True], ids=["no certificate", "another authority"])
async def test_mutual_tls_refuses_a_client_that_is_not_vouched_for(
    authority: Authority, world: World, tmp_path: Path, transport: Transport, *, stranger: bool
) -> None:
    client = Authority().client(ENVOY) if stranger else None
    async with (
        serving(transport, world, identity(authority, tmp_path, mutual=True)) as address,
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
    transport: Transport,
    allowed: frozenset[str],
    *,
    is_answered: bool,
) -> None:
    """
    Any other is denied, and not by a gRPC error: its Envoy may be set to fail open.
    """
    tls = identity(authority, tmp_path, mutual=True, sans=allowed)
    async with (
        serving(transport, world, tls) as address,
        channel(address, authority, authority.client(ENVOY)) as envoy,
    ):
        response = await check(envoy, check_request(bearer()(world)))

    if is_answered:
        assert code(response) == 0
    else:
        assert json.loads(denial(response).body)["reason"] == "peer_not_allowed"


async def shown_by(address: str, authority: Authority, name: str) -> str:
    """Return the common name of the certificate that a new connection is shown."""
    context = ssl.create_default_context(cadata=authority.certificate.decode())
    context.set_alpn_protocols(["h2"])
    host, port = address.split(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname=name)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return load_der_x509_certificate(shown).subject.rfc4514_string()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"], ids=["with SNI", "without SNI"])
async def test_a_renewed_certificate_is_shown_without_a_restart(
    authority: Authority, world: World, tmp_path: Path, transport: Transport, name: str
) -> None:
    """
    And a half-written one is not: the old stays until all of it is there.
    """
    tls = identity(authority, tmp_path)
    renewed = authority.server("renewed")
    async with (
        serving(transport, world, tls) as address,
        channel(address, authority) as before_renewal,
    ):
        await check(before_renewal, check_request({}))
        shown = [await shown_by(address, authority, name)]
        tls.certificate.write_bytes(renewed.certificate)
        shown.append(await shown_by(address, authority, name))
        tls.key.write_bytes(renewed.key)
        shown.append(await shown_by(address, authority, name))
        tls.key.unlink()
        shown.append(await shown_by(address, authority, name))
        await check(before_renewal, check_request({}))

    assert shown == ["CN=server", "CN=server", "CN=renewed", "CN=renewed"]


async def test_an_authority_that_is_replaced_is_not_believed_any_more(
    authority: Authority, world: World, tmp_path: Path, transport: Transport
) -> None:
    tls = identity(authority, tmp_path, mutual=True)
    client, other = authority.client(ENVOY), Authority()
    async with serving(transport, world, tls) as address:
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
    authority: Authority, world: World, tmp_path: Path, transport: Transport
) -> None:
    tls = identity(authority, tmp_path)
    tls.key.write_bytes(b"")
    with pytest.raises(OSError, match=r"."):
        async with serving(transport, world, tls):
            pass


async def test_two_on_one_port_is_one_too_many(
    authority: Authority, world: World, tmp_path: Path, transport: Transport
) -> None:
    tls = identity(authority, tmp_path)
    async with serving(transport, world, tls) as address:
        with pytest.raises(EnvironmentFaultError, match="in use"):
            async with serving_gate(transport, make_gate(world), address=address, tls=tls):
                pass
