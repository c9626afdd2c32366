"""What the dashboard, the alerts and the runbook ask for is exported by real processes.

A gate, a receiver and an Envoy run once, and take a little traffic of each kind. What they say
then is what every expression has to be content with: metrics, labels, and values of labels.
"""

import asyncio
import re
import time
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from grafana import DASHBOARD, PANELS, Target, expanded, targets
from policies import token
from promql import Exported, NotExportedError, exported_in, labels_of
from wicketgate.core.status.advice import COMPONENT_ADVICE
from wicketgate.local.clerk_users import event_body, new_id, user_document
from wicketgate.local.client import Client, bearer
from wicketgate.local.stack import LocalStack
from wicketgate.local.webhook_sender import Message, WebhookSender, open_session
from wicketgate.settings import Transport

pytestmark = pytest.mark.envoy

TOP: Final = Path(__file__).parents[2]
RULES: Final[list[Any]] = [
    rule
    for group in yaml.safe_load((TOP / "deploy/grafana/alerts.yaml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
PAGE: Final = (TOP / "docs" / "operations.md").read_text("utf-8")
OF_THE_RUNBOOK: Final = sorted(
    {
        code
        for code in re.findall(r"`([^`\n]+)`", PAGE.partition("\n## Alerts\n")[2])
        if re.search(r"\b(?:wicketgate|process|envoy_http)_[a-z_]+\b", code)
    }
)
NAMED_TOKEN: Final = "a-named-service-token-of-the-tests-0123456789"
POLICY: Final = """
version: 1
rules:
  - name: stricter
    shadow: true
    match: { paths: /app/** }
    allow: { user: { org_role: admin } }
  - { name: jobs, match: { context: { exposure: internal }, paths: /jobs/** }, allow: service }
  - { name: app, match: { paths: /app/** }, allow: user }
  - { name: public, match: { paths: /public/** }, allow: anonymous }
"""
TOKENS: Final = f"""
version: 1
tokens:
  - {{ name: billing, sha256: {sha256(NAMED_TOKEN.encode()).hexdigest()}, scopes: [jobs] }}
"""


async def _running(directory: Path) -> list[str]:
    """Return what a gate, a receiver and an Envoy export after a little traffic."""
    policy, tokens = directory / "policy.yaml", directory / "tokens.yaml"
    policy.write_text(POLICY, "utf-8")
    tokens.write_text(TOKENS, "utf-8")
    settings = {
        "WICKETGATE_SERVICE_TOKENS_FILE": str(tokens),
        "WICKETGATE_FIRST_SIGHT": "sync",
        # Nobody listens there.
        "WICKETGATE_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces",
    }
    stack = LocalStack(
        transport=Transport.WIRE, policy=policy, webhooks=True, environment=settings
    )
    async with stack, Client() as client, open_session() as session:
        assert stack.webhooks is not None
        for url, headers in (
            (f"{stack.edge}/app/1", [bearer(token(stack))]),
            (f"{stack.edge}/public/1", []),
            (f"{stack.edge}/app/1", []),
            (f"{stack.internal}/jobs/1", [bearer(NAMED_TOKEN)]),
        ):
            await client.send(url, headers=headers)
        now = int(time.time() * 1000)
        created = event_body(
            "user.created", user_document(new_id("user_"), now=now), timestamp=now
        )
        sender = WebhookSender(stack.webhooks.endpoints[0], session=session, schedule=())
        (sent,) = await sender.send(Message.of(created))
        assert sent.is_delivered
        pages = [f"{stack.gate_admin}/metrics", f"{stack.webhooks.admin}/metrics"]
        expositions = [(await client.send(page)).body.decode() for page in pages]
        return [*expositions, await stack.envoy.exposition()]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """What there is, once for all tests."""
    return exported_in(*asyncio.run(_running(tmp_path_factory.mktemp("policy"))))


# --- what is asked for is there --------------------------------------------------


@pytest.mark.parametrize("target", targets(), ids=str)
def test_a_panel_gets_what_it_asks_for(target: Target, exported: Exported) -> None:
    labels = labels_of(expanded(target.expression), exported)

    assert set(re.findall(r"\{\{(\w+)\}\}", target.legend)) <= labels


def test_a_mark_on_every_panel_gets_what_it_asks_for(exported: Exported) -> None:
    (mark,) = DASHBOARD["annotations"]["list"]

    labels_of(expanded(mark["expr"]), exported)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_gets_what_it_asks_for(rule: Any, exported: Exported) -> None:  # noqa: ANN401 - YAML
    labels = labels_of(rule["expr"], exported)
    said = " ".join(rule["annotations"].values())

    # `component` is of one half of an alternative, and in a `with`.
    assert set(re.findall(r"\$labels\.(\w+)", said)) <= labels


@pytest.mark.parametrize("expression", OF_THE_RUNBOOK)
def test_an_expression_of_the_runbook_gets_what_it_asks_for(
    expression: str, exported: Exported
) -> None:
    labels_of(expression, exported)


def test_the_runbook_has_expressions() -> None:
    assert len(OF_THE_RUNBOOK) > 30


def test_every_component_that_can_be_degraded_has_an_alert(exported: Exported) -> None:
    """Those that are never degraded are `not_ready` instead, for which there is one alert."""
    states = exported["wicketgate_component_state"]
    components = {each["component"] for each in states} - {"keys", "accepting", "store"}
    alarmed = {
        found
        for rule in RULES
        for found in re.findall(r'component="(\w+)", state="degraded"', rule["expr"])
    }

    assert alarmed == components


def test_every_component_that_there_is_has_advice(exported: Exported) -> None:
    components = {each["component"] for each in exported["wicketgate_component_state"]}

    assert components == {name.replace(" ", "_") for name in COMPONENT_ADVICE}


def test_what_is_exported_and_shown_nowhere_is_known(exported: Exported) -> None:
    """A new metric goes onto the dashboard, or here with a reason."""
    shown = " ".join(
        [target.expression for target in targets()] + [rule["expr"] for rule in RULES]
    )
    ours = {name for name in exported if name.startswith("wicketgate_")}
    unseen = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for name in ours
        if not name.endswith("_created")
        and re.sub(r"_(sum|count)$", "_bucket", name) not in shown
        and name not in shown
    }

    # The age of the keys says the same.
    assert unseen == {"wicketgate_jwks_last_success_timestamp_seconds"}


# --- and what is not is found out ------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("sum(rate(wicketgate_check_total[5m]))", "no metric is called wicketgate_check_total"),
        ('wicketgate_denials_total{cause="internal_error"}', "has no label cause"),
        ('wicketgate_denials_total{reason="internal_eror"}', "no reason that is 'internal_eror'"),
        (
            'wicketgate_denials_total{reason=~"internal_error|key_unavailable"}',
            "no reason that is 'key_unavailable'",
        ),
        ('wicketgate_denials_total{reason!="internal_eror"}', "no reason that is 'internal_eror'"),
        (
            'wicketgate_component_state{component="first sight"}',
            "no component that is 'first sight'",
        ),
        ('wicketgate_check_seconds_bucket{le="0.2"}', "no le that is '0.2'"),
        ("sum by (reasons) (wicketgate_denials_total)", r"no label \['reasons'\]"),
        ("sum by (reason) (sum by (job) (wicketgate_denials_total))", r"no label \['reason'\]"),
        (
            "histogram_quantile(0.9, sum by (job) (wicketgate_check_seconds_bucket))",
            r"no label \['le'\]",
        ),
        (
            "sum by (job) (wicketgate_keys_usable) and on (instance) wicketgate_keys_usable",
            r"no label \['instance'\]",
        ),
        (
            "wicketgate_keys_usable and on (reason) wicketgate_denials_total",
            r"no label \['reason'\]",
        ),
        (
            "sum by (job) (wicketgate_denials_total) / wicketgate_check_seconds_count",
            r"no label \['instance'\]",
        ),
    ],
)
def test_what_is_not_there_is_found_out(
    expression: str, complaint: str, exported: Exported
) -> None:
    with pytest.raises(NotExportedError, match=complaint):
        labels_of(expression, exported)


def test_without_the_receiver_its_panels_fail(exported: Exported) -> None:
    """What is taken away is missed by exactly the panels that show it."""
    without = {name: it for name, it in exported.items() if "webhook_lag" not in name}

    failed = set[str]()
    for target in targets():
        try:
            labels_of(expanded(target.expression), without)
        except NotExportedError:
            failed.add(target.panel)

    assert failed == {"Age of what is applied"}
    assert len(PANELS) > 50
