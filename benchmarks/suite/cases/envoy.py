"""Through Envoy: what a request costs that is let in, by who lets it in.

HTTP/1.1 to an Envoy of two workers, which asks, and answers by itself (`suite.envoys`). The
floor is the wire transport under a method that decides nothing: no gate on it can be
quicker. Load, Envoy and gate share the machine, so requests per second are those of all three.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from itertools import product
from typing import Final

from suite.bench import Bench
from suite.checks import http_request, tampered
from suite.envoys import BODY, ECHOED, Document, bootstrap, ext_authz, jwt_authn, require_asked
from suite.load.generator import Generator, Stream, VoidError, generator
from suite.load.http_load import HttpLoad
from suite.load.messages import Message
from suite.load.session import Sample
from suite.probe import require_gate
from suite.result import Row
from suite.rounds import Subject
from suite.servers.process import GateOptions, Server, answering, gate
from wicketgate.local.clerk_instance import USER
from wicketgate.local.client import Client
from wicketgate.local.envoy import EnvoyProcess, find_envoy
from wicketgate.local.ports import held_ports

TITLE = "through Envoy, HTTP/1.1"
CONNECTIONS: Final = (2, 32)
NOBODY: Final = "no authentication"
JWT: Final = "jwt_authn"
JWT_CACHED: Final = "jwt_authn, jwt_cache_config"
FLOOR: Final = "no-op on wire (the floor)"
WIRE: Final = "wire, log off"
GRPCIO: Final = "grpcio, log off"
GATES: Final[Mapping[str, GateOptions]] = {
    WIRE: GateOptions(transport="wire"),
    "wire, log all": GateOptions(transport="wire", log="all"),
    "wire, log off, verify": GateOptions(transport="wire", cache=0),
    GRPCIO: GateOptions(transport="grpcio"),
    "grpcio, log off, verify": GateOptions(transport="grpcio", cache=0),
}
LONGER: Final = 2
"""Three processes on two cores need longer than one to come to rest."""
_REFUSED: Final = 401


def row_name(subject: str, connections: int) -> str:
    """Return the name of a row, for who looks for it."""
    return f"{subject}, {connections} conn."


class Case:
    """One Envoy, and what is behind it."""

    def __init__(self, bench: Bench, stack: AsyncExitStack) -> None:
        self._bench = bench
        self._stack = stack
        self._servers: dict[str, Server] = {}
        self._answered: dict[str, int] = {}

    async def run(self) -> list[Row]:
        """Start everything, judge it, measure it."""
        await self._start_gates()
        clusters = {name: f"gate{number}" for number, name in enumerate(self._servers)}
        clerk = self._bench.clerk
        filters: dict[str, Document | None] = {
            NOBODY: None,
            JWT: jwt_authn(clerk, is_cached=False),
            JWT_CACHED: jwt_authn(clerk, is_cached=True),
            **{name: ext_authz(cluster) for name, cluster in clusters.items()},
        }
        admin, *ports = self._stack.enter_context(held_ports(1 + len(filters)))
        listening = dict(zip(filters, ports, strict=True))
        config = bootstrap(
            {
                f"listener{number}": (listening[name], each)
                for number, (name, each) in enumerate(filters.items())
            },
            {clusters[name]: server.port for name, server in self._servers.items()},
            admin=admin,
        )
        envoy = EnvoyProcess(
            config, admin_port=admin, binary=find_envoy(), wait_for=tuple(clusters.values())
        )
        await self._stack.enter_async_context(envoy)
        for name, port in listening.items():
            await self._require(name, port)
        load = await self._stack.enter_async_context(generator())
        assert envoy.pid is not None
        subjects = [
            await self._subject(load, name, connections, port, envoy.pid)
            for connections, (name, port) in product(CONNECTIONS, listening.items())
        ]
        rows = await self._bench.interleave(subjects)
        asked = {clusters[name]: self._answered.get(name, 0) for name in clusters}
        require_asked(await envoy.stats(), asked)
        return rows

    async def _start_gates(self) -> None:
        answer = b""
        for name, options in GATES.items():
            server = await self._stack.enter_async_context(gate(self._bench.clerk, options))
            answer = await require_gate(server.port, self._bench.token)
            self._servers[name] = server
        self._servers[FLOOR] = await self._stack.enter_async_context(answering("noop", answer))

    async def _require(self, name: str, port: int) -> None:
        """Ask three questions through Envoy.

        Raises:
            VoidError: a valid token does not let its user in, or anything else does.
        """
        token = self._bench.token
        credentials = {"a valid token": token}
        if name not in {NOBODY, FLOOR}:
            credentials |= {"no token": "", "a tampered token": tampered(token)}
        async with Client() as client:
            for what, credential in credentials.items():
                headers = [("authorization", f"Bearer {credential}")] if credential else []
                reply = await client.send(f"http://127.0.0.1:{port}/v1/me", headers=headers)
                let_in = dict(reply.headers).get(ECHOED, "")
                got = (reply.status, let_in)
                user = "" if name == NOBODY else USER
                expected = (200, user) if credential == token else (_REFUSED, "")
                if got != expected:
                    msg = f"{name}, {what}: expected {expected}, got {got}"
                    raise VoidError(msg)

    async def _subject(
        self, load: Generator, name: str, connections: int, port: int, envoy: int
    ) -> Subject:
        user = b"" if name == NOBODY else USER.encode()
        request = http_request(self._bench.token)
        messages = self._bench.file(f"http-{len(user)}", [Message(request, user)])
        stream = await load.open(
            HttpLoad(
                port=port,
                messages=messages,
                connections=connections,
                end=f"\r\n\r\n{BODY}",
            )
        )
        pids = {"Envoy": envoy, "load": load.pid}
        if name in self._servers:
            pids |= {"gate": self._servers[name].pid}
        return Subject(row_name(name, connections), partial(self._load, name, stream), pids)

    async def _load(self, name: str, stream: Stream) -> Sample:
        sample = await stream.run(seconds=self._bench.seconds * LONGER)
        self._answered[name] = self._answered.get(name, 0) + sample.answers
        return sample


async def run(bench: Bench) -> list[Row]:
    """Measure.

    Raises:
        VoidError: an answer was wrong.
    """
    async with AsyncExitStack() as stack:
        return await Case(bench, stack).run()
