"""`wicketgate doctor` beside a real Envoy: what only the doctor tells, and running Envoys."""

import asyncio
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from doctor_vectors import BROKEN, VECTORS, mended
from wicketgate.doctor.documents import documents_in
from wicketgate.doctor.examine import examine
from wicketgate.local.client import Client
from wicketgate.local.envoy import EnvoyProcess, find_envoy
from wicketgate.local.envoy_config import (
    AS_SHIPPED,
    EnvoyOptions,
    connection_managers,
    envoy_document,
    render_config,
)
from wicketgate.local.ports import held_ports

pytestmark = pytest.mark.envoy

OF_ENVOY: Final = [path for path in BROKEN if path.name.endswith(".envoy.yaml")]
REFUSED: Final = {
    "cluster-http1.envoy.yaml",  # its health check speaks gRPC, and gRPC needs HTTP/2
    "transport-api-version.envoy.yaml",
}
"""What Envoy refuses by itself, with another explanation."""
UNKNOWN: Final = "shadow-mode.envoy.yaml"
"""Envoy before 1.38 does not know the field, and refuses it for that."""
AT_ONCE: Final = 2


async def accepted(path: Path) -> bool:
    """Tell whether Envoy takes a configuration."""
    command = (find_envoy(), "--mode", "validate", "--log-level", "off", "-c", path)
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await process.wait() == 0


async def refused_of(paths: Iterable[Path]) -> set[str]:
    """Return the names of the files that Envoy does not take."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def refused(path: Path) -> bool:
        async with turns:
            return not await accepted(path)

    listed = list(paths)
    answers = await asyncio.gather(*map(refused, listed))
    return {path.name for path, answer in zip(listed, answers, strict=True) if answer}


async def doctor(*arguments: str) -> tuple[int, list[str]]:
    """Run the command; return its exit status and the kinds that it found."""
    environ = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("CLERK_", "WICKETGATE_", "DATABASE_"))
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wicketgate", "doctor", "--json", *arguments),
        env=environ,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, [each["id"] for each in json.loads(out)["findings"]]


async def test_envoy_takes_what_the_doctor_finds_broken() -> None:
    refused = await refused_of(OF_ENVOY)

    assert refused - {UNKNOWN} == REFUSED


async def test_envoy_takes_what_the_doctor_advises(tmp_path: Path) -> None:
    written = []
    for path in OF_ENVOY:
        values = [each.value for each in documents_in(path.read_text(encoding="utf-8"))]
        (fault,) = examine(values)
        if fault.edits:
            (document,) = mended(values, fault.edits)
            written.append(tmp_path / path.name)
            written[-1].write_text(yaml.safe_dump(document), encoding="utf-8")

    assert len(written) >= len(OF_ENVOY) - 1
    assert await refused_of(written) == set()


@pytest.mark.parametrize(
    ("options", "status", "expected"),
    [
        (AS_SHIPPED, 0, []),
        (EnvoyOptions(failure_mode_allow=True), 1, ["failure-mode-allow"]),
        (EnvoyOptions(encode_raw_headers=True), 0, ["encode-raw-headers"]),
        (EnvoyOptions(normalise=False), 1, ["path-normalization"]),
        (EnvoyOptions(strip=False), 1, ["identity-not-stripped"]),
    ],
)
async def test_a_running_envoy_is_examined_through_its_admin_port(
    options: EnvoyOptions, status: int, expected: list[str]
) -> None:
    """
    A dump has no aliases: each of the two listeners has the mistake.
    """
    with held_ports(3) as (edge, internal, admin):
        config = render_config(
            envoy_document(),
            listeners={"edge": edge, "internal": internal},
            clusters={},
            admin_port=admin,
            options=options,
        )
        async with EnvoyProcess(config, admin_port=admin, binary=find_envoy(), wait_for=()):
            found = await doctor(f"http://127.0.0.1:{admin}", "--ignore", "envoy-cve")

    assert found == (status, expected * 2)


async def test_our_own_configuration_has_no_finding() -> None:
    assert await doctor(str(VECTORS.parents[1] / "envoy.yaml")) == (0, [])


async def test_envoy_asks_about_direct_responses_and_not_where_there_is_no_route() -> None:
    """
    Which is why the doctor finds the former in old versions only.
    """
    with held_ports(4) as (edge, internal, admin, nobody):
        document: dict[str, Any] = json.loads(
            render_config(
                envoy_document(),
                listeners={"edge": edge, "internal": internal},
                clusters={"authz": f"127.0.0.1:{nobody}"},
                admin_port=admin,
            )
        )
        for manager in connection_managers(document):
            (host,) = manager["route_config"]["virtual_hosts"]
            host["routes"] = [{"match": {"path": "/here"}, "direct_response": {"status": 200}}]
        config = json.dumps(document)
        async with (
            EnvoyProcess(config, admin_port=admin, binary=find_envoy(), wait_for=()),
            Client() as client,
        ):
            here = await client.send(f"http://127.0.0.1:{edge}/here")
            elsewhere = await client.send(f"http://127.0.0.1:{edge}/elsewhere")

    assert (here.status, elsewhere.status) == (503, 404)
