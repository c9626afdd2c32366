"""What deploy/compose.yaml starts, on loopback and without containers.

The same programs with the same words, files and environment, each after those that it
waits for; and they are asked how they are as their containers would be. Only addresses
differ: what a container listens on is a port of ours. Stand-ins take the place of Clerk and
of the upstream.
"""

import asyncio
import json
import os
import re
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, Self

import psycopg
import yaml

from compositions import OURS, SERVICES, command, environment, in_order, on_host
from processes import surroundings
from wicketgate.local.child import ChildProcess
from wicketgate.local.clerk import ClerkDouble
from wicketgate.local.envoy import find_envoy
from wicketgate.local.ports import LOOPBACK, held_ports
from wicketgate.local.postgres import EmbeddedPostgres
from wicketgate.local.postgres_binaries import find_postgres
from wicketgate.local.upstream import EchoUpstream

TOOLS: Final = Path(sys.executable).parent
HEALTHY_SECONDS: Final = 40.0
ONCE_SECONDS: Final = 40.0
PORTS: Final = 64
"""Four for each process of ours, whether it listens there or not, and those of Envoy."""

Place = tuple[str, int]
"""A service, and the port that it listens on in its container."""


class Composed:
    """The services of no profile, running for as long as the context is open.

    Attributes:
        clerk: Stands in for Clerk.
        upstream: Stands in for the upstream.
        postgres: Keeps the tables.
        order: The services in the order in which they became ready or ended.
        secrets: The directory of secrets.
    """

    def __init__(self, *, secrets: Path, directory: Path, clerk: ClerkDouble) -> None:
        """Prepare to run it.

        Args:
            secrets: The directory that secrets.sh made; its files are changed.
            directory: Where files may be written.
            clerk: Whose keys count.
        """
        self.clerk = clerk
        self.upstream = EchoUpstream()
        self.postgres = EmbeddedPostgres()
        self.order: list[str] = []
        self.secrets = secrets
        self._directory = directory
        self._ports: defaultdict[Place, int] = defaultdict(lambda: next(self._free))
        self._free: Iterator[int] = iter(())
        self._children: dict[str, ChildProcess] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start everything, in order."""
        async with AsyncExitStack() as stack:
            self._free = iter(stack.enter_context(held_ports(PORTS)))
            # Before the door, which is told where it is.
            await stack.enter_async_context(self.upstream)
            self._ports["upstream", 8081] = self.upstream.port
            for name in in_order(set()):
                await self._start(name, stack)
                self.order.append(name)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop everything."""
        await self._stack.aclose()

    def url(self, service: str, port: int, path: str = "/") -> str:
        """Return where a path of a service is."""
        return f"http://{LOOPBACK}:{self._ports[service, port]}{path}"

    def secret(self, name: str) -> str:
        """Return a secret."""
        return (self.secrets / name).read_text().strip()

    async def run(self, name: str, *words: str) -> str:
        """Run a service of ours to its end, as ``docker compose run`` does; return its output.

        Args:
            name: The service.
            words: In the place of its command.
        """
        child = self._child(f"{name}-{time.monotonic_ns()}", name, words)
        await child.start()
        status = await child.wait(seconds=ONCE_SECONDS)
        assert status == 0, child.tail
        return child.stdout

    async def _start(self, name: str, stack: AsyncExitStack) -> None:
        if name == "postgres":
            await stack.enter_async_context(self.postgres)
            self._initialize()
        elif name == "upstream":
            return  # it runs, and is not the program that its container runs
        elif SERVICES[name]["restart"] == "no":
            await self.run(name)
            return
        else:
            child = self._children[name] = self._child(name, name)
            stack.push_async_callback(child.stop)
            await child.start()
        await self._healthy(name)

    def _initialize(self) -> None:
        """Do what the image of Postgres does at its first start, and let others find it."""
        wanted = SERVICES["postgres"]["environment"]
        user, database = wanted["POSTGRES_USER"], wanted["POSTGRES_DB"]
        password = on_host("postgres", wanted["POSTGRES_PASSWORD_FILE"], secrets=self.secrets)
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            secret = connection.pgconn.encrypt_password(
                Path(password).read_bytes().strip(), user.encode(), b"scram-sha-256"
            ).decode()
            connection.execute(f"CREATE ROLE {user} SUPERUSER LOGIN PASSWORD '{secret}'")
            connection.execute(f"CREATE DATABASE {database} OWNER {user}")
        for url in self.secrets.glob("database-*"):
            here = f"@{LOOPBACK}:{self.postgres.port}/"
            url.write_text(url.read_text().replace("@postgres:5432/", here))

    async def _healthy(self, name: str) -> None:
        test = self._here(name, SERVICES[name]["healthcheck"]["test"][1:])
        async with asyncio.timeout(HEALTHY_SECONDS):
            while True:
                asked = await asyncio.create_subprocess_exec(
                    *test,
                    env=self._environment(name),
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.DEVNULL,
                )
                if await asked.wait() == 0:
                    return
                child = self._children.get(name)
                assert child is None or child.is_running, child.tail
                await asyncio.sleep(0.1)

    def _child(self, title: str, name: str, words: Sequence[str] = ()) -> ChildProcess:
        if name in OURS:
            entrypoint = SERVICES[name].get("entrypoint", ["wicketgate"])
            started = [*entrypoint, *words] if words else command(name)
        else:
            started = ["envoy", *SERVICES[name]["command"]]
        return ChildProcess(
            title,
            self._here(name, started),
            directory=self._directory,
            environment=self._environment(name),
        )

    def _here(self, name: str, words: Sequence[str]) -> list[str]:
        """Return a command of a container as it is run here."""
        programs = {
            "wicketgate": TOOLS / "wicketgate",
            "python": sys.executable,
            "envoy": find_envoy(),
            "pg_isready": find_postgres() / "pg_isready",
        }
        found = [str(programs.get(words[0], words[0]))]
        found += [on_host(name, word, secrets=self.secrets) for word in words[1:]]
        if words[0] == "envoy":
            found[-1] = self._rendered(name, Path(found[-1]))
        if words[0] == "pg_isready":
            found.append(f"--port={self.postgres.port}")
        return [
            re.sub(r"(/dev/tcp/127\.0\.0\.1/)(\d+)", self._port_of_door, each) for each in found
        ]

    def _rendered(self, name: str, path: Path) -> str:
        """Return a copy of Envoy's configuration with the ports that are used here."""
        copy = self._directory / f"{name}.json"
        copy.write_text(json.dumps(self._on_loopback(yaml.safe_load(path.read_text()))))
        return str(copy)

    def _port_of_door(self, found: re.Match[str]) -> str:
        return f"{found[1]}{self._ports['door', int(found[2])]}"

    def _environment(self, name: str) -> dict[str, str]:
        """Return the environment of a container as it is here."""
        if name not in OURS:
            return surroundings()
        given = environment(name, {"CLERK_PUBLISHABLE_KEY": self.clerk.instance.publishable_key})
        for key, value in given.items():
            if key.endswith("_ADDRESS"):
                port = int(value.rpartition(":")[2])
                given[key] = f"{LOOPBACK}:{self._ports[name, port]}"
            elif key.endswith("_FILE"):
                path = on_host(name, value, secrets=self.secrets)
                given[key] = path.replace("/var/cache/wicketgate", f"{self._directory}/cache")
        clerks = {
            "gate": {"CLERK_JWKS_URL": self.clerk.jwks_url},
            "sync": {"CLERK_API_URL": self.clerk.url},
        }
        # Nobody else is served meanwhile, so there is nobody to wait for.
        quick = {"WICKETGATE_DRAIN_SECONDS": "0"}
        tools = {"PATH": f"{TOOLS}{os.pathsep}{os.defpath}"}
        return surroundings() | given | clerks.get(name, {}) | quick | tools

    def _on_loopback(self, document: Any) -> Any:  # noqa: ANN401 - parsed YAML
        """Return a configuration of the door's or of Envoy with the ports that they have here."""
        if isinstance(document, list):
            return [self._on_loopback(each) for each in document]
        if not isinstance(document, dict):
            return document
        if set(document) == {"address", "port_value"}:
            host, port = document["address"], document["port_value"]
            service = "door" if host in {"0.0.0.0", LOOPBACK} else host
            return {"address": LOOPBACK, "port_value": self._ports[service, port]}
        return {key: self._on_loopback(value) for key, value in document.items()}
