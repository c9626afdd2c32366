"""Numbers to reach: ratios within one run, so that the machine cancels out, and a few limits."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from suite.cases import decision, envoy, memory, revocations, server, startup, varying
from suite.in_process import CPU as IN_PROCESS_CPU
from suite.loading import MIB, SECONDS
from suite.loading import NAME as LOADING
from suite.result import Result
from suite.rounds import P50, RPS, cpu
from suite.table import number, table

Median = Callable[[str, str, str], float | None]
"""Finds a median by case, row and measure."""


@dataclass(frozen=True, slots=True)
class Target:
    """A number to reach.

    Attributes:
        name: Of what.
        limit: How much it is to be.
        is_least: Whether it is to be at least that; else at most.
        measured: What it is; `None` when that was not measured.
    """

    name: str
    limit: float
    is_least: bool
    measured: float | None

    @property
    def verdict(self) -> str:
        """Whether it was reached, in a word."""
        if self.measured is None:
            return "not measured"
        is_reached = self.measured >= self.limit if self.is_least else self.measured <= self.limit
        return "reached" if is_reached else "MISSED"

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self) | {"verdict": self.verdict}


def targets(results: Sequence[Result]) -> list[Target]:
    """Return every number to reach, with what was measured."""
    by_name = {result.case: result for result in results}

    def median(case: str, row: str, measure: str) -> float | None:
        return by_name[case].median(row, measure) if case in by_name else None

    return [
        *_alone(median),
        *_through_envoy(median),
        *_limits(median),
        *_policies(median),
        *_revocations(median),
    ]


def _alone(median: Median) -> list[Target]:
    def server_cost(row: str, measure: str = cpu("server")) -> float | None:
        return median("server", row, measure)

    row = server.row_name
    echo = f"{server.ECHO}, c="
    hit = server_cost(row("wire", "off", "hit", 64))
    verify = server_cost(row("wire", "off", "verify", 64))
    fixed = median("varying", varying.row_name("wire", "fixed"), cpu("server"))
    varies = median("varying", varying.row_name("wire", "varying"), cpu("server"))
    return [
        _at_most(
            "CPU per Check, c=64, hit, against the gate on grpcio",
            1 / 20,
            _ratio(hit, server_cost(row("grpcio", "off", "hit", 64))),
        ),
        _at_most(
            "... against grpc.aio that only echoes", 1 / 20, _ratio(hit, server_cost(f"{echo}64"))
        ),
        _at_most(
            "CPU per Check, c=64, verify, against the gate on grpcio",
            1 / 8,
            _ratio(verify, server_cost(row("grpcio", "off", "verify", 64))),
        ),
        _at_most(
            "p50 at c=1, hit, against the gate on grpcio",
            0.45,
            _ratio(
                server_cost(row("wire", "off", "hit", 1), P50),
                server_cost(row("grpcio", "off", "hit", 1), P50),
            ),
        ),
        _at_most("varying headers against fixed, CPU per Check", 1.5, _ratio(varies, fixed)),
    ]


def _through_envoy(median: Median) -> list[Target]:
    def rps(subject: str) -> float | None:
        return median("envoy", envoy.row_name(subject, 32), RPS)

    ours = rps(envoy.WIRE)
    return [
        _at_least(
            "through Envoy, 32 conn.: RPS against grpcio", 2.5, _ratio(ours, rps(envoy.GRPCIO))
        ),
        _at_least("... against jwt_authn without its cache", 0.95, _ratio(ours, rps(envoy.JWT))),
        _at_least("... against the no-op floor", 0.9, _ratio(ours, rps(envoy.FLOOR))),
    ]


def _limits(median: Median) -> list[Target]:
    starts = [
        median("startup", f"wire, {source}", startup.SECONDS)
        for source in (startup.REFUSED, startup.SILENT)
    ]
    slowest = max((each for each in starts if each is not None), default=None)
    return [
        _at_most(
            "RSS of a gate, steady state, MiB", 90, median("memory", memory.STEADY, memory.MIB)
        ),
        _at_most("start to SERVING with keys on disk, s", 1.0, slowest),
    ]


def _policies(median: Median) -> list[Target]:
    def cost(row: str, measure: str = IN_PROCESS_CPU) -> float | None:
        return median("decision", row, measure)

    conditional, plain = cost(decision.CONDITION), cost(decision.NO_CONDITION)
    condition = None if conditional is None or plain is None else conditional - plain
    return [
        _at_most("matching, 10 rules, µs", 3.0, cost(decision.match_row(10))),
        _at_most("matching, 10,000 rules, µs", 5.0, cost(decision.match_row(10_000))),
        _at_most("a condition, µs", 12.0, condition),
        _at_most(f"{LOADING}, s", 2.0, cost(LOADING, SECONDS)),
        _at_most(f"{LOADING}, MiB", 150.0, cost(LOADING, MIB)),
    ]


def target_table(found: Sequence[Target]) -> str:
    """Return targets as a table."""
    rows = [("Numbers to reach", "target", "measured", "")]
    rows += [
        (
            each.name,
            f"{'at least' if each.is_least else 'at most'} {number(each.limit)}",
            "-" if each.measured is None else number(each.measured),
            each.verdict,
        )
        for each in found
    ]
    return table(rows)


def _revocations(median: Median) -> list[Target]:
    def found(row: str, measure: str) -> float | None:
        return median("revocations", row, measure)

    full, empty = found(revocations.FULL, cpu("server")), found(revocations.EMPTY, cpu("server"))
    dearer = None if full is None or empty is None else full - empty
    return [
        _at_most(
            "204 to denied by 4 gates, p50 ms", 5, found(revocations.SPREAD, revocations.P50_MS)
        ),
        _at_most("... p99 ms", 25, found(revocations.SPREAD, revocations.P99_MS)),
        _at_most(
            "100,000 revocations: load, s", 2, found(revocations.LOADED, revocations.SECONDS)
        ),
        _at_most("... MiB", 60, found(revocations.LOADED, revocations.MIB)),
        _at_most("... CPU µs more per Check", 1, dearer),
    ]


def _at_most(name: str, limit: float, measured: float | None) -> Target:
    return Target(name, limit, is_least=False, measured=measured)


def _at_least(name: str, limit: float, measured: float | None) -> Target:
    return Target(name, limit, is_least=True, measured=measured)


def _ratio(first: float | None, second: float | None) -> float | None:
    return None if first is None or not second else first / second
