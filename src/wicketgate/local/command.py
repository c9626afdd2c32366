"""``wicketgate local``: the stack, until Ctrl-C; or the tour, until it is over."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NoReturn

from wicketgate.local.clerk_instance import USER
from wicketgate.local.policy_file import shipped_policy
from wicketgate.local.ports import LOOPBACK
from wicketgate.local.runtime_file import announced
from wicketgate.local.stack import GATE_ADMIN, LocalStack
from wicketgate.local.table import Table
from wicketgate.local.tour import run_tour
from wicketgate.settings import Transport

INTERRUPTED: Final = 130
"""The status of a program that SIGINT ended, as shells count it."""
TOKEN_SECONDS: Final = 3600
"""Clerk's own tokens live 60 s, which is too short to read what to paste."""
_MARGIN_SECONDS: Final = 300

_EXAMPLES: Final = """
A token for the gate, valid for {minutes} minutes (Clerk's own live 60 s):

TOKEN={token}
SERVICE={service}

  a user               curl -si {edge}/me -H "authorization: Bearer $TOKEN"
  nobody               curl -si {edge}/me
  nobody, open route   curl -si {edge}/public
  an impostor          curl -si {edge}/public -H "clerk-user-id: {user}"
  a service, inside    curl -si {internal}/internal/audio/7 -H "authorization: Bearer $SERVICE"
  ... at the edge      curl -si {edge}/internal/audio/7 -H "authorization: Bearer $SERVICE"

The upstream answers with the request that it saw. Metrics: {admin}/metrics

Open in a browser, and watch the gate decide:

  the gate             {admin}/
  the webhooks         {webhooks_admin}/

Somebody signs up, in another terminal, and is in Postgres then:

  a webhook            wicketgate local event user.created --email mina@example.com
  ... and another      wicketgate local event user.deleted --email mina@example.com
  the table            psql '{database}' -c 'TABLE {schema}.users'

Ctrl-C stops everything.
"""


async def run_local(*, tour: bool, transport: Transport, envoy: str | None) -> int:
    """Run the local stack.

    Args:
        tour: Run the tour and stop, instead of waiting for Ctrl-C.
        transport: The gate's implementation of gRPC.
        envoy: The Envoy binary; `None` finds one.

    Returns:
        The exit status.

    Raises:
        EnvironmentFaultError: a part is missing or does not start.
    """
    chosen = os.environ.get("WICKETGATE_POLICY_FILE")
    # The tour's rows are about the policy that is shipped.
    policy = Path(chosen) if chosen and not tour else shipped_policy()
    _report(f"the policy is {policy}")
    with _signals_cancel():
        try:
            async with LocalStack(
                transport=transport,
                envoy=envoy,
                policy=policy,
                webhooks=True,
                database_url=os.environ.get("DATABASE_URL") or None,
                usual_ports=True,
                report=_report,
            ) as stack:
                if not tour:
                    await _keep_running(stack)
                _report(f"while this runs, see it decide: {_pages(stack)}\n")
                is_well = await run_tour(stack, Table(sys.stdout, os.environ))
        except asyncio.CancelledError:
            return INTERRUPTED if tour else 0
    _report(where_the_page_is(stack.gate_admin, _command()))
    return 0 if is_well else 1


def where_the_page_is(gate_admin: str, command: str) -> str:
    """Return where the gate's status page is when `command` runs, after it was at `gate_admin`."""
    usual = f"http://{LOOPBACK}:{GATE_ADMIN}"
    if gate_admin == usual:
        return f"the status page: {usual}/ while `{command}` runs"
    # Who has the port may have it still, and is no status page.
    return f"the status page: `{command}` says where, because port {GATE_ADMIN} was taken"


def _pages(stack: LocalStack) -> str:
    """Return where the status pages are."""
    pages = [stack.gate_admin, *([stack.webhooks.admin] if stack.webhooks else [])]
    return " and ".join(f"{page}/" for page in pages)


def _command() -> str:
    """Return how to start this program again, as it was typed."""
    typed = Path(sys.argv[0])
    return f"{typed if typed.name == 'wicketgate' else 'wicketgate'} local"


async def _keep_running(stack: LocalStack) -> NoReturn:
    with ExitStack() as context:
        if stack.webhooks is not None:
            context.enter_context(announced(stack.webhooks.endpoints[0], os.environ))
        while True:
            print(_examples(stack), flush=True)
            await asyncio.sleep(TOKEN_SECONDS - _MARGIN_SECONDS)


def _examples(stack: LocalStack) -> str:
    now = time.time()
    expiry = {"exp": int(now) + TOKEN_SECONDS}
    half = stack.webhooks
    return _EXAMPLES.format(
        minutes=TOKEN_SECONDS // 60,
        token=stack.clerk.instance.mint(now=now, claims=expiry),
        service=stack.service_token,
        edge=stack.edge,
        internal=stack.internal,
        admin=stack.gate_admin,
        webhooks_admin=half.admin if half else "",
        user=USER,
        database=half.database_url if half else "",
        schema=half.schema if half else "",
    )


@contextmanager
def _signals_cancel() -> Iterator[None]:
    """Make SIGINT and SIGTERM cancel the current task, so that everything is stopped in order."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    numbers = (signal.SIGINT, signal.SIGTERM)
    if task is not None:
        for number in numbers:
            loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _report(text: str) -> None:
    print(text, flush=True)
