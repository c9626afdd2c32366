"""deploy/grafana/alerts.yaml: whole, tested, and explained in the runbook."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import promql_parser
import pytest
import yaml

TOP: Final = Path(__file__).parents[2]
HERE: Final = TOP / "deploy" / "grafana"
RUNBOOK: Final = "docs/operations.md"
PAGE: Final = (TOP / RUNBOOK).read_text("utf-8")

GROUPS: Final[Any] = yaml.safe_load((HERE / "alerts.yaml").read_text("utf-8"))["groups"]
ALERTS: Final[dict[str, Any]] = {
    rule["alert"]: rule for group in GROUPS for rule in group["rules"]
}
TESTS: Final = ["alerts.tests.yaml", "alerts.long.tests.yaml"]
CASES: Final[list[Any]] = [
    test for name in TESTS for test in yaml.safe_load((HERE / name).read_text("utf-8"))["tests"]
]

PROMTOOL: Final = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not on this machine")


def promtool(*arguments: str | Path) -> tuple[int, str]:
    """Return how promtool ended, and what it said."""
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, *arguments], cwd=HERE, check=False, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def anchor_of(heading: str) -> str:
    """Return what a heading of Markdown is linked by."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def section(name: str) -> str:
    """Return what the runbook says about an alert."""
    found = re.search(rf"^### {name}\n((?:(?!##? |### ).*\n)*)", PAGE, re.MULTILINE)
    assert found is not None, f"{RUNBOOK} has no section {name}"
    return found[1]


# --- the rules ---------------------------------------------------------------


def test_no_two_alerts_have_one_name() -> None:
    assert len(ALERTS) == sum(len(group["rules"]) for group in GROUPS)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_whole(name: str) -> None:
    rule = ALERTS[name]

    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Wicketgate([A-Z][a-z]+)+", name)
    assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"})
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert all(said.endswith((".", "{{ end }}.")) for said in said_by(rule))
    promql_parser.parse(rule["expr"])


def said_by(rule: Any) -> list[str]:  # noqa: ANN401 - a rule is what YAML says
    return [rule["annotations"]["summary"], rule["annotations"]["description"]]


def test_users_who_are_refused_are_a_page_and_all_else_is_a_ticket() -> None:
    pages = {name for name, rule in ALERTS.items() if rule["labels"]["severity"] == "page"}

    assert pages == {
        *("WicketgateNoGateReady", "WicketgateNoKeys", "WicketgateKeysNearlyTooOld"),
        *("WicketgateCannotDecide", "WicketgateNearlyAllDenied", "WicketgateChecksTooSlow"),
        *("WicketgateServiceTokenExposed", "WicketgateEnvoyUnanswered"),
        "WicketgateNoReceiverReady",
    }


# --- the runbook -------------------------------------------------------------


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_leads_to_its_section_of_the_runbook(name: str) -> None:
    url = ALERTS[name]["annotations"]["runbook_url"]
    file, _, anchor = url.partition("#")
    headings = {anchor_of(each) for each in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)}

    assert file == RUNBOOK
    assert anchor == name.lower()
    assert anchor in headings


@pytest.mark.parametrize("name", ALERTS)
def test_a_section_says_what_it_is_and_what_to_do(name: str) -> None:
    said = section(name)
    severity = ALERTS[name]["labels"]["severity"]

    assert said.strip().startswith(f"**{severity.capitalize()}.**")
    for part in ("**Users notice:**", "**Look at:**", "**To end it:**", "**Ignore it**"):
        assert part in said, part
    assert len(re.findall(r"^[1-3]\. ", said, re.MULTILINE)) == 3


def test_the_runbook_has_no_section_of_an_alert_that_is_gone() -> None:
    assert set(re.findall(r"^### (Wicketgate\w+)$", PAGE, re.MULTILINE)) == set(ALERTS)


@pytest.mark.parametrize("link", re.findall(r"\]\((#[^)]+)\)", PAGE))
def test_a_link_within_the_runbook_leads_somewhere(link: str) -> None:
    headings = {anchor_of(each) for each in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)}

    assert link.removeprefix("#") in headings


