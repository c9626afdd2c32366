"""The whole system on loopback: Clerk's double, an upstream, the gate, Envoy.

With the webhook half, which takes longer to start, if it is asked for. The gate is
the program that users run, in a process of its own, told what to do by its
environment alone. Whatever was started is stopped again, in the
opposite order, also when starting failed half-way or somebody pressed Ctrl-C.
"""

import secrets
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self

from aiohttp import ClientError, ClientSession, ClientTimeout

from wicketgate.local.child import ChildProcess
from wicketgate.local.clerk import ClerkDouble
from wicketgate.local.envoy import EnvoyProcess, envoy_version, find_envoy
from wicketgate.local.envoy_config import AS_SHIPPED, EnvoyOptions, envoy_document, render_config
from wicketgate.local.ports import LOOPBACK, held_port, held_ports
from wicketgate.local.upstream import EchoUpstream
from wicketgate.local.webhook_stack import WebhookStack, clean_environment
from wicketgate.settings import Transport

ORIGIN: Final = "http://localhost:3000"
"""The front end: the authorized party of the tokens and the CORS origin of envoy.yaml."""
COOLDOWN_SECONDS: Final = 1
"""The gate's shortest; a rotation is then noticed while somebody watches."""
READY_SECONDS: Final = 15.0
GATE_ADMIN: Final = 9464
WEBHOOKS_ADMIN: Final = 9465
"""What the settings say by default, so that a bookmark of a status page stays good."""

_ADMIN_TIMEOUT: Final = ClientTimeout(total=2.0)


def _silent(_: str) -> None:
    pass


