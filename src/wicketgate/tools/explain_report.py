"""The explanation of a request, for a person at a terminal."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from wicketgate.core.policy.explain import Explanation, Step
from wicketgate.core.reason import ANSWERS, PUBLIC_WORD
from wicketgate.core.verdict import (
    Allow,
    Verdict,
)
from wicketgate.tools.explain_document import ALLOWED, Explained, principal_of, who
from wicketgate.tools.terminal import Style, table, visible

_ROUTES: Final = "what routes say (context_extensions)"
_LABEL: Final = 10

_Line = tuple[str, str]
"""A label, and what it says; without a label it goes on with the line before."""


def report_of(found: Explained, style: Style) -> str:
    """Return the explanation as lines of text."""
    lines = [
        *_labelled(_request(found, style), style),
        "",
        *_rules(found, style),
        *_labelled(_verdict(found.explanation, style), style),
    ]
    return "".join(f"{line}\n" for line in lines)


def _labelled(lines: Iterator[_Line], style: Style) -> Iterator[str]:
    for label, text in lines:
        yield style.dim(label.ljust(_LABEL)) + visible(text)


def _request(found: Explained, style: Style) -> Iterator[_Line]:
    request = found.request
    parts = (request.method, request.host, request.target)
    yield "request", style.bold(" ".join(part for part in parts if part))
    for key, value in request.context.items():
        yield "", f"context {key}={value}"
    for name, value in found.shown_headers.items():
        yield "", f"header {name}: {value}"
    if request.source_principal:
        yield "", f"source {request.source_principal}"
    yield "caller", who(found.known.caller)
    for note in found.known.notes:
        yield "", style.warn(note)
    instant = datetime.fromtimestamp(found.now, UTC)
    yield "at", f"{instant:%Y-%m-%dT%H:%M:%SZ} ({found.now:.0f})"
    yield "policy", found.policy or _ROUTES


def _rules(found: Explained, style: Style) -> Iterator[str]:
    steps, shown = found.explanation.steps, found.shown_steps
    if not steps:
        return
    rows = [(str(step.index + 1), step.rule.name, _why(step, found, style)) for step in shown]
    if not steps[-1].decides:
        name = _rule_name(found.explanation.verdict)
        rows.append(("-", name, style.bold("decides, as no rule fits")))
    yield table(rows, ("#", "RULE", "WHY"), style)
    if len(steps) > len(shown):
        yield style.dim(f"{len(steps) - len(shown):,} more above: tried, and decided nothing")
    if found.explanation.untried:
        yield style.dim(f"{found.explanation.untried:,} more below: not asked")
    yield ""


def _why(step: Step, found: Explained, style: Style) -> str:
    if step.mismatches:
        return visible("; ".join(step.mismatches))
    if step.decides:
        return style.bold("decides")
    said = found.would_have(step)
    return style.warn("shadow: " + (said if said == ALLOWED else f"denied, {said}"))


def _verdict(explanation: Explanation, style: Style) -> Iterator[_Line]:
    verdict = explanation.verdict
    yield "decision", _decision(verdict, style)
    for why in explanation.unmet:
        yield "because", why
    yield "rule", _rule_name(verdict)
    if verdict.template:
        yield "path", verdict.template
    for name, value in explanation.parameters:
        yield "", f"{name} = {value}"
    if explanation.headers is None:
        return
    for number, (name, value) in enumerate(explanation.headers.set):
        yield "" if number else "upstream", f"{name}: {value}"
    yield "removed", _removed(explanation.headers.remove)


def _removed(names: tuple[str, ...]) -> str:
    """Return the names, of those that differ in dashes and underscores only the first."""
    first = {name.replace("_", "-"): name for name in reversed(names)}
    shown = [name for name in names if name in first.values()]
    others = len(names) - len(shown)
    return ", ".join(shown) + (f", and {others} other spellings of them" if others else "")


def _decision(verdict: Verdict, style: Style) -> str:
    if isinstance(verdict, Allow):
        return f"{style.good('ALLOW')} as {principal_of(verdict.principal)}"
    told = PUBLIC_WORD.get(verdict.reason, verdict.reason)
    as_if = "" if told is verdict.reason else f" (told as {told})"
    answer = ANSWERS[told]
    return f"{style.bad('DENY')} {answer.status} {verdict.reason}{as_if}: {answer.title}"


def _rule_name(verdict: Verdict) -> str:
    return verdict.rule.name if verdict.rule else "none was asked"
