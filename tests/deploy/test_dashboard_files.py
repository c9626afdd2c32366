"""What leads Prometheus, Grafana and the Prometheus operator to the dashboard and the alerts."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from deploy.resources import mistakes_in
from deploy_manifests import BASE, built_as_it_is, helm, kustomize, workloads
from grafana import DASHBOARD

TOP: Final = Path(__file__).parents[2]
HERE: Final = TOP / "deploy" / "grafana"
README: Final = (HERE / "README.md").read_text("utf-8")
ALERTS: Final = (HERE / "alerts.yaml").read_text("utf-8")


def yaml_of(path: str) -> Any:  # noqa: ANN401 - as in the file
    return yaml.safe_load((HERE / path).read_text("utf-8"))


def shell(command: str) -> str:
    """Run a command of the README, from the top of the repository."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        ["/bin/sh", "-ec", command], cwd=TOP, check=True, capture_output=True, text=True
    )
    return done.stdout


def command_with(word: str) -> str:
    """Return the line of a block of the README in which `word` stands."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    lines: list[str] = [line for block in blocks for line in block.splitlines() if word in line]
    assert len(lines) == 1
    return lines[0]


# --- Prometheus --------------------------------------------------------------


def test_the_jobs_are_those_that_the_alerts_ask_for() -> None:
    jobs = [each["job_name"] for each in yaml_of("prometheus.yaml")["scrape_configs"]]
    asked = re.findall(r'\bup\{job=~"([^"]+)"', ALERTS)

    assert asked
    for pattern in asked:
        assert [job for job in jobs if re.fullmatch(pattern, job)], pattern
    for ours in ("wicketgate-authz", "wicketgate-webhooks"):
        assert [pattern for pattern in asked if re.fullmatch(pattern, f"prod/{ours}")]


def test_prometheus_judges_the_alerts() -> None:
    assert yaml_of("prometheus.yaml")["rule_files"] == ["alerts.yaml"]


def test_what_is_kept_of_envoy_is_what_is_asked_for() -> None:
    (envoy,) = [
        each
        for each in yaml_of("prometheus.yaml")["scrape_configs"]
        if each["job_name"] == "envoy"
    ]
    (kept,) = envoy["metric_relabel_configs"]
    asked = set(re.findall(r"\benvoy_\w+", ALERTS + json.dumps(DASHBOARD)))

    assert asked
    # `envoy_http_conn_manager_prefix` and its like are labels.
    assert [name for name in asked if not re.fullmatch(kept["regex"], name)] == []


# --- Grafana -----------------------------------------------------------------


def test_grafana_is_told_where_the_dashboard_is() -> None:
    (provider,) = yaml_of("provisioning/dashboards/wicketgate.yaml")["providers"]

    assert provider["type"] == "file"
    assert provider["options"]["path"].startswith("/var/lib/grafana/")


def test_rates_are_taken_over_four_scrapes() -> None:
    (source,) = yaml_of("provisioning/datasources/prometheus.yaml")["datasources"]
    scraped = yaml_of("prometheus.yaml")["global"]["scrape_interval"]

    assert source["type"] == "prometheus"
    assert source["jsonData"]["timeInterval"] == scraped


# --- the Prometheus operator -------------------------------------------------


@pytest.fixture(scope="module")
def built() -> dict[tuple[str, str], Any]:
    """What Kustomize makes, by kind and name."""
    return {(each["kind"], each["metadata"]["name"]): each for each in built_as_it_is(HERE)}


def test_kustomize_makes_what_the_readme_says(built: dict[tuple[str, str], Any]) -> None:
    assert set(built) == {
        ("ConfigMap", "wicketgate-dashboard"),
        ("PodMonitor", "wicketgate-authz"),
        ("PodMonitor", "wicketgate-webhooks"),
    }
    assert {each["metadata"]["namespace"] for each in built.values()} == {"wicketgate"}


def test_the_operator_s_own_definitions_take_what_is_for_it(
    built: dict[tuple[str, str], Any],
) -> None:
    rule = yaml.safe_load(shell(command_with("prometheus-rule.yaml").partition(" | ")[0]))
    monitors = [each for (kind, _), each in built.items() if kind == "PodMonitor"]

    assert len(monitors) == 2
    assert [mistakes_in(each) for each in (rule, *monitors)] == [[], [], []]
    rule["spec"]["groups"][0]["rules"][0]["fro"] = "5m"
    (mistake,) = mistakes_in(rule)
    assert "'fro' was unexpected" in mistake


def test_the_config_map_is_the_dashboard(built: dict[tuple[str, str], Any]) -> None:
    made = built["ConfigMap", "wicketgate-dashboard"]

    assert json.loads(made["data"]["wicketgate.json"]) == DASHBOARD
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
    # What `kubectl apply` keeps of it in an annotation must fit into one.
    assert len(made["data"]["wicketgate.json"]) < 200_000


@pytest.mark.parametrize("component", ["authz", "webhooks"])
def test_each_pod_is_scraped_at_its_admin_port(
    component: str, built: dict[tuple[str, str], Any]
) -> None:
    monitor = built["PodMonitor", f"wicketgate-{component}"]["spec"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    wanted = monitor["selector"]["matchLabels"].items()
    made = [*kustomize(BASE), *helm()]
    ports = [
        {port["name"] for port in each.container["ports"]}
        for each in workloads(made)
        if wanted <= each.labels.items()
    ]

    assert len(ports) == 2
    assert endpoint["port"] == "admin"
    assert all(endpoint["port"] in names for names in ports)
    assert endpoint["path"] == "/metrics"


def test_the_rule_of_the_operator_is_the_file_of_alerts() -> None:
    """There is no copy: the command of the README puts a head before the file."""
    made = yaml.safe_load(shell(command_with("prometheus-rule.yaml").partition(" | ")[0]))

    assert made["kind"] == "PrometheusRule"
    assert made["spec"] == yaml.safe_load(ALERTS)


# --- the runbook -------------------------------------------------------------


def test_one_command_leads_every_link_to_a_copy_of_the_runbook(tmp_path: Path) -> None:
    command = command_with("sed -i").replace(" deploy/grafana/", f" {tmp_path}/")
    for name in ("alerts.yaml", "dashboard.json"):
        (tmp_path / name).write_text((HERE / name).read_text("utf-8"), "utf-8")

    shell(f"DOCS=https://git.example.com/docs; {command}")

    rules = yaml.safe_load((tmp_path / "alerts.yaml").read_text("utf-8"))["groups"]
    urls = [rule["annotations"]["runbook_url"] for group in rules for rule in group["rules"]]
    changed = json.loads((tmp_path / "dashboard.json").read_text("utf-8"))
    assert all(url.startswith("https://git.example.com/docs/operations.md#") for url in urls)
    docs = changed["templating"]["list"][-1]
    assert (
        docs["query"] == docs["current"]["value"] == "https://git.example.com/docs/operations.md"
    )


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)", README))
def test_a_link_of_the_readme_leads_to_a_file(link: str) -> None:
    assert (HERE / link).exists()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\bWicketgate[A-Z]\w+", README))))
def test_the_readme_speaks_of_alerts_that_there_are(name: str) -> None:
    assert f"alert: {name}\n" in ALERTS
