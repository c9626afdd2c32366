"""Records what real clients send: ``PYTHONPATH=tests python -m fuzz.record``.

Writes `sessions`/*.bin anew: the bytes of one connection each, as the server got them.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

import grpc

from conformance.table import USERS, World
from fuzz.listening import ECHO, SLOW, serving
from meshes import Document, cluster, mesh
from processes import environ
from wicketgate.grpc.unary import framed
from wicketgate.local.clerk_instance import ClerkInstance

SESSIONS: Final = Path(__file__).parent / "sessions"


class Tee:
    """A proxy that keeps what clients send, a connection each."""

    def __init__(self, target: str) -> None:
        self.taken: list[bytearray] = []
        self.target = target

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Listen, and give the address."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken = bytearray()
        self.taken.append(taken)
        inner_reader, inner_writer = await asyncio.open_connection(*self.target.split(":"))

        async def upward() -> None:
            while data := await reader.read(65_536):
                taken.extend(data)
                inner_writer.write(data)

        async def downward() -> None:
            while data := await inner_reader.read(65_536):
                writer.write(data)

        with suppress(OSError):
            await asyncio.wait(
                {asyncio.create_task(upward()), asyncio.create_task(downward())},
                return_when=asyncio.FIRST_COMPLETED,
            )
        writer.close()
        inner_writer.close()


def keep(name: str, taken: bytes) -> None:
    """Write a session."""
    SESSIONS.mkdir(exist_ok=True)
    (SESSIONS / f"{name}.bin").write_bytes(taken)
    print(f"{name}: {len(taken)} bytes")  # noqa: T201 - a script


async def record_grpcio() -> None:
    """Record calls of the aio client: plain, with metadata, deadlines, cancelled, compressed."""
    with serving() as served:
        tee = Tee(served.address)
        async with tee.listening() as address, grpc.aio.insecure_channel(address) as channel:
            echo: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(ECHO)
            slow: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(SLOW)
            unknown: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/no/No")
            await echo(b"", timeout=5)
            await echo(b"a" * 300)
            for number in range(4):
                trace = f"00-{number:032x}-{number:016x}-01"
                await echo(b"b" * number, timeout=5, metadata=(("traceparent", trace),))
            await asyncio.gather(*(echo(bytes([n]) * 50) for n in range(8)))
            call = slow(b"c")
            await asyncio.sleep(0.05)
            call.cancel()
            await asyncio.sleep(0.05)
            await echo(b"d" * 17_000)
            with suppress(grpc.aio.AioRpcError):
                await echo(b"e" * 400, compression=grpc.Compression.Gzip)
            with suppress(grpc.aio.AioRpcError):
                await unknown(b"")
        keep("grpcio", bytes(max(tee.taken, key=len)))


async def record_envoy() -> None:
    """Record Envoy: Checks that carry a trace, and health checks."""
    clerk = ClerkInstance()
    world = World(clerk=clerk, stranger=clerk, service_token="s" * 40, now=0.0)
    settings = environ(world, WICKETGATE_TRANSPORT="wire")
    tee = Tee("127.0.0.1:0")
    async with tee.listening() as address:

        def through_the_proxy(document: Document) -> None:
            (group,) = cluster(document, "authz")["load_assignment"]["endpoints"]
            (endpoint,) = group["lb_endpoints"]
            place = endpoint["endpoint"]["address"]["socket_address"]
            tee.target = f"{place['address']}:{place['port_value']}"
            place["port_value"] = int(address.rpartition(":")[2])

        async with mesh(settings, edit=through_the_proxy) as running:
            # Without tokens, which have no place in a repository.
            for number in range(8):
                trace = f"00-{number + 1:032x}-{number + 1:016x}-01"
                await running.client.send(
                    running.edge + USERS.path, headers=[("traceparent", trace)]
                )
            await asyncio.sleep(2.5)
    keep("envoy-health", bytes(min(tee.taken, key=len)))
    keep("envoy", bytes(max(tee.taken, key=len)))


async def record_nghttp2() -> None:
    """Record nghttp, with priorities and padding, and h2load, with a window of 15 octets."""
    with serving() as served, NamedTemporaryFile() as body:
        body.write(framed(b"once and again"))
        body.flush()
        tee = Tee(served.address)
        common = ("-d", body.name, "-H", "content-type: application/grpc", "-H", "te: trailers")
        async with tee.listening() as address:
            for name, *options in (
                ("nghttp", "-m", "4", "--padding=9"),
                ("h2load", "-n", "12", "-c", "1", "-m", "4", "-w", "4"),
            ):
                tee.taken.clear()
                url = f"http://{address}{ECHO}"
                client = await asyncio.create_subprocess_exec(
                    name, *options, *common, url, stdout=asyncio.subprocess.DEVNULL
                )
                await client.wait()
                keep(name, bytes(tee.taken[0]))


def main() -> None:
    """Record all; what is not installed stays as it was recorded."""
    asyncio.run(record_grpcio())
    asyncio.run(record_envoy())
    if shutil.which("nghttp") and shutil.which("h2load"):
        asyncio.run(record_nghttp2())


if __name__ == "__main__":
    main()
