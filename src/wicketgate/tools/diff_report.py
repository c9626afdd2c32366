"""What another policy would have decided, for a person and for a program."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from wicketgate.core.policy.changes import Changes, Effect, Group
from wicketgate.core.policy.recorded import Skipped
from wicketgate.core.policy.replay import Undetermined
from wicketgate.tools.terminal import Style, table, visible

SHOWN: Final = 20
"""Groups and callers that a person is shown, the largest first."""

_OTHERS: Final = "others"
_EFFECTS: Final = {
    Effect.NEWLY_DENIED: "newly denied",
    Effect.NEWLY_ALLOWED: "newly allowed",
    Effect.OTHER_REASON: "denied for another reason",
    Effect.OTHER_HEADERS: "allowed with other headers",
    Effect.OTHER_RULE: "nothing but the rule",
}
_WHY: Final = {
    Undetermined.CALLER: "who asked was not kept",
    Undetermined.CLAIMS: "a policy reads a claim that was not kept",
    Undetermined.HEADERS: "a policy reads a header, and values of headers are not kept",
    Undetermined.PATH: "the path was too long to be kept",
}
_NOT_AS_RECORDED: Final = (
    "the old policy decides otherwise than the log says; it may not be the one that was "
    "in force, or users were revoked"
)
_SKIPPED: Final = {
    Skipped.NO_REPLAY: "decisions without what a replay needs",
    Skipped.OTHER: "lines that are no decisions",
    Skipped.BROKEN: "lines that cannot be read",
}


def report_of(changes: Changes, style: Style) -> str:
    """Return lines of text."""
    lines = [
        *_groups(changes, style),
        *_callers(changes, style),
        *_notes(changes, style),
        _summary(changes, style),
    ]
    return "".join(f"{line}\n" for line in lines)


def _groups(changes: Changes, style: Style) -> Iterator[str]:
    if not changes.groups:
        return
    rows = [
        (f"{count:,}", *_cells(group, style)) for group, count in changes.groups.most_common(SHOWN)
    ]
    yield table(rows, ("requests", "what changes", "rule", "outcome"), style)
    yield from _more(len(changes.groups))
    yield ""


def _cells(group: Group | None, style: Style) -> tuple[str, str, str]:
    if group is None:
        return _OTHERS, "", ""
    effect = {
        Effect.NEWLY_DENIED: style.bad,
        Effect.NEWLY_ALLOWED: style.warn,
        Effect.OTHER_RULE: style.dim,
    }.get(group.effect, str)(_EFFECTS[group.effect])
    headers = f" ({', '.join(group.headers)})" if group.headers else ""
    return effect, _step(group.rules), _step(group.reasons) + headers


def _step(pair: tuple[str, str]) -> str:
    old, new = pair
    return old if old == new else f"{old} -> {new}"


def _callers(changes: Changes, style: Style) -> Iterator[str]:
    if not changes.callers:
        return
    rows = [(f"{count:,}", name or _OTHERS) for name, count in changes.callers.most_common(SHOWN)]
    yield table(rows, ("requests", "who asked"), style)
    yield from _more(len(changes.callers))
    yield ""


def _more(count: int) -> Iterator[str]:
    if count > SHOWN:
        yield f"... and {count - SHOWN:,} more; --json names them all"


def _notes(changes: Changes, style: Style) -> Iterator[str]:
    for why, count in changes.undetermined.most_common():
        yield f"{style.warn('undetermined')}: {count:,}: {_WHY[why]}"
    if changes.not_as_recorded:
        what = f"{style.warn('not as recorded')}: {changes.not_as_recorded:,}"
        yield f"{what}: {_NOT_AS_RECORDED}"
    for kind, skipped in changes.skipped.most_common():
        yield style.dim(f"skipped: {skipped:,}: {_SKIPPED[kind]}")


def _summary(changes: Changes, style: Style) -> str:
    effects = changes.effects
    parts = [
        f"{changes.replayed:,} replayed",
        f"{effects[Effect.NONE] + effects[Effect.OTHER_RULE]:,} unchanged",
        f"{changes.changed:,} changed",
        f"{effects[Effect.NEWLY_DENIED]:,} newly denied",
        f"{effects[Effect.NEWLY_ALLOWED]:,} newly allowed",
        f"{changes.undetermined.total():,} undetermined",
    ]
    return (style.bad if changes.changed else style.good)(visible(", ".join(parts)))


def document_of(changes: Changes) -> dict[str, object]:
    """Return what a program is told, of values that JSON has."""
    effects = changes.effects
    return {
        "replayed": changes.replayed,
        "unchanged": effects[Effect.NONE] + effects[Effect.OTHER_RULE],
        "moved": effects[Effect.OTHER_RULE],
        "changed": changes.changed,
        "newly_denied": effects[Effect.NEWLY_DENIED],
        "newly_allowed": effects[Effect.NEWLY_ALLOWED],
        "not_as_recorded": changes.not_as_recorded,
        "undetermined": {str(why): changes.undetermined[why] for why in Undetermined},
        "skipped": {str(why): changes.skipped[why] for why in Skipped},
        "groups": [_group(group, count) for group, count in changes.groups.most_common()],
        "callers": _named(changes.callers),
    }


def _group(group: Group | None, count: int) -> dict[str, object]:
    if group is None:
        return {"requests": count, "effect": _OTHERS}
    return {
        "requests": count,
        "effect": str(group.effect),
        "old": {"rule": group.rules[0], "reason": group.reasons[0]},
        "new": {"rule": group.rules[1], "reason": group.reasons[1]},
        "headers": list(group.headers),
    }


def _named(callers: Counter[str | None]) -> list[dict[str, object]]:
    return [
        {"requests": count, "principal": name or _OTHERS} for name, count in callers.most_common()
    ]
