"""The doctor's checks: each broken configuration has the mistake that was planted, and no other.

In ``tests/doctor`` every file is a good one with one mistake. A comment stands on the line
that the finding must name; JSON has none, so dumps are listed here.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from doctor_vectors import BROKEN, GOOD, VECTORS, holder_of, mended
from wicketgate.core.policy.source import Place, SourceError, parse_source
from wicketgate.doctor.catalogue import RULES
from wicketgate.doctor.change import change_of
from wicketgate.doctor.documents import Locator, documents_in
from wicketgate.doctor.examine import Scope, UnknownDocumentError, examine
from wicketgate.doctor.finding import Drop, Fault
from wicketgate.doctor.node import Node
from wicketgate.doctor.parts import EXT_AUTHZ
from wicketgate.doctor.versions import ADVISORIES, version_of

OURS: Final = Path(__file__).parents[2] / "envoy.yaml"

DUMPS: Final[Mapping[str, tuple[str, str]]] = {
    "cluster-missing.dump.json": ("cluster-missing", '"cluster_name": "auth"'),
    "envoy-cve.dump.json": ("envoy-cve", '"version": {'),
    "failure-mode-allow.dump.json": ("failure-mode-allow", '"failure_mode_allow": true'),
    "route-disabled.rds.dump.json": ("route-disabled", '"disabled": true'),
}
"""The planted mistake, and what stands on its line."""

BY_OTHER_TESTS: Final = {
    "direct-response",  # an Envoy that old has vulnerabilities, too
    *("settings", "settings-contradict", "keys-unreachable", "clock-skew"),
    *("database-unreachable", "schema-behind"),
}

_PLANTED: Final = re.compile(r"# planted: (\S+)")


def faults_in(text: str, scope: Scope | None = None) -> list[Fault]:
    values = [each.value for each in documents_in(text)]
    return examine(values, scope or Scope())


def found_in(text: str) -> list[tuple[int, str]]:
    """Return the line and the kind of each finding."""
    locator = Locator(documents_in(text))
    return [
        (locator.position(locator.canonical(each.place)).line, each.rule)
        for each in faults_in(text)
    ]


def planted_in(path: Path) -> list[tuple[int, str]]:
    """Return the line and the kind of each mistake that was planted."""
    lines = list(enumerate(path.read_text(encoding="utf-8").splitlines(), start=1))
    if path.name in DUMPS:
        rule, mark = DUMPS[path.name]
        return [next((number, rule) for number, line in lines if mark in line)]
    return [(number, found[1]) for number, line in lines if (found := _PLANTED.search(line))]


def names(paths: list[Path]) -> Iterator[str]:
    return (each.name for each in paths)


@pytest.mark.parametrize("path", BROKEN, ids=names(BROKEN))
def test_a_broken_configuration_has_the_planted_mistake_and_no_other(path: Path) -> None:
    planted = planted_in(path)

    assert len(planted) == 1
    assert planted == found_in(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", [*GOOD, OURS], ids=names([*GOOD, OURS]))
def test_a_good_configuration_has_none(path: Path) -> None:
    assert found_in(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", BROKEN, ids=names(BROKEN))
def test_the_change_that_is_advised_mends_it(path: Path) -> None:
    """
    Applied to the document, it leaves nothing to find; where there is none, words advise.
    """
    values = [each.value for each in documents_in(path.read_text(encoding="utf-8"))]
    (fault,) = examine(values)

    if fault.edits:
        assert examine(mended(values, fault.edits)) == []
    else:
        assert fault.advice


@pytest.mark.parametrize("path", BROKEN, ids=names(BROKEN))
def test_the_lines_that_are_advised_are_yaml(path: Path) -> None:
    documents = documents_in(path.read_text(encoding="utf-8"))
    values = [each.value for each in documents]
    locator = Locator(documents)
    (fault,) = examine(values)

    for edit in fault.edits:
        change = change_of(edit, locator, values)
        written = parse_source("\n".join(change.lines))
        value = None if isinstance(edit, Drop) else edit.value
        assert change.line >= 1
        assert written in (value, [value], {edit.place[-1]: value})


def test_what_comes_in_through_a_gateway_of_istio_s_is_outbound_and_examined() -> None:
    text = (VECTORS / "good.envoy.yaml").read_text(encoding="utf-8")
    (listener,) = re.findall(r"^ *- name: edge$", text, re.MULTILINE)[:1]
    direction = listener.replace("- name: edge", "  traffic_direction: OUTBOUND")
    gateway = text.replace(listener, f"{listener}\n{direction}", 1)

    assert found_in(gateway) == []
    broken = gateway.replace("failure_mode_allow: false", "failure_mode_allow: true")
    assert [rule for _, rule in found_in(broken)] == ["failure-mode-allow"]


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e999"])
def test_what_is_no_number_is_no_version(number: str) -> None:
    version = {"version": {"major_number": number, "minor_number": 1}}
    boot = {"bootstrap": {"node": {"user_agent_build_version": version}}}
    dump = {"configs": [{"@type": "envoy.admin.v3.BootstrapConfigDump", **boot}]}

    assert [fault.rule for fault in examine([dump])] == ["no-filter"]


def test_a_document_may_begin_on_the_line_of_its_marker() -> None:
    text = "# nothing\n--- {static_resources: {}}\n---  # more\nkind: x\n"

    assert [each.value for each in documents_in(text) if each.value is not None] == [
        {"static_resources": {}},
        {"kind": "x"},
    ]
    assert found_in(text) == [(2, "no-filter")]


def test_more_documents_than_anybody_has_are_refused_at_once() -> None:
    with pytest.raises(SourceError, match="documents"):
        documents_in("---\n" * 2_000_000)


def test_a_mesh_within_a_list_is_read_where_it_is_written() -> None:
    text = (VECTORS / "failure-mode-allow.istio.yaml").read_text(encoding="utf-8")
    first, *others = text.split("---\n")
    lines = first.splitlines(keepends=True)
    listed = "kind: List\nitems:\n- " + "  ".join(lines) + "---\n" + "---\n".join(others)
    (line,) = [at for at, each in enumerate(listed.splitlines(), 1) if "planted" in each]

    assert found_in(listed) == [(line, "failure-mode-allow")]


def test_every_kind_of_mistake_has_a_configuration() -> None:
    planted = {rule for path in BROKEN for _, rule in planted_in(path)}

    assert planted | BY_OTHER_TESTS == {rule.id for rule in RULES}


def test_every_kind_of_mistake_is_in_the_documentation() -> None:
    page = (OURS.parent / "docs" / "doctor.md").read_text(encoding="utf-8")

    assert [rule.id for rule in RULES if f"`{rule.id}`" not in page] == []


def test_what_an_alias_repeats_is_one_finding_where_it_is_written() -> None:
    text = OURS.read_text(encoding="utf-8")
    broken = text.replace("failure_mode_allow: false", "failure_mode_allow: true")
    line = text[: text.index("failure_mode_allow: false")].count("\n") + 1

    assert text.count("http_filters: *http_filters") == 1
    assert found_in(broken) == [(line, "failure-mode-allow")]


@pytest.mark.parametrize(
    ("version", "is_found"), [("1.19.5", True), ("1.20.0", False), ("1.40.0", False)]
)
def test_direct_responses_are_a_mistake_where_envoy_does_not_ask_about_them(
    version: str, *, is_found: bool
) -> None:
    text = (VECTORS / "good.envoy.yaml").read_text(encoding="utf-8")
    answer = "direct_response: { status: 200 }"
    text = text.replace("route: { cluster: upstream }", answer, 1)
    scope = Scope(version_of(version))

    rules = {each.rule for each in faults_in(text, scope)}

    assert is_found == ("direct-response" in rules)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.40.0", []),
        ("1.38.3", []),
        ("1.38.0", ["CVE-2026-47774"]),
        ("1.36.7", []),
        ("1.36.6", ["CVE-2026-47774"]),
        ("1.32.0", ["CVE-2026-47774"]),
        ("1.31.1", ["CVE-2026-47774", "CVE-2024-45806"]),
    ],
)
def test_vulnerabilities_go_by_the_branch_and_by_what_is_in_use(
    version: str, expected: list[str]
) -> None:
    """
    The file has neither RBAC nor jwt_authn, nor a route with a service of its own.
    """
    text = (VECTORS / "good.envoy.yaml").read_text(encoding="utf-8")

    faults = faults_in(text, Scope(version_of(version)))

    assert expected == [
        found[0] for each in faults if (found := re.search("CVE[-0-9]+", each.found))
    ]


def test_every_advisory_has_a_first_bad_and_a_first_good_version() -> None:
    for each in ADVISORIES:
        assert each.affects((*min(each.fixed)[:2], 0))
        assert not any(map(each.affects, each.fixed))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.36.2", (1, 36, 2)),
        ("v1.36.2", (1, 36, 2)),
        ("1.36", (1, 36, 0)),
        ("1.36.2-dev", (1, 36, 2)),
        ("1", None),
        ("latest", None),
    ],
)
def test_a_version_is_read(text: str, expected: tuple[int, int, int] | None) -> None:
    assert expected == version_of(text)


def test_an_alias_of_the_identity_header_has_to_be_stripped_too() -> None:
    text = (VECTORS / "good.envoy.yaml").read_text(encoding="utf-8")

    (fault,) = faults_in(text, Scope(identity=("x-member",)))

    assert fault.rule == "identity-not-stripped"
    assert "x-member" in fault.found


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.5s", 0.5), ("200ms", 0.2), ("1m30s", 90.0), ("0s", 0.0), ("soon", None), ("5", None)],
)
def test_a_duration_is_read(text: str, expected: float | None) -> None:
    assert expected == Node(text, ()).seconds


@pytest.mark.parametrize(
    "text", ["a: 1", "[]", "kind: Service\napiVersion: v1", "", "---\n---\n", "text"]
)
def test_a_file_with_nothing_to_examine_is_refused(text: str) -> None:
    with pytest.raises(UnknownDocumentError):
        faults_in(text)


def test_a_mistake_in_the_second_document_has_its_own_line() -> None:
    with pytest.raises(SourceError) as caught:
        documents_in("a: 1\n---\nb: 1\nb: 2\n")

    assert caught.value.position.line == 4


@pytest.mark.parametrize("junk", [1, "text", [None], {"a": None}])
@pytest.mark.parametrize("name", ["envoy.yaml", "dump.json", "istio.yaml", "gateway.yaml"])
def test_whatever_stands_anywhere_nothing_breaks(name: str, junk: object) -> None:
    """
    Each value of a good configuration is replaced in turn, and examined.
    """
    text = (VECTORS / f"good.{name}").read_text(encoding="utf-8")
    values = [each.value for each in documents_in(text)]
    for place in list(places_in(values))[1:]:
        holder = holder_of(values, place)
        key: Any = place[-1]
        kept, holder[key] = holder[key], junk
        with contextlib.suppress(UnknownDocumentError):
            examine(values)
        holder[key] = kept


def places_in(value: object, place: Place = ()) -> Iterator[Place]:
    yield place
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places_in(inner, (*place, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places_in(inner, (*place, index))


_GRPC: Final = "timeout: 0.5s"
_ROUTE: Final = "- match: { prefix: / }"
_RETRIES: Final = "- max_retries: 1000"
_OTHER_FILTER: Final = """\
- match: { prefix: / }
                          typed_per_filter_config:
                            envoy.filters.http.cors:
                              "@type": type.googleapis.com/envoy.config.route.v3.FilterConfig
                              disabled: true"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("code: ServiceUnavailable", "code: BadGateway"),
        (_GRPC, "timeout: 0.25s"),
        (_GRPC, "timeout: 4.9s"),
        ("max_interval: 0.25s", "max_interval: 0.5s"),
        ("base_interval: 0.01s, max_interval: 0.25s", "base_interval: 0.025s"),
        ("stat_prefix: edge", "statPrefix: edge"),
        ("- exact: authorization", "- { exact: Authorization, ignore_case: true }"),
        ("- exact: authorization", "- prefix: auth"),
        (_GRPC, "timeout: 0.5s\n                        initial_metadata: []"),
        (_RETRIES, "- max_retries: 4"),
        (_RETRIES, '- max_retries: "1000"'),
        (_RETRIES, "- retry_budget: {}"),
        (_RETRIES, "- { priority: HIGH, max_retries: 3 }\n          - max_retries: 1000"),
        ("explicit_http_config: { http2_protocol_options: {} }", "auto_config: {}"),
        (_ROUTE, '- match: { prefix: "" }'),
        (_ROUTE, _OTHER_FILTER),
        (_ROUTE, f"{_ROUTE}\n                          request_headers_to_remove: [x-debug]"),
        ("escaped_slashes_action: REJECT_REQUEST", "escaped_slashes_action: UNESCAPE_AND_FORWARD"),
        ("DROP_HEADER", "REJECT_REQUEST"),
        ("failure_mode_allow: false", "filter_enabled: { default_value: { numerator: 100 } }"),
        (
            "failure_mode_allow: false",
            (
                "filter_enabled: { default_value: { numerator: 50 } }\n"
                "                      deny_at_disable: { default_value: true, runtime_key: off }"
            ),
        ),
        ("static_resources:", "dynamic_resources: { cds_config: { ads: {} } }\nstatic_resources:"),
    ],
)
def test_what_is_nearly_a_mistake_is_none(old: str, new: str) -> None:
    text = (VECTORS / "good.envoy.yaml").read_text(encoding="utf-8")

    assert text.count(old) == 1
    assert found_in(text.replace(old, new)) == []


