"""The explanation of a token, for a person at a terminal and for a program."""

from collections.abc import Iterator
from typing import Any, Final

from wicketgate.core.reason import ANSWERS
from wicketgate.tools.terminal import Style, table, visible
from wicketgate.tools.token_saw import ExplainedToken, instant, saw
from wicketgate.tools.token_trace import Check, Result

PAGE: Final = "docs/reasons.md"
_LABEL: Final = 10
_UNVERIFIED: Final = "what the token says is unverified: its signature was not found good"
_GOES_ON: Final = "whether a rule lets its bearer in: wicketgate policy explain --token -"
_ON_ROUTES: Final = (
    "a service token counts on internal routes, or where its mesh principal is shown; whether a "
    "rule admits it: wicketgate policy explain --service"
)


def document_of(about: ExplainedToken, type_base: str) -> dict[str, Any]:
    """Return the explanation as one JSON object.

    Args:
        about: What is explained.
        type_base: What the types of problem documents begin with.
    """
    trace, view = about.trace, about.view
    reason = trace.reason
    return {
        "decision": "accept" if reason is None else "refuse",
        "reason": reason,
        "status": None if reason is None else ANSWERS[reason].status,
        "title": None if reason is None else ANSWERS[reason].title,
        "type": None if reason is None else f"{type_base}{reason}",
        "failed": trace.failed,
        "at": about.now,
        "service": None if trace.service is None else trace.service.name,
        "is_signature_good": trace.is_signed,
        "token": {"header": dict(view.header), "claims": dict(view.claims)},
        "keys": about.keys_from,
        "checks": [
            {"check": check, "result": trace.result(check), "saw": saw(check, about)}
            for check in trace.checks
        ],
        "notes": list(_notes(about)),
    }


def report_of(about: ExplainedToken, type_base: str, style: Style) -> str:
    """Return the explanation as lines of text; the arguments are those of `document_of`."""
    trace = about.trace
    rows = [
        (check.value, _painted(trace.result(check), style), saw(check, about))
        for check in trace.checks
    ]
    lines = [
        table(rows, ("CHECK", "RESULT", "WHAT IT SAW"), style),
        "",
        *(_labelled(label, text, style) for label, text in _verdict(about, type_base, style)),
        *(_labelled("note", style.warn(note), style) for note in _notes(about)),
    ]
    return "".join(f"{line}\n" for line in lines)


def _verdict(about: ExplainedToken, type_base: str, style: Style) -> Iterator[tuple[str, str]]:
    trace = about.trace
    yield "at", f"{instant(about.now)} ({about.now:.0f})"
    if trace.reason is not None:
        answer = ANSWERS[trace.reason]
        refused = style.bad("REFUSE")
        yield "decision", f"{refused} {answer.status} {trace.reason}: {answer.title}"
        yield "type", f"{type_base}{trace.reason}"
        yield "see", f"{PAGE}#{trace.reason}"
    elif trace.service is not None:
        yield "decision", f"{style.good('ACCEPT')} as service:{trace.service.name}"
    else:
        who = about.view.claims.get("sub", "")
        yield "decision", f"{style.good('ACCEPT')} as user:{who}"


def _notes(about: ExplainedToken) -> Iterator[str]:
    trace = about.trace
    if about.view.claims and not trace.is_signed:
        yield _UNVERIFIED
    yield from about.notes
    if about.hint and trace.failed in {Check.KEY, Check.SIGNATURE}:
        yield about.hint
    if trace.reason is None:
        yield _GOES_ON if trace.service is None else _ON_ROUTES


def _painted(result: Result, style: Style) -> str:
    match result:
        case Result.PASSED:
            return style.good(result)
        case Result.FAILED:
            return style.bad(result)
        case _:
            return style.dim(result)


def _labelled(label: str, text: str, style: Style) -> str:
    return style.dim(label.ljust(_LABEL)) + visible(text)