class LocalStack:
    """Everything, running, for as long as the context is open.

    Attributes:
        clerk: The double; rotate its instance, or make it fail.
        upstream: Where admitted requests arrive.
        gate: The gate's process.
        envoy: Envoy.
        service_token: The gate's ``SERVICE_AUTH_TOKEN``.
        edge: Base URL of the public listener.
        internal: Base URL of the internal listener.
        gate_admin: Base URL of the gate's status page, health and metrics.
        webhooks: The webhook half, `None` unless asked for.
    """

    clerk: ClerkDouble
    upstream: EchoUpstream
    gate: ChildProcess
    envoy: EnvoyProcess
    edge: str
    internal: str
    gate_admin: str
    webhooks: WebhookStack | None

    def __init__(  # noqa: PLR0913 - one for each way in which stacks differ
        self,
        *,
        transport: Transport,
        environment: Mapping[str, str] | None = None,
        envoy: str | None = None,
        options: EnvoyOptions = AS_SHIPPED,
        policy: Path | None = None,
        webhooks: bool = False,
        database_url: str | None = None,
        usual_ports: bool = False,
        report: Callable[[str], None] = _silent,
    ) -> None:
        """Prepare the stack.

        Args:
            transport: The gate's implementation of gRPC.
            environment: Settings of the gate to add or replace; an empty value
                unsets one.
            envoy: The Envoy binary; see `find_envoy`.
            options: How Envoy's configuration departs from the shipped one.
            policy: The gate's policy file; `None` leaves it to the routes.
            webhooks: Start the webhook half as well.
            database_url: The Postgres to use for it; `None` starts one.
            usual_ports: Serve the status pages where they are by default, if those ports
                are free.
            report: Told what is being started.
        """
        self.service_token = secrets.token_hex(32)
        self._transport = transport
        self._overrides = environment or {}
        self._envoy_override = envoy
        self._options = options
        self._policy = policy
        self._has_webhooks = webhooks
        self._database_url = database_url
        self._usual_ports = usual_ports
        self._report = report
        self._stack = AsyncExitStack()

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
        binary = find_envoy(self._envoy_override)
        version = await envoy_version(binary)
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="wicketgate-")))
        self._report("starting a Clerk double and an upstream ...")
        self.clerk = await stack.enter_async_context(ClerkDouble())
        self.upstream = await stack.enter_async_context(EchoUpstream())
        self.webhooks = None
        if self._has_webhooks:
            half = WebhookStack(
                self.clerk,
                directory=directory,
                database_url=self._database_url,
                admin_port=WEBHOOKS_ADMIN if self._usual_ports else 0,
                report=self._report,
            )
            self.webhooks = await stack.enter_async_context(half)
        gate_admin = stack.enter_context(held_port(GATE_ADMIN if self._usual_ports else 0))
        checks, edge, internal, envoy_admin = stack.enter_context(held_ports(4))
        settings = self._settings(directory, checks=checks, admin=gate_admin)
        if self.webhooks is not None:
            settings["DATABASE_URL"] = self.webhooks.database_url
            settings["WICKETGATE_DATABASE_SCHEMA"] = self.webhooks.schema
        self.gate_admin = f"http://{LOOPBACK}:{gate_admin}"
        self._report(f"starting wicketgate authz with the transport {self._transport} ...")
        command = (sys.executable, "-m", "wicketgate", "authz")
        self.gate = ChildProcess(
            "wicketgate", command, directory=directory, environment=clean_environment() | settings
        )
        stack.push_async_callback(self.gate.stop)
        await self.start_gate()
        self._report(f"starting Envoy {version} ...")
        config = render_config(
            envoy_document(),
            listeners={"edge": edge, "internal": internal},
            clusters={
                "authz": settings["WICKETGATE_AUTHZ_ADDRESS"],
                "upstream": self.upstream.address,
            },
            admin_port=envoy_admin,
            options=self._options,
        )
        self.envoy = EnvoyProcess(config, admin_port=envoy_admin, binary=binary)
        await stack.enter_async_context(self.envoy)
        self.edge, self.internal = (f"http://{LOOPBACK}:{port}" for port in (edge, internal))

    async def start_gate(self) -> None:
        """Start the gate, again if it was stopped, and wait until it has its keys.

        Raises:
            EnvironmentFaultError: it does not start, or gets no keys.
        """
        await self.gate.start()
        await self.gate.wait_until(self._gate_is_ready, seconds=READY_SECONDS, what="ready")

    async def gate_metric(self, name: str) -> float | None:
        """Return what the gate exports under a name without labels; `None` when it does not."""
        with suppress(ClientError, TimeoutError):
            async with (
                ClientSession(timeout=_ADMIN_TIMEOUT) as session,
                session.get(f"{self.gate_admin}/metrics") as response,
            ):
                for line in (await response.text()).splitlines():
                    if line.startswith(f"{name} "):
                        return float(line.rpartition(" ")[2])
        return None

    async def _gate_is_ready(self) -> bool:
        with suppress(ClientError, TimeoutError):
            async with (
                ClientSession(timeout=_ADMIN_TIMEOUT) as session,
                session.get(f"{self.gate_admin}/readyz") as response,
            ):
                return response.ok
        return False

    def _settings(self, directory: Path, *, checks: int, admin: int) -> dict[str, str]:
        settings = {
            "CLERK_PUBLISHABLE_KEY": self.clerk.instance.publishable_key,
            "CLERK_JWKS_URL": self.clerk.jwks_url,
            "CLERK_AUTHORIZED_PARTIES": ORIGIN,
            "SERVICE_AUTH_TOKEN": self.service_token,
            "WICKETGATE_TRANSPORT": self._transport,
            "WICKETGATE_AUTHZ_ADDRESS": f"{LOOPBACK}:{checks}",
            "WICKETGATE_ADMIN_ADDRESS": f"{LOOPBACK}:{admin}",
            "WICKETGATE_JWKS_CACHE_FILE": str(directory / "jwks.json"),
            "WICKETGATE_JWKS_COOLDOWN_SECONDS": str(COOLDOWN_SECONDS),
            # All of it is on one machine, which may be busy; under Envoy's timeout still.
            "WICKETGATE_JWKS_WAIT_SECONDS": "0.4",
            # Nobody is left to be drained for when the stack comes down.
            "WICKETGATE_DRAIN_SECONDS": "0",
            "WICKETGATE_GRACE_SECONDS": "1",
        }
        if self._policy is not None:
            settings["WICKETGATE_POLICY_FILE"] = str(self._policy)
        return {**settings, **self._overrides}