def test_a_cluster_that_is_discovered_is_not_missing() -> None:
    text = (VECTORS / "cluster-missing.envoy.yaml").read_text(encoding="utf-8")

    assert found_in(f"dynamic_resources: {{ ads_config: {{}} }}\n{text}") == []


def test_a_filter_in_a_typed_struct_is_examined_too() -> None:
    values = [{"applyTo": "HTTP_FILTER", "patch": {"value": _typed_struct()}}]
    document = {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "spec": {"configPatches": values},
    }

    rules = [fault.rule for fault in examine([document])]

    assert rules == ["failure-mode-allow", "identity-not-stripped"]


def _typed_struct() -> dict[str, Any]:
    return {
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
            "type_url": f"type.googleapis.com/{EXT_AUTHZ}",
            "value": {
                "transport_api_version": "V3",
                "failure_mode_allow": True,
                "status_on_error": {"code": 503},
                "grpc_service": {"timeout": "0.5s", "envoy_grpc": {"cluster_name": "authz"}},
            },
        },
    }


def test_a_list_of_kubernetes_is_examined_object_by_object() -> None:
    documents = documents_in(
        (VECTORS / "failure-mode-allow.gateway.yaml").read_text(encoding="utf-8")
    )
    listed = {"apiVersion": "v1", "kind": "List", "items": [each.value for each in documents]}

    (fault,) = examine([listed])

    assert (fault.rule, fault.place[:3]) == ("failure-mode-allow", (0, "items", 0))
