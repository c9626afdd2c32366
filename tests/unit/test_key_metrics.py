"""What metrics tell about Clerk's keys."""

import io

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tokens import ISSUER, clerk
from wicketgate.adapters.telemetry import Telemetry, make_log
from wicketgate.app.keys import key_source
from wicketgate.lifecycle import Health
from wicketgate.settings import AuthzSettings


async def exported(**variables: str) -> dict[str, float]:
    """Return the values of `wicketgate_jwks_*` without labels, while there are keys to be had."""
    stream = io.StringIO()
    telemetry = Telemetry(make_log(stream, level="error"), decisions=stream)
    settings = AuthzSettings.from_environ({"CLERK_ISSUER": ISSUER, **variables})
    async with key_source(settings, telemetry, Health()):
        text = telemetry.exposition().decode()
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("wicketgate_jwks_") and not sample.labels
    }


@pytest.mark.parametrize(
    ("variables", "told"),
    [({}, 86_400.0), ({"WICKETGATE_JWKS_MAX_STALE_SECONDS": "7200"}, 7_200.0)],
)
async def test_how_old_keys_may_become_is_told_before_they_are_there(
    variables: dict[str, str], told: float, nobody: int
) -> None:
    url = f"http://127.0.0.1:{nobody}/jwks"

    assert await exported(CLERK_JWKS_URL=url, **variables) == {
        "wicketgate_jwks_max_stale_seconds": told
    }


async def test_of_a_pem_no_age_is_told_and_no_limit_to_it() -> None:
    assert await exported(CLERK_JWT_KEY=clerk().public_pem) == {}
