"""What a connection's end does to the metrics, with the real observer and a real socket."""

import asyncio
import time

import pytest
from prometheus_client import CollectorRegistry

from fuzz.raw import Raw, flood
from unit.grpc.peer import FIRST, HELLO, headers
from wicketgate.adapters.connection_telemetry import CODES, ConnectionTelemetry
from wicketgate.grpc import protocol
from wicketgate.grpc.frames import Type
from wicketgate.grpc.server import WireServer

ENDS = {
    "": FIRST,
    "protocol_error": headers(2),
    "enhance_your_calm": flood(Type.PING, bytes(8)),
    "frame_size_error": b"\xff" * 9,
}


@pytest.fixture(autouse=True)
def lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time to read why a connection ended, however busy the machine is."""
    monkeypatch.setattr(protocol, "LINGER_SECONDS", 10.0)


def visit(address: str, sent: bytes) -> None:
    """Connect, send, and read to the end if there is one."""
    with Raw(address, hello=HELLO + sent) as raw:
        if sent == FIRST:
            raw.until_said("HEADERS 1 END")
        else:
            raw.to_the_end()


@pytest.mark.parametrize("code", ENDS)
async def test_a_connection_is_counted_and_its_fault_too(code: str) -> None:
    registry = CollectorRegistry()
    server = WireServer(lambda _: {}, observer=ConnectionTelemetry(registry))
    port = await server.listen("127.0.0.1:0")

    await asyncio.to_thread(visit, f"127.0.0.1:{port}", ENDS[code])
    end = time.monotonic() + 10
    while registry.get_sample_value("wicketgate_connections") != 0:
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
    await server.stop(grace=0)

    faults = {
        sample.labels["code"]: sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "wicketgate_connection_faults_total"
    }
    # All of them are there from the start, to be watched.
    assert faults == dict.fromkeys(CODES, 0.0) | ({code: 1.0} if code else {})
