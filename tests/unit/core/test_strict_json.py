"""JSON over which no two readers can disagree."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wicketgate.core.strict_json import NotStrictJsonError, parse_object


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"{}", {}),
        (b' {"a": 1 } \n', {"a": 1}),
        (b'{"a":{"a":[{"a":null}]}}', {"a": {"a": [{"a": None}]}}),
        ('{"é":"ü"}'.encode(), {"é": "ü"}),
        (b'{"__proto__":{"x":1}}', {"__proto__": {"x": 1}}),
        (b'{"a":1.5e3}', {"a": 1500.0}),
    ],
)
def test_an_object_is_read(raw: bytes, expected: object) -> None:
    assert expected == parse_object(raw)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="array"),
        pytest.param(b'"{}"', id="string"),
        pytest.param(b"1", id="number"),
        pytest.param(b"{", id="truncated"),
        pytest.param(b"{}x", id="trailing text"),
        pytest.param(b"{}{}", id="two objects"),
        pytest.param(b"{}\x00", id="trailing NUL"),
        pytest.param(b'{"a":1,}', id="trailing comma"),
        pytest.param(b"{'a':1}", id="single quotes"),
        pytest.param(b'{"a":1}//c', id="comment"),
        pytest.param(b'{"a":1,"a":1}', id="repeated member"),
        pytest.param(b'{"a":1,"\\u0061":2}', id="repeated member, escaped"),
        pytest.param(b'{"a":[{"b":1,"b":2}]}', id="repeated member, deep"),
        pytest.param(b'{"a":NaN}', id="NaN"),
        pytest.param(b'{"a":Infinity}', id="Infinity"),
        pytest.param(b'{"a":-Infinity}', id="-Infinity"),
        pytest.param(b'{"a":' + b"9" * 5000 + b"}", id="endless integer"),
        pytest.param(b'{"a":"\n"}', id="raw line feed in a string"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
        pytest.param('{"a":1}'.encode("utf-16"), id="UTF-16"),
        pytest.param('{"a":1}'.encode("utf-32-be"), id="UTF-32"),
        pytest.param(b'{"a":"\xff"}', id="not UTF-8"),
        pytest.param(b'{"a":"\xed\xa0\x80"}', id="surrogate in UTF-8"),
        pytest.param(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="deep"),
    ],
)
def test_anything_else_is_refused_without_quoting_it(raw: bytes) -> None:
    with pytest.raises(NotStrictJsonError) as refused:
        parse_object(raw)

    assert str(refused.value) in {"not strict JSON", "not an object"}
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@given(st.binary(max_size=64) | st.text(max_size=64).map(str.encode))
def test_any_bytes_are_an_object_or_refused(raw: bytes) -> None:
    """
    No other exception escapes; and what is read, the standard reader reads alike.
    """
    try:
        value = parse_object(raw)
    except NotStrictJsonError:
        return

    assert json.loads(raw) == value


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(TEXT, JSON, max_size=4))
def test_every_object_written_by_the_standard_writer_is_read_back(value: object) -> None:
    assert value == parse_object(json.dumps(value, ensure_ascii=False).encode("utf-8"))
