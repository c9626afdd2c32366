"""The trace that a request belongs to, read as OpenTelemetry's own propagator reads it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from wicketgate.core.trace_context import (
    MAX_MEMBERS,
    MAX_TRACESTATE,
    TraceContext,
    trace_context_of,
    trace_state_of,
)

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
VALID = f"00-{TRACE}-{PARENT}-01"


def oracle(traceparent: str, tracestate: str = "") -> tuple[str, str, int, str] | None:
    """Return what OpenTelemetry reads: ids, flags and state."""
    carrier = {"traceparent": traceparent, "tracestate": tracestate}
    span = get_current_span(TraceContextTextMapPropagator().extract(carrier))
    found = span.get_span_context()
    if not found.is_valid:
        return None
    state = ",".join(f"{key}={value}" for key, value in found.trace_state.items())
    return f"{found.trace_id:032x}", f"{found.span_id:016x}", found.trace_flags, state


def ours(traceparent: str, tracestate: str = "") -> tuple[str, str, int, str] | None:
    """Return the same, as it is read here."""
    headers = {"traceparent": traceparent, "tracestate": tracestate}
    found = trace_context_of(headers)
    if found is None:
        return None
    state = ",".join(f"{key}={value}" for key, value in trace_state_of(headers))
    return found.trace_id, found.parent_id, found.flags, state


def context(flags: int) -> TraceContext:
    return TraceContext(trace_id=TRACE, parent_id=PARENT, flags=flags)


@pytest.mark.parametrize(
    ("flags", "kept", "is_sampled"),
    [
        ("00", 0, False),
        ("01", 1, True),
        ("02", 2, False),
        ("03", 3, True),
        ("fc", 0, False),
        ("ff", 3, True),
    ],
)
def test_two_flags_are_known(flags: str, kept: int, *, is_sampled: bool) -> None:
    found = trace_context_of({"traceparent": f"00-{TRACE}-{PARENT}-{flags}"})

    assert found == context(kept)
    assert found.is_sampled is is_sampled


@pytest.mark.parametrize(
    "later",
    [
        f"01-{TRACE}-{PARENT}-01",
        f"cc-{TRACE}-{PARENT}-01-what-the-future-will-be-like",
        f"fe-{TRACE}-{PARENT}-01-",
    ],
)
def test_a_version_of_tomorrow_is_read_as_far_as_it_is_known(later: str) -> None:
    assert trace_context_of({"traceparent": later}) == context(1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        VALID[:-1],
        VALID + "-",
        VALID + "-00",
        VALID + "0",
        VALID + " ",
        " " + VALID,
        VALID + "\n",
        VALID.upper(),
        f"ff-{TRACE}-{PARENT}-01",
        f"0-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}g-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-0x",
        f"00_{TRACE}-{PARENT}-01",
        f"00-{TRACE[:-1]}\uff11-{PARENT}-01",
        f"01-{TRACE}-{PARENT}-01.x",
        f"01-{TRACE}-{PARENT}-0100",
        f"01-{TRACE}-{PARENT}-01-{'x' * 512}",
    ],
)
def test_what_is_malformed_is_as_if_it_were_not_there(text: str) -> None:
    assert trace_context_of({"traceparent": text}) is None


@pytest.mark.parametrize("joined", [f"{VALID},{VALID}", f"{VALID}, {VALID}", f"{VALID},"])
def test_a_header_that_was_there_twice_does_not_count(joined: str) -> None:
    assert trace_context_of({"traceparent": joined}) is None
    assert trace_context_of({"traceparent": joined.replace("00-", "01-", 1)}) is None
    later = f"01-{TRACE}-{PARENT}-01-x"
    assert trace_context_of({"traceparent": f"{later},{VALID}"}) is None


def test_a_request_without_the_header_is_in_no_trace() -> None:
    assert trace_context_of({}) is None
    assert trace_context_of({"tracestate": "a=1"}) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("congo=t61rcWkgMzE", (("congo", "t61rcWkgMzE"),)),
        ("rojo=00f067aa0ba902b7,congo=t61", (("rojo", "00f067aa0ba902b7"), ("congo", "t61"))),
        (" a=1 ,\tb=2, ,", (("a", "1"), ("b", "2"))),
        ("fw529a3039@dt=FfYsZA", (("fw529a3039@dt", "FfYsZA"),)),
        ("ot=th:8;rv:abcdef", (("ot", "th:8;rv:abcdef"),)),
        ("a=x y", (("a", "x y"),)),
        ("a=" + "v" * 256, (("a", "v" * 256),)),
        (
            ",".join(f"a{n}=1" for n in range(MAX_MEMBERS)),
            tuple((f"a{n}", "1") for n in range(32)),
        ),
    ],
)
def test_what_tracing_systems_keep_is_carried(
    text: str, expected: tuple[tuple[str, str], ...]
) -> None:
    assert expected == trace_state_of({"tracestate": text})


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "a=",
        "=a",
        "A=1",
        "1a=1",
        "a@=1",
        "@a=1",
        "a=1=2",
        "a=1,a=2",
        "a=\u00e9",
        "a=1,b",
        "a=1\n,b=2",
        "a=" + "v" * 257,
        ",".join(f"a{n}=1" for n in range(MAX_MEMBERS + 1)),
        "a=" + "v" * 250 + ",b=" + "v" * 250 + ",c=" + "v" * (MAX_TRACESTATE - 507),
    ],
)
def test_what_cannot_be_read_is_not_carried_at_all(text: str) -> None:
    assert trace_state_of({"tracestate": text}) == ()


def test_the_longest_that_is_carried_is_carried() -> None:
    text = "a=" + "v" * 250 + ",b=" + "v" * 250 + ",c=" + "v" * (MAX_TRACESTATE - 508)

    assert len(text) == MAX_TRACESTATE
    assert len(trace_state_of({"tracestate": text})) == 3


HEXADECIMAL = st.text("0123456789abcdef", min_size=1, max_size=34)
PARTS = st.tuples(
    st.sampled_from(["00", "01", "fe", "ff"]) | HEXADECIMAL,
    st.just(TRACE) | st.just("0" * 32) | HEXADECIMAL,
    st.just(PARENT) | st.just("0" * 16) | HEXADECIMAL,
    st.sampled_from(["00", "01", "02", "03"]) | HEXADECIMAL,
)
TAILS = st.just("") | st.text("-0af x.", max_size=4) | st.text("-x", min_size=456, max_size=459)
SPOILT = st.tuples(st.just(VALID), st.integers(0, 54), st.sampled_from("-0gA\u0661\n. "))


def spoil(drawn: tuple[str, int, str]) -> str:
    text, place, character = drawn
    return text[:place] + character + text[place + 1 :]


@given(
    st.tuples(PARTS.map("-".join), TAILS).map("".join)
    | SPOILT.map(spoil)
    | st.text("0123456789abcdef-, ", max_size=60)
)
@example(VALID)
@example(VALID + "-")
@example(VALID + "\n")
@example(f"01-{TRACE}-{PARENT}-01-{'x' * 456}")
@example(f"01-{TRACE}-{PARENT}-01-{'x' * 457}")
def test_a_parent_is_what_opentelemetry_says_it_is(text: str) -> None:
    """
    But for spaces around, which HTTP has taken away, commas, and flags that nobody knows.
    """
    if text != text.strip(" \t\n") or "," in text:
        assert ours(text) is None
        return
    expected = oracle(text)

    found = ours(text)
    assert (expected is None) == (found is None)
    if expected is not None and found is not None:
        assert (expected[0], expected[1], expected[2] & 3) == found[:3]


KEYS = st.text("ab1_-*/@", min_size=1, max_size=6) | st.sampled_from(["a" * 257, "b@" + "c" * 15])
VALUES = st.text(" !x=,~\t\x7f\u00e9", max_size=5) | st.integers(254, 258).map("v".__mul__)
STATES = st.lists(st.tuples(KEYS, VALUES).map("=".join) | st.just(" "), max_size=5)


@given(STATES.map(",".join))
@example(",".join(f"a{n}=1" for n in range(MAX_MEMBERS + 1)))
def test_a_state_is_what_opentelemetry_says_it_is(text: str) -> None:
    """
    But for one that is long: there everything has to be carried up to this length only.
    """
    found = ours(VALID, text)
    expected = oracle(VALID, text)

    assert found is not None
    assert expected is not None
    assert found[3] == (expected[3] if len(text) <= MAX_TRACESTATE else "")


@given(st.text(), st.text())
def test_nothing_is_raised_whatever_the_headers_hold(traceparent: str, tracestate: str) -> None:
    headers = {"traceparent": traceparent, "tracestate": tracestate}

    trace_context_of(headers)
    trace_state_of(headers)
