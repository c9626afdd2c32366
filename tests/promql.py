"""What a PromQL expression needs of the metrics that are exported, and the labels that it returns.

An expression that asks for a metric, a label or a label's value that nobody exports is no error
to Prometheus: it is empty, and its panel or its alert is silent for ever. Here it is one.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import promql_parser as promql
from promql_parser import (
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    Call,
    LabelModifierType,
    MatchOp,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    VectorSelector,
)

Exported = Mapping[str, Sequence[Mapping[str, str]]]
"""The labels of every sample, by the name of its metric."""

TARGET: Final = frozenset({"job", "instance"})
"""Labels that Prometheus puts on all that it scrapes."""
OF_PROMETHEUS: Final[Exported] = {
    "up": [{}],
    "ALERTS": [
        {"alertname": "WicketgateNoKeys", "alertstate": state, "severity": severity}
        for state in ("pending", "firing")
        for severity in ("page", "ticket")
    ],
}
"""What Prometheus makes by itself."""

_SET_OPERATORS: Final = {"and", "unless", "or"}
_CHOOSES: Final = {"topk", "bottomk"}
"""Aggregations that return some of their series as they are."""
# Not by prometheus_client, which calls Envoy's counters other than Prometheus does.
_SAMPLE: Final = re.compile(r"^(\w+)(?:\{(.*)\})? \S+", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_SCALAR: Final = None
"""In place of labels."""


class NotExportedError(Exception):
    """The expression asks for what nobody exports, or throws away the labels that it asks for."""


def exported_in(*expositions: str) -> Exported:
    """Return what is in some pages of metrics, and what Prometheus makes by itself."""
    exported: dict[str, list[Mapping[str, str]]] = {
        name: list(samples) for name, samples in OF_PROMETHEUS.items()
    }
    for exposition in expositions:
        for name, labels in _SAMPLE.findall(exposition):
            exported.setdefault(name, []).append(dict(_LABEL.findall(labels)))
    return exported


def labels_of(expression: str, exported: Exported) -> frozenset[str]:
    """Return the labels of what `expression` returns.

    Raises:
        NotExportedError: it would never return anything.
        ValueError: it is no expression.
    """
    return _labels(promql.parse(expression), exported) or frozenset()


def _labels(node: Any, exported: Exported) -> frozenset[str] | None:  # noqa: ANN401 - any node
    match node:
        case NumberLiteral() | StringLiteral():
            return _SCALAR
        case ParenExpr():
            return _labels(node.expr, exported)
        case VectorSelector():
            return _selected(node, exported)
        case MatrixSelector():
            return _selected(node.vector_selector, exported)
        case Call():
            return _called(node, exported)
        case AggregateExpr():
            return _aggregated(node, exported)
        case BinaryExpr():
            return _combined(node, exported)
    msg = f"nobody has taught this test {type(node).__name__}: {node}"
    raise NotExportedError(msg)


def _selected(selector: Any, exported: Exported) -> frozenset[str]:  # noqa: ANN401 - any selector
    if selector.name not in exported:
        msg = f"no metric is called {selector.name}"
        raise NotExportedError(msg)
    samples = exported[selector.name]
    labels = frozenset().union(*samples)
    for matcher in selector.matchers.matchers:
        if matcher.name not in TARGET:
            _require_value(selector.name, matcher, labels, samples)
    return labels | TARGET


def _require_value(
    metric: str,
    matcher: Any,  # noqa: ANN401 - any matcher
    labels: frozenset[str],
    samples: Sequence[Mapping[str, str]],
) -> None:
    if matcher.name not in labels:
        msg = f"{metric} has no label {matcher.name}"
        raise NotExportedError(msg)
    values = {sample.get(matcher.name, "") for sample in samples}
    is_pattern = matcher.op == MatchOp.Re or matcher.op == MatchOp.NotRe  # noqa: PLR1714 - not hashable
    # Each of several alternatives, or one that is spelled wrongly would hide behind the others.
    for wanted in matcher.value.split("|") if is_pattern else [matcher.value]:
        found = any(
            re.fullmatch(wanted, value) if is_pattern else wanted == value for value in values
        )
        if not found:
            msg = f"{metric} has no {matcher.name} that is {wanted!r}; there are {sorted(values)}"
            raise NotExportedError(msg)


def _called(call: Call, exported: Exported) -> frozenset[str] | None:
    name = call.func.name
    given = [_labels(argument, exported) for argument in call.args]
    if name == "time":
        return _SCALAR
    if name in {"vector", "absent"}:
        return frozenset()
    (labels,) = (each for each in given if each is not _SCALAR)
    if name == "histogram_quantile":
        _require({"le"}, labels, call)
        return labels - {"le"}
    return labels


def _aggregated(aggregation: AggregateExpr, exported: Exported) -> frozenset[str]:
    labels = _labels(aggregation.expr, exported) or frozenset()
    by = frozenset[str]()
    if aggregation.modifier is not None:
        by = frozenset(aggregation.modifier.labels)
        _require(by, labels, aggregation)
        if aggregation.modifier.type == AggModifierType.Without:
            by = labels - by
    return labels if str(aggregation.op) in _CHOOSES else by


def _combined(binary: BinaryExpr, exported: Exported) -> frozenset[str] | None:
    left, right = _labels(binary.lhs, exported), _labels(binary.rhs, exported)
    if left is _SCALAR or right is _SCALAR:
        return right if left is _SCALAR else left
    matching = binary.modifier.matching if binary.modifier is not None else None
    if str(binary.op) == "or":
        return left | right
    if matching is None:
        # They match when all labels are equal: never, if only one side has one of them.
        _require(left ^ right, frozenset(), binary)
        return left
    assert matching.type == LabelModifierType.Include, binary
    on = frozenset(matching.labels)
    _require(on, left, binary)
    _require(on, right, binary)
    return left if str(binary.op) in _SET_OPERATORS else on


def _require(wanted: frozenset[str] | set[str], labels: frozenset[str], where: object) -> None:
    if not wanted <= labels:
        msg = f"there is no label {sorted(wanted - labels)} in {where}"
        raise NotExportedError(msg)
