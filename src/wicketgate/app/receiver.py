"""What takes deliveries: the receiver, and the HTTP server that it answers on."""

import asyncio
import time
from contextlib import suppress
from functools import partial

from aiohttp import web

from wicketgate.adapters.receiver import Receiver, Recorder, Store
from wicketgate.adapters.svix_verifier import SvixVerifier
from wicketgate.app.listeners import listen
from wicketgate.core.event_body import parse_event
from wicketgate.settings import WebhooksSettings


class ReceiverServer:
    """The receiver, as something that listens and is drained."""

    def __init__(self, receiver: Receiver) -> None:
        """Answer with `receiver`."""
        self._receiver = receiver
        # As long as it takes: `stop` says how long that may be.
        self._runner = web.ServerRunner(receiver.server(), shutdown_timeout=0)

    async def start(self, settings: WebhooksSettings) -> str:
        """Listen, and return the address."""
        await self._runner.setup()
        return await listen(
            self._runner, settings.webhooks_address, setting="WICKETGATE_WEBHOOKS_ADDRESS"
        )

    async def set_serving(self, *, serving: bool) -> None:
        """Do nothing: over HTTP, whoever asks is told by ``/readyz``."""

    async def retire(self) -> None:
        """Keep answering, and have clients connect elsewhere."""
        self._receiver.retire()

    async def stop(self, *, grace: float) -> None:
        """Stop listening, and let deliveries in flight finish within `grace` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._runner.cleanup()


def receiver_of(settings: WebhooksSettings, store: Store, recorder: Recorder) -> Receiver:
    """Return a receiver that keeps in `store` what it takes."""
    return Receiver(
        path=settings.path,
        verifiers=verifiers_of(settings),
        parse=partial(
            parse_event,
            expected_instance=settings.instance_id,
            organizations=settings.organizations,
        ),
        store=store,
        recorder=recorder,
        clock=time.time,
        timer=time.perf_counter,
    )


def verifiers_of(settings: WebhooksSettings) -> tuple[SvixVerifier, ...]:
    """Return what verifies signatures under each of the secrets."""
    return tuple(SvixVerifier(secret) for secret in settings.signing_secrets)