# --- when they fire ----------------------------------------------------------


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_tested_to_fire_and_not_to(name: str) -> None:
    tested = [
        (check, test)
        for test in CASES
        for check in test["promql_expr_test"]
        if re.fullmatch(matcher_of(check["expr"]), name)
    ]
    fires = [check for check, _ in tested if fires_in(check, name)]
    silent = [check for check, test in tested if fires_in(check, name) < len(cases_in(test))]

    assert fires, "it is never seen to fire"
    assert silent, "it is never seen not to fire"


def fires_in(check: Any, name: str) -> int:  # noqa: ANN401 - a test is what YAML says
    """Return in how many cases the alert is to fire."""
    return sum(f'alertname="{name}"' in each["labels"] for each in check["exp_samples"])


def matcher_of(expression: str) -> str:
    """Return the pattern of the alerts' names that `expression` asks for."""
    found = re.fullmatch(r'ALERTS\{alertname=~?"([^"]+)", alertstate="firing"\}', expression)
    assert found is not None, expression
    return found[1]


def cases_in(test: Any) -> set[str]:  # noqa: ANN401 - a test is what YAML says
    """Return the jobs and replicas of a test."""
    return {
        "/".join(re.findall(r'(?:job|instance)="([^"]+)"', each["series"]))
        for each in test["input_series"]
    }


@needs_promtool
def test_promtool_has_nothing_to_say() -> None:
    status, said = promtool("check", "rules", "--lint-fatal", "alerts.yaml")

    assert status == 0, said


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """
    What promtool says of all tests, and of a second question to each: it is told that an alert
    is silent when it fires, and says what the alert said. To ask both at once takes half the time.
    """
    place = tmp_path_factory.mktemp("rules")
    shutil.copy(HERE / "alerts.yaml", place)
    for name in TESTS:
        document = yaml.safe_load((HERE / name).read_text("utf-8"))
        for test in document["tests"]:
            test["alert_rule_test"] = [
                {"eval_time": check["eval_time"], "alertname": alert, "exp_alerts": []}
                for check in test["promql_expr_test"]
                for alert in ALERTS
                if fires_in(check, alert)
            ]
        (place / name).write_text(yaml.safe_dump(document), "utf-8")
    _, said = promtool("test", "rules", *(place / name for name in TESTS))
    return said


@needs_promtool
def test_alerts_fire_when_they_should_and_only_then(said: str) -> None:
    wrong = re.findall(r"^ +expr: .*\n(?: {8}.*\n)*", said, re.MULTILINE)

    assert not wrong, "".join(wrong)
    assert "alertname: " in said, said


@needs_promtool
def test_what_is_said_is_whole_when_an_alert_fires(said: str) -> None:
    """Templates are filled in when an alert fires, and not before."""
    summaries = set(re.findall(r'summary="((?:[^"\\]|\\.)*)"', said))

    assert len(summaries) >= len(ALERTS)
    assert not [each for each in summaries if re.search(r"\{\{|%!|  | \.", each)]
    assert "<error" not in said
    assert "<no value>" not in said


@needs_promtool
def test_a_rule_that_is_changed_fails_its_test(tmp_path: Path) -> None:
    """Or the tests above could not fail."""
    rules = (HERE / "alerts.yaml").read_text("utf-8")
    every, any_gate = "max by (job) (wicketgate_keys_usable) == 0", "wicketgate_keys_usable == 0"
    (tmp_path / "alerts.yaml").write_text(rules.replace(every, any_gate), "utf-8")
    document = yaml.safe_load((HERE / TESTS[0]).read_text("utf-8"))
    document["tests"] = [test for test in document["tests"] if test["name"] == "no keys"]
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(document), "utf-8")

    status, said = promtool("test", "rules", tmp_path / "tests.yaml")

    assert every in rules
    assert status == 1
    assert re.search(r"^ +expr: .*WicketgateNoKeys", said, re.MULTILINE)
