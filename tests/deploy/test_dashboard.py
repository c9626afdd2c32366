"""deploy/grafana/dashboard.json: what can be told of it without Grafana."""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import promql_parser
import pytest

from grafana import DASHBOARD, PANELS, ROWS, Target, expanded, targets

TOP: Final = Path(__file__).parents[2]
RUNBOOK: Final = "docs/operations.md"
PAGE: Final = (TOP / RUNBOOK).read_text("utf-8")
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
WIDTH: Final = 24
"""Columns of Grafana's grid."""
UNITS: Final = {"none", "s", "bytes", "reqps", "cps", "percentunit"}
KINDS: Final = {"stat", "timeseries", "heatmap", "table", "state-timeline"}

panels = pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
each_target = pytest.mark.parametrize("target", targets(), ids=str)


def defaults_of(panel: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as in the file
    return panel["fieldConfig"]["defaults"]


def links_in(node: object) -> Iterator[str]:
    """Return every address in the dashboard."""
    if isinstance(node, dict):
        if isinstance(node.get("url"), str):
            yield node["url"]
        for each in node.values():
            yield from links_in(each)
    elif isinstance(node, list):
        for each in node:
            yield from links_in(each)


# --- the dashboard -------------------------------------------------------------


def test_it_can_be_imported_anywhere() -> None:
    """`id` belongs to one Grafana; `uid` is what links lead to."""
    assert "id" not in DASHBOARD
    assert DASHBOARD["uid"] == "wicketgate"
    assert DASHBOARD["schemaVersion"] >= 39


def test_the_data_source_is_a_variable() -> None:
    named = [
        node["datasource"]
        for node in (
            *PANELS,
            *DASHBOARD["annotations"]["list"],
            *(each for each in DASHBOARD["templating"]["list"] if each["type"] == "query"),
        )
    ]

    assert all(source == SOURCE for source in named)
    assert DASHBOARD["templating"]["list"][0]["type"] == "datasource"


def test_every_variable_is_there_and_in_use() -> None:
    variables = [each["name"] for each in DASHBOARD["templating"]["list"]]
    text = json.dumps(DASHBOARD)
    used = set(re.findall(r"\$\{?([a-z]\w*)\}?", text))

    assert variables == ["datasource", "job", "instance", "docs"]
    assert used == set(variables)


def test_no_two_panels_have_one_id() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]

    assert ids == sorted(set(ids))


def test_no_two_panels_have_one_place() -> None:
    places = {
        panel["title"]: {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        for panel in DASHBOARD["panels"]
        for at in [panel["gridPos"]]
    }

    assert all(x < WIDTH for place in places.values() for x, _ in place)
    assert [
        (one, other) for one, other in combinations(places, 2) if places[one] & places[other]
    ] == []


def test_the_rows_are_those_of_the_page() -> None:
    assert [row["title"] for row in ROWS] == [
        "Is it working",
        "Decisions",
        "Latency",
        "Keys and policy",
        "Revocations and first sight",
        "Webhooks",
        "Transport and process",
    ]


def test_no_row_is_folded_over_panels_of_its_own() -> None:
    """They would not be among the panels that are looked at here."""
    assert all(row["panels"] == [] and row["collapsed"] is False for row in ROWS)


# --- the panels ----------------------------------------------------------------


@panels
def test_a_panel_says_what_it_shows_and_what_to_do(panel: Mapping[str, Any]) -> None:
    assert panel["type"] in KINDS
    assert len(panel["description"]) > 60
    assert panel["description"].endswith(".")


@panels
def test_a_panel_has_a_unit(panel: Mapping[str, Any]) -> None:
    assert defaults_of(panel)["unit"] in UNITS


@panels
def test_the_targets_of_a_panel_are_told_apart(panel: Mapping[str, Any]) -> None:
    names = [target["refId"] for target in panel["targets"]]

    assert names == list("ABCDEFGH")[: len(names)]
    assert names


@panels
def test_colours_have_a_meaning(panel: Mapping[str, Any]) -> None:
    """Where the colour comes from thresholds, there are some, and they rise."""
    steps = defaults_of(panel).get("thresholds", {}).get("steps", [])
    values = [step["value"] for step in steps[1:]]

    assert values == sorted(set(values))
    if panel["type"] in {"stat", "state-timeline"}:
        assert steps[0]["value"] is None


@pytest.mark.parametrize(
    "panel", [each for each in PANELS if each["type"] == "stat"], ids=lambda panel: panel["title"]
)
def test_a_number_that_may_be_missing_says_why(panel: Mapping[str, Any]) -> None:
    """Grafana's own "No data" reads like a fault."""
    expressions = [target["expr"] for target in panel["targets"]]
    is_always_there = all(
        each.endswith("or vector(0)") or each.startswith("sum(rate(wicketgate_check_seconds_count")
        for each in expressions
    )

    assert is_always_there or "noValue" in defaults_of(panel)


@pytest.mark.parametrize(
    "panel",
    [each for each in PANELS if each["type"] not in {"stat", "row", "text"}],
    ids=lambda panel: panel["title"],
)
def test_an_empty_panel_says_what_that_means(panel: Mapping[str, Any]) -> None:
    """Nothing was denied, or there is no database, no receiver, no trace: that is no fault."""
    assert defaults_of(panel)["noValue"]


@pytest.mark.parametrize("url", sorted(set(links_in(DASHBOARD))))
def test_a_link_leads_to_a_section_of_the_runbook(url: str) -> None:
    base, _, anchor = url.partition("#")
    headings = {
        re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-")
        for each in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    }

    assert base == "${docs}"
    assert anchor in headings


def test_the_runbook_is_where_the_variable_says() -> None:
    docs = DASHBOARD["templating"]["list"][-1]

    assert docs["query"] == docs["current"]["value"] == RUNBOOK


# --- the expressions -----------------------------------------------------------


@each_target
def test_an_expression_is_one(target: Target) -> None:
    promql_parser.parse(expanded(target.expression))


@each_target
def test_an_expression_is_about_the_replicas_that_were_chosen(target: Target) -> None:
    """But for alerts and for Envoys, whose jobs are others."""
    selectors = re.findall(r"\b(wicketgate|process)_\w+(\{[^}]*)?", target.expression)

    assert all('job=~"$job", instance=~"$instance"' in matchers for _, matchers in selectors)


@each_target
def test_rates_follow_the_interval_of_scrapes(target: Target) -> None:
    ranges = re.findall(r"\[([^\]]+)\]", target.expression)

    assert set(ranges) <= {"$__rate_interval"}


@each_target
def test_rates_are_taken_of_counters_only(target: Target) -> None:
    """`rate` of a gauge is wrong, and so is a counter that is shown as it is."""
    inside = re.findall(r"\b(?:rate|increase)\((\w+)", target.expression)
    counters = re.findall(
        r"\b(\w+_(?:total|count|bucket)|envoy_http_ext_authz_\w+)\b", target.expression
    )

    assert all(
        name.endswith(("_total", "_count", "_bucket")) or "ext_authz" in name for name in inside
    )
    assert sorted(counters) == sorted(inside)
