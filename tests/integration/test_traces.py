"""Traces of requests, continued by a gate as operators start it."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import grpc
import pytest
from aiohttp import ClientSession

from collectors import collector
from conformance.table import World, bearer
from gates import check_request
from processes import Running, check, code, environ, gate, refusal

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
NOBODY = "http://127.0.0.1:9/v1/traces"
"""Nobody listens on the port of discard."""


async def spans(running: Running) -> dict[str, float]:
    """Return how many spans were exported, dropped and limited; empty when there are no traces."""
    async with (
        ClientSession() as session,
        session.get(f"http://{running.admin}/metrics") as answer,
    ):
        lines = (await answer.text()).splitlines()
    samples = (line.split() for line in lines if line.startswith("wicketgate_trace_spans_total"))
    return {name.split('"')[1]: float(number) for name, number in samples}


async def test_a_check_is_in_the_trace_of_its_request(world: World, tmp_path: Path) -> None:
    """
    From the header to a collector, with the headers of the operator's file as they are
    replaced; the last of it while the gate ends.
    """
    secret = tmp_path / "headers"
    secret.write_text("api-key=first")
    async with collector() as collecting:
        variables = environ(
            world,
            WICKETGATE_TRACES_ENDPOINT=collecting.url,
            WICKETGATE_TRACES_HEADERS_FILE=str(secret),
            OTEL_RESOURCE_ATTRIBUTES="k8s.pod.name=gate-0",
        )
        async with (
            gate(variables) as running,
            grpc.aio.insecure_channel(running.checks) as channel,
        ):
            allowed = await check(channel, check_request({**bearer()(world), **SAMPLED}))
            await check(channel, check_request({"traceparent": f"00-{TRACE}-{PARENT}-00"}))
            await check(channel, check_request({}))
            await collecting.has(1)
            counts = await spans(running)
            secret.write_text("api-key=second")
            await running.event("reloaded")
            await check(channel, check_request(SAMPLED))
            running.process.send_signal(signal.SIGTERM)
            status = await asyncio.wait_for(running.process.wait(), 20)

    first, second = collecting.named("wicketgate.check")
    assert (code(allowed), status) == (0, 0)
    assert {(each.trace_id, each.parent_id) for each in (first, second)} == {(TRACE, PARENT)}
    assert first.words["wicketgate.verdict"] == "allow"
    assert second.words["wicketgate.reason"] == "no_credential"
    assert first.resource["service.name"] == "wicketgate-authz"
    assert first.resource["k8s.pod.name"] == "gate-0"
    assert counts == {"exported": 1, "dropped": 0, "limited": 0}
    assert [each["api-key"] for each in collecting.requests] == ["first", "second"]


async def test_without_a_collector_requests_go_on_and_one_line_says_so(world: World) -> None:
    async with gate(environ(world, WICKETGATE_TRACES_ENDPOINT=NOBODY)) as running:
        async with grpc.aio.insecure_channel(running.checks) as channel:
            for number in (1, 2):
                answered = await check(channel, check_request({**bearer()(world), **SAMPLED}))
                assert code(answered) == 0
                async with asyncio.timeout(20):
                    while (await spans(running))["dropped"] < number:  # noqa: ASYNC110 - as ever
                        await asyncio.sleep(0.05)
        running.process.send_signal(signal.SIGTERM)
        await running.event("stopped")

    said = [line for line in running.passed if line["event"] not in {"decision", "listening"}]
    assert [line["event"] for line in said] == ["traces not exported", "draining", "stopped"]
    assert said[0]["error"] == "no connection to the collector"


PROGRAM = """
import asyncio, json, os, signal, sys
from wicketgate.app.authz import run_authz

async def run():
    with open(sys.argv[1], "w+") as log:
        running = asyncio.create_task(run_authz(os.environ, log_stream=log))
        while "listening" not in open(sys.argv[1]).read():
            await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)
        await running

asyncio.run(run())
print(json.dumps(sorted(name for name in sys.modules if name.startswith("opentelemetry"))))
"""


@pytest.mark.parametrize("settings", [{}, {"WICKETGATE_TRACES_ENDPOINT": NOBODY}])
async def test_nothing_of_opentelemetry_is_loaded_unless_traces_are_told(
    settings: dict[str, str], world: World, tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, str(tmp_path / "log")),
        env=environ(world, **settings),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 0
    assert bool(settings) == bool(json.loads(said))


WITHOUT = """
import sys
sys.modules["opentelemetry"] = None
from wicketgate.cli import main
sys.exit(main(sys.argv[1:]))
"""


async def test_without_opentelemetry_one_line_says_what_to_install(world: World) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WITHOUT, "authz"),
        env=environ(world, WICKETGATE_TRACES_ENDPOINT=NOBODY),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(process.communicate(), 30)

    (_, line) = said.decode().splitlines()
    assert process.returncode == 2
    assert "WICKETGATE_TRACES_ENDPOINT" in line
    assert "pip install 'wicketgate[otel]'" in line


async def test_a_variable_that_opentelemetry_refuses_is_one_line(world: World) -> None:
    variables = environ(
        world,
        WICKETGATE_TRACES_ENDPOINT=NOBODY,
        OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT="rubbish",
    )

    status, said = await refusal(variables)

    (_, line) = said.splitlines()
    assert status == 2
    assert "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT is not what" in line
    assert "rubbish" not in said


RESOLVING = """
import socket, sys, time
# Without uvloop, whose look-ups no program can make hang.
sys.modules["uvloop"] = None
honest = socket.getaddrinfo

def hang(host, *args, **kwargs):
    if host != "collector.example.com":
        return honest(host, *args, **kwargs)
    print("hanging", flush=True)
    time.sleep(600)

socket.getaddrinfo = hang
from wicketgate.cli import main
sys.exit(main(["authz"]))
"""


async def test_a_resolver_that_hangs_does_not_keep_a_gate_from_its_end(world: World) -> None:
    variables = environ(
        world, WICKETGATE_TRACES_ENDPOINT="http://collector.example.com:4318/v1/traces"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", RESOLVING),
        env=variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    running = Running(process)
    reading = asyncio.create_task(running.read())
    try:
        running.checks = str((await asyncio.wait_for(running.event("listening"), 20))["checks"])
        async with grpc.aio.insecure_channel(running.checks) as channel:
            await check(channel, check_request(SAMPLED))
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"hanging\n"
        process.send_signal(signal.SIGTERM)

        assert await asyncio.wait_for(process.wait(), 30) == 0
        await running.event("stopped")
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading
