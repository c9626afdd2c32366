"""What it takes to load a policy of 10,000 rules, as the gate does when it starts.

python -m suite.loading FILE PUBLISHABLE_KEY
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Final

from suite.bench import Bench
from suite.load.generator import BENCHMARKS, VoidError
from suite.policies import policy_text
from suite.result import Row
from suite.statistic import Spread
from wicketgate.app.rulebook import load_rules
from wicketgate.core.claims import TokenRules
from wicketgate.core.policy.parse import parse_policy
from wicketgate.core.token import TokenVerifier

RULES: Final = 10_000
LOADS: Final = 3
NAME: Final = f"loading {RULES:,} rules"
SECONDS, MIB = "s", "MiB"


async def load_rows(bench: Bench) -> list[Row]:
    """Load so many rules in a process of its own, three times.

    Raises:
        VoidError: they were not all loaded.
    """
    if bench.only not in NAME:
        return []
    bench.report(NAME)
    path = bench.directory / "many-rules.yaml"
    path.write_text(policy_text(RULES), "utf-8")
    runs = [await _loaded(bench, path) for _ in range(LOADS)]
    spreads = {name: Spread.of([each[name] for each in runs]) for name in (SECONDS, MIB)}
    return [Row(NAME, spreads)]


async def _loaded(bench: Bench, path: Path) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "suite.loading", str(path), bench.clerk.publishable_key),
        env=os.environ | {"PYTHONPATH": str(BENCHMARKS)},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    if process.returncode:
        msg = f"{NAME} ended with status {process.returncode}"
        raise VoidError(msg)
    found: dict[str, float] = json.loads(said)
    return found


def _peak_mib() -> float:
    """Return the most memory that this process has had (proc(5), ``VmHWM``)."""
    status = Path("/proc/self/status").read_text("ascii", "replace")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main(path: str, publishable_key: str) -> None:
    """Load once, and print what that took."""
    environ = {"CLERK_PUBLISHABLE_KEY": publishable_key, "WICKETGATE_POLICY_FILE": path}
    verifier = TokenVerifier(TokenRules(issuers=frozenset({"https://clerk.example.com"})))
    # What the parser brings along is there once, however many rules there are.
    parse_policy(policy_text(1))
    before, started = _peak_mib(), time.perf_counter()
    loaded = load_rules(environ, verifier)
    seconds, after = time.perf_counter() - started, _peak_mib()
    assert loaded.rules == RULES, loaded.rules
    print(json.dumps({SECONDS: seconds, MIB: after - before}))


if __name__ == "__main__":
    main(*sys.argv[1:])
