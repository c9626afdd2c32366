"""Runs cases, one after another, and keeps what they found out.

A case whose server answers wrongly is void: it has no numbers, and the suite fails.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from suite.bench import Bench
from suite.cases import (
    decision,
    envoy,
    growth,
    memory,
    revocations,
    server,
    startup,
    varying,
    webhooks,
)
from suite.load.generator import VoidError
from suite.result import Result, Row
from wicketgate.errors import EnvironmentFaultError


@dataclass(frozen=True, slots=True)
class Case:
    """A case: what it is about, and how it is run. `run` raises `VoidError`."""

    title: str
    run: Callable[[Bench], Awaitable[list[Row]]]


CASES: Final[Mapping[str, Case]] = {
    "server": Case(server.TITLE, server.run),
    "varying": Case(varying.TITLE, varying.run),
    "envoy": Case(envoy.TITLE, envoy.run),
    "decision": Case(decision.TITLE, decision.run),
    "growth": Case(growth.TITLE, growth.run),
    "memory": Case(memory.TITLE, memory.run),
    "startup": Case(startup.TITLE, startup.run),
    "webhooks": Case(webhooks.TITLE, webhooks.run),
    "revocations": Case(revocations.TITLE, revocations.run),
}


async def run_cases(
    names: Iterable[str], bench: Bench, *, cases: Mapping[str, Case] = CASES
) -> list[Result]:
    """Run the named cases."""
    return [await _run(name, cases[name], bench) for name in names]


def exit_status(results: Iterable[Result]) -> int:
    """Return 1 when a case was void; a number that misses its target is only said to."""
    return int(any(result.void for result in results))


async def _run(name: str, case: Case, bench: Bench) -> Result:
    bench.report(f"-- {name}: {case.title}")
    result = Result(name, case.title)
    started = time.monotonic()
    try:
        result.rows = await case.run(bench)
    except (VoidError, EnvironmentFaultError) as error:
        result.void = str(error)
    except Exception as error:  # noqa: BLE001 - the other cases are still worth running
        result.void = f"{type(error).__name__}: {error}"
    if result.void:
        bench.report(f"VOID: {result.void}")
    result.seconds = time.monotonic() - started
    return result
