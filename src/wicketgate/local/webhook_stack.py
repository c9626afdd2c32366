"""The webhook half of the system: Postgres, the receiver, and Clerk's deliveries.

The receiver is the program that users run, after the migration that users run,
each a process of its own. Two endpoints lead to it, as they do while a secret is
rotated. A database that was given is left as it was found: what is done in it is
done in a schema that goes with us.
"""

import base64
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, LiteralString, Self

import psycopg
from aiohttp import ClientError, ClientSession, ClientTimeout
from psycopg.sql import SQL, Identifier

from wicketgate.errors import EnvironmentFaultError
from wicketgate.local.child import ChildProcess
from wicketgate.local.clerk import SECRET_KEY, ClerkDouble
from wicketgate.local.ports import LOOPBACK, held_port, held_ports
from wicketgate.local.postgres import EmbeddedPostgres
from wicketgate.local.webhook_sender import Endpoint

READY_SECONDS: Final = 20.0
COMMAND_SECONDS: Final = 60.0
"""For a migration or a comparison, which take about one."""
SECRET_BYTES: Final = 24
"""As many as Clerk's signing secrets have."""

OURS: Final = ("CLERK_", "WICKETGATE_", "SERVICE_AUTH_TOKEN", "DATABASE_URL")
"""Settings of the developer's own that must not leak into the experiment."""
_ADMIN_TIMEOUT: Final = ClientTimeout(total=2.0)
_PATH: Final = "/webhooks/clerk"


def _silent(_: str) -> None:
    pass


class WebhookStack:
    """Postgres and the receiver, running, for as long as the context is open.

    Attributes:
        database: The Postgres that is ours to stop; `None` when one was given.
        database_url: Where it is.
        schema: Where our tables are.
        receiver: The receiver's process.
        admin: Base URL of its status page, health and metrics.
        endpoints: Where deliveries go, with two secrets.
        environment: The settings of each of our processes.
    """

    database: EmbeddedPostgres | None
    database_url: str
    schema: str
    receiver: ChildProcess
    admin: str
    endpoints: tuple[Endpoint, Endpoint]
    environment: dict[str, str]

    def __init__(
        self,
        clerk: ClerkDouble,
        *,
        directory: Path,
        database_url: str | None = None,
        settings: Mapping[str, str] | None = None,
        admin_port: int = 0,
        report: Callable[[str], None] = _silent,
    ) -> None:
        """Prepare the stack.

        Args:
            clerk: Whose users they are.
            directory: Where the processes' output goes.
            database_url: A Postgres to use; `None` starts one.
            settings: Settings of the receiver to add or replace.
            admin_port: Where its status page is to be, if that port is free.
            report: Told what is being started.
        """
        self._clerk = clerk
        self._directory = directory
        self._given_url = database_url
        self._overrides = settings or {}
        self._admin_port = admin_port
        self._report = report
        self._stack = AsyncExitStack()
        self._runs = 0

    async def __aenter__(self) -> Self:
        """Start everything and wait until it works together.

        Raises:
            EnvironmentFaultError: a part is missing or does not start.
        """
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop everything."""
        await self._stack.aclose()

    async def _start(self, stack: AsyncExitStack) -> None:
        if self._given_url is None:
            self._report("starting Postgres ...")
            self.database = await stack.enter_async_context(EmbeddedPostgres())
            self.database_url, self.schema = self.database.url, "wicketgate"
        else:
            self.database, self.database_url = None, self._given_url
            self.schema = f"wicketgate_local_{secrets.token_hex(4)}"
            stack.push_async_callback(self._drop_schema)
        admin_port = stack.enter_context(held_port(self._admin_port))
        (port,) = stack.enter_context(held_ports(1))
        url = f"http://{LOOPBACK}:{port}{_PATH}"
        self.admin = f"http://{LOOPBACK}:{admin_port}"
        self.endpoints = (Endpoint(url, new_secret()), Endpoint(url, new_secret()))
        self.environment = clean_environment() | self._settings(port, admin_port)
        self._report("running wicketgate migrate ...")
        await self.run("migrate")
        self._report("starting wicketgate webhooks ...")
        self.receiver = self._child("receiver", "webhooks")
        stack.push_async_callback(self.receiver.stop)
        await self.start_receiver()

    async def start_receiver(self) -> None:
        """Start the receiver, again if it was stopped, and wait until it takes deliveries.

        Raises:
            EnvironmentFaultError: it does not start.
        """
        await self.receiver.start()
        await self.receiver.wait_until(self._is_ready, seconds=READY_SECONDS, what="ready")

    async def run(self, *arguments: str) -> str:
        """Run another of our commands to its end; return what it wrote.

        Raises:
            EnvironmentFaultError: it failed. The message ends with what it wrote.
        """
        self._runs += 1
        child = self._child(f"{arguments[0]}-{self._runs}", *arguments)
        await child.start()
        status = await child.wait(seconds=COMMAND_SECONDS)
        if status:
            msg = f"wicketgate {arguments[0]} ended with status {status}; it wrote:\n{child.tail}"
            raise EnvironmentFaultError(msg)
        return child.stdout

    async def rows(
        self, statement: LiteralString, parameters: Mapping[str, object] | None = None
    ) -> list[tuple[Any, ...]]:
        """Return what a statement returns, if it returns rows; ``{}`` is our schema."""
        async with await psycopg.AsyncConnection.connect(
            self.database_url, autocommit=True, connect_timeout=5
        ) as connection:
            query = SQL(statement).format(Identifier(self.schema))
            cursor = await connection.execute(query, parameters)
            return await cursor.fetchall() if cursor.description else []

    async def _is_ready(self) -> bool:
        with suppress(ClientError, TimeoutError):
            async with (
                ClientSession(timeout=_ADMIN_TIMEOUT) as session,
                session.get(f"{self.admin}/readyz") as response,
            ):
                return response.ok
        return False

    async def _drop_schema(self) -> None:
        with suppress(psycopg.Error):
            await self.rows("DROP SCHEMA IF EXISTS {} CASCADE")

    def _child(self, name: str, *arguments: str) -> ChildProcess:
        return ChildProcess(
            name,
            (sys.executable, "-m", "wicketgate", *arguments),
            directory=self._directory,
            environment=self.environment,
        )

    def _settings(self, port: int, admin_port: int) -> dict[str, str]:
        settings = {
            "CLERK_WEBHOOK_SIGNING_SECRET": ",".join(each.secret for each in self.endpoints),
            "CLERK_INSTANCE_ID": self._clerk.instance.kid,
            "CLERK_SECRET_KEY": SECRET_KEY,
            "CLERK_API_URL": self._clerk.url,
            "DATABASE_URL": self.database_url,
            "WICKETGATE_DATABASE_SCHEMA": self.schema,
            "WICKETGATE_WEBHOOKS_ADDRESS": f"{LOOPBACK}:{port}",
            "WICKETGATE_WEBHOOKS_ADMIN_ADDRESS": f"{LOOPBACK}:{admin_port}",
            "WICKETGATE_WEBHOOKS_PATH": _PATH,
            # Nobody is left to be drained for when the stack comes down.
            "WICKETGATE_DRAIN_SECONDS": "0",
            "WICKETGATE_GRACE_SECONDS": "1",
        }
        return {**settings, **self._overrides}


def clean_environment() -> dict[str, str]:
    """Return our environment without any setting of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}


def new_secret() -> str:
    """Return a signing secret such as Clerk makes."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
