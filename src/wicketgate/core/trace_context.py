"""The trace that a request belongs to, as its own headers tell.

Anybody can write these headers, so a trace is what a client says it is: good for finding
things, and for no decision. What is malformed, or there twice, is as if it were not there.

Source: W3C Trace Context, "Versioning of traceparent" for what comes after version 00;
level 2 for the second flag, and level 1 for the keys of tracestate, as in OpenTelemetry.
"""

import re
from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import Final

from wicketgate.core.value import value

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
SAMPLED: Final = 0x01
_RANDOM: Final = 0x02
_KNOWN_FLAGS: Final = SAMPLED | _RANDOM

_LENGTH: Final = 55
_MAX_TRACEPARENT: Final = 512
"""Characters; later versions may be longer than the 55 of this one."""
MAX_TRACESTATE: Final = 512
"""Characters that everybody has to carry on; what is longer is left out as a whole."""
MAX_MEMBERS: Final = 32

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_MEMBER: Final = re.compile(
    # A simple key, or one of a tenant and a system; then a value that does not end in a space.
    r"(?P<key>[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=(?P<value>[ -+.-<>-~-]{0,255}[!-+.-<>-~-])"
)
_SPACE: Final = " \t"


@value
class TraceContext:
    """Where in a trace a request is.

    Attributes:
        trace_id: 32 hexadecimal digits, not all 0.
        parent_id: The span that the request was sent in; 16 digits, not all 0.
        flags: Of those that are known: whether the trace is sampled, and random.
    """

    _: KW_ONLY
    trace_id: str
    parent_id: str
    flags: int

    @property
    def is_sampled(self) -> bool:
        """Whether whoever sent the request records the trace."""
        return bool(self.flags & SAMPLED)


def trace_context_of(headers: Mapping[str, str]) -> TraceContext | None:
    """Return the trace that a request belongs to; `None` when it tells none."""
    text = headers.get(TRACEPARENT)
    if text is None:
        return None
    found = _TRACEPARENT.match(text)
    # A header that was there twice is joined by a comma, and nobody knows which one counts.
    if found is None or len(text) > _MAX_TRACEPARENT or "," in text:
        return None
    version, trace_id, parent_id, flags = found.groups()
    if version == "ff" or trace_id == _NO_TRACE or parent_id == _NO_SPAN:
        return None
    if len(text) > _LENGTH and (version == "00" or text[_LENGTH] != "-"):
        return None
    known = int(flags, 16) & _KNOWN_FLAGS
    return TraceContext(trace_id=trace_id, parent_id=parent_id, flags=known)


def trace_state_of(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return what tracing systems keep beside the trace, in order.

    Returns:
        Nothing when there is nothing, or anything in it cannot be read. It takes a while
        to read, so it is asked for only where somebody will see it.
    """
    text = headers.get(TRACESTATE, "")
    if len(text) > MAX_TRACESTATE:
        return ()
    members: dict[str, str] = {}
    for part in text.split(","):
        member = part.strip(_SPACE)
        if not member:
            continue
        found = _MEMBER.fullmatch(member)
        if found is None or found["key"] in members:
            return ()
        members[found["key"]] = found["value"]
    return tuple(members.items()) if len(members) <= MAX_MEMBERS else ()
