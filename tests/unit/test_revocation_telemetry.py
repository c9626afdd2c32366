"""What operators see of the revocation feed."""

import io
import json

import pytest
from prometheus_client import CollectorRegistry

from wicketgate.adapters.revocation_telemetry import RevocationTelemetry
from wicketgate.adapters.telemetry import make_log
from wicketgate.core.revocation_table import Kind, Revocation


class Seen:
    """A telemetry, and what it wrote and counted."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        self.registry = CollectorRegistry()
        self.telemetry = RevocationTelemetry(make_log(self._stream, level="info"), self.registry)

    @property
    def lines(self) -> list[tuple[str, str]]:
        lines = map(json.loads, self._stream.getvalue().splitlines())
        return [(line["level"], line["event"]) for line in lines]

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    def count(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"wicketgate_revocation_{name}_total", labels)


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize(("is_lifted", "change"), [(False, "revoked"), (True, "lifted")])
def test_changes_are_counted_by_kind_and_not_logged(
    seen: Seen, kind: Kind, change: str, *, is_lifted: bool
) -> None:
    before = seen.count("changes", kind=kind, change=change)
    seen.telemetry.changed(Revocation(kind, "user_secret", 0, 0, is_lifted))

    assert before == 0
    assert seen.count("changes", kind=kind, change=change) == 1
    assert seen.text == ""


def test_an_outage_is_one_line_and_its_end_another(seen: Seen) -> None:
    seen.telemetry.current(rows=3, seconds=0.1)
    for _ in range(3):
        seen.telemetry.lost("Postgres failed: it is away")
    seen.telemetry.current(rows=3, seconds=0.1)
    seen.telemetry.lost("Postgres failed: it is away")

    assert seen.lines == [
        ("info", "revocations current"),
        ("warning", "revocations not followed"),
        ("info", "revocations current"),
        ("warning", "revocations not followed"),
    ]
    assert seen.count("connections") == 2


def test_to_be_deaf_is_one_line_and_every_miss_is_counted(seen: Seen) -> None:
    seen.telemetry.deaf(2)
    seen.telemetry.deaf(3)
    seen.telemetry.hears()
    seen.telemetry.deaf(1)

    assert [event for _, event in seen.lines] == [
        "revocations not told",
        "revocations told again",
        "revocations not told",
    ]
    assert seen.count("missed_notices") == 6


def test_to_refuse_users_is_an_error_and_its_end_is_news(seen: Seen) -> None:
    seen.telemetry.trusted(is_trusted=False)
    seen.telemetry.trusted(is_trusted=True)

    assert seen.lines == [("error", "users refused"), ("info", "users admitted again")]


def test_revocations_that_end_too_soon_are_an_error_that_says_what_to_run(seen: Seen) -> None:
    seen.telemetry.kept(86_400, is_enough=True)
    quiet = seen.text
    seen.telemetry.kept(60, is_enough=False)

    assert quiet == ""
    assert seen.lines == [("error", "revocations end too soon")]
    assert "wicketgate migrate" in seen.text


def test_the_rest_is_only_counted(seen: Seen) -> None:
    seen.telemetry.reloaded()
    seen.telemetry.malformed()

    assert seen.count("reloads") == 1
    assert seen.count("malformed_notices") == 1
    assert seen.text == ""
