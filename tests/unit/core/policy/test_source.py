"""What YAML is read, what is refused, and where it is."""

from itertools import pairwise
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from wicketgate.core.policy.source import (
    KEY,
    MAX_REPEATED,
    MAX_VALUES,
    Place,
    Position,
    SourceError,
    parse_source,
    place_in,
    position_of,
    positions_in,
)


def refusal(text: str) -> tuple[str, str]:
    """Return where `text` is refused, and why; it has no positions either."""
    with pytest.raises(SourceError) as caught:
        parse_source(text)
    with pytest.raises(SourceError) as again:
        positions_in(text)
    assert str(caught.value) == str(again.value)
    return str(caught.value.position), str(caught.value)


# --- values ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", "a"),
        ("'a'", "a"),
        ('"a\\tb"', "a\tb"),
        ("|\n  a\n  b\n", "a\nb\n"),
        (">\n  a\n  b\n", "a b\n"),
        ("", None),
        ("# nothing", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("false", False),
        ("1", 1),
        ("-12", -12),
        ("1.0", 1.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("[]", []),
        ("{}", {}),
        ("[1, [a], {b: c}]", [1, ["a"], {"b": "c"}]),
        ("- a\n-\n- b", ["a", None, "b"]),
        ("a: {b: [c]}", {"a": {"b": ["c"]}}),
        ("1: a\ntrue: b\nnull: c", {"1": "a", "true": "b", "null": "c"}),
        ("---\na: b\n...\n", {"a": "b"}),
        ("%YAML 1.2\n---\na: b\n", {"a": "b"}),
        ("\ufeffa: b", {"a": "b"}),
        ("a: b\r\nc: d\r\n", {"a": "b", "c": "d"}),
        ("a: b # c", {"a": "b"}),
    ],
)
def test_yaml_is_read(text: str, expected: object) -> None:
    found = parse_source(text)

    assert expected == found
    assert type(expected) is type(found)


@pytest.mark.parametrize(
    "word", ["no", "off", "on", "yes", "y", "True", "NULL", "0x1F", "1_000", "1e3", ".inf", "1:30"]
)
def test_what_only_some_readers_take_for_something_else_is_text(word: str) -> None:
    assert word == parse_source(word)


@pytest.mark.parametrize("quotes", ["'", '"'])
@pytest.mark.parametrize("word", ["true", "null", "~", "", "1", "1.0", "<<"])
def test_quoted_text_is_text(word: str, quotes: str) -> None:
    assert word == parse_source(f"{quotes}{word}{quotes}")


@pytest.mark.parametrize("number", ["9" * 19, "1." + "0" * 19])
def test_a_number_too_long_to_mean_one_is_text(number: str) -> None:
    assert number == parse_source(number)


def test_an_alias_is_what_its_anchor_is() -> None:
    expected = {"a": {"b": 1}, "c": [{"b": 1}, {"b": 1}]}

    assert expected == parse_source("a: &x {b: 1}\nc: [*x, *x]\n")


def test_aliases_may_repeat_much() -> None:
    text = "a: &x [" + "1," * 999 + "]\nb: [" + "*x," * (MAX_REPEATED // 1000) + "]"

    assert len(parse_source(text)["b"]) == MAX_REPEATED // 1000


TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.text("abc 1.:-#'\"\n", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(TREES, st.booleans())
def test_what_another_writer_wrote_is_read(tree: object, is_flow: bool) -> None:  # noqa: FBT001 - drawn
    text = yaml.safe_dump(tree, default_flow_style=is_flow)

    assert tree == parse_source(text)


# --- refusals ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        ("a: [b", "1:6", "expected YAML: while parsing a flow sequence, did not find"),
        ("a: b: c", "1:5", "expected YAML: mapping values are not allowed in this context"),
        (
            "\ta: b",
            "1:1",
            "expected YAML: while scanning for the next token, found character that",
        ),
        ("a: b\n\tc: d", "2:1", "expected YAML: while scanning a plain scalar, found a tab"),
        ("a: 'b", "1:6", "expected YAML: while scanning a quoted scalar, found unexpected end"),
        ('a: "\\ud800"', "1:7", "expected YAML: while parsing a quoted scalar, found invalid"),
        ("%YAML 3.0\n---\na", "1:1", "expected YAML: found incompatible YAML document"),
        ("a: b\n---\na: b\n", "2:1", "expected one document, found a second"),
        ("a\n...\n---\nb", "3:1", "expected one document, found a second"),
        ("a\n...\nb", "3:1", "expected YAML: did not find expected <document start>"),
        ("a: b\nc: d\na: e", "3:1", "expected each key once; a is there twice"),
        ("a:\n  - b: 1\n    'b': 2", "3:5", "expected each key once; b is there twice"),
        ("{1: a, '1': b}", "1:8", "expected each key once; 1 is there twice"),
        ("a: !!str b", "1:4", "expected plain YAML, without tags"),
        ("a: !x [b]", "1:4", "expected plain YAML, without tags"),
        ("a: ! b", "1:4", "expected plain YAML, without tags"),
        ("!!map\na: b", "1:1", "expected plain YAML, without tags"),
        ("!!str a: b", "1:1", "expected a plain word as a key"),
        ("? [a]\n: b", "1:3", "expected a plain word as a key"),
        ("? {a: b}\n: c", "1:3", "expected a plain word as a key"),
        ("a: &x b\n*x : c", "2:1", "expected a plain word as a key"),
        (
            "a: b\n<<: {c: d}",
            "2:1",
            "expected a plain word as a key; merge keys (<<) are not read",
        ),
        ("a: *x", "1:4", "expected *x to stand for something that is complete before it"),
        ("a: *x\nb: &x c", "1:4", "expected *x to stand for something that is complete"),
        ("&x [*x]", "1:5", "expected *x to stand for something that is complete before it"),
        ("&x a: *x", "1:7", "expected *x to stand for something that is complete before it"),
        ("a: &x b\nc: &x d", "2:4", "expected each anchor once; &x is there twice"),
        ("a: &x b\nc: &x [*x]", "2:4", "expected each anchor once; &x is there twice"),
        ("[" * 40, "1:34", "expected at most 500000 values, 32 deep"),
        ("{a: " * 40, "1:133", "expected at most 500000 values, 32 deep"),
    ],
)
def test_what_readers_could_differ_about_is_refused(text: str, where: str, why: str) -> None:
    place, message = refusal(text)

    assert (where, why) == (place, message[: len(why)])


def test_a_quoted_merge_key_is_a_key() -> None:
    assert parse_source("'<<': a") == {"<<": "a"}


@pytest.mark.parametrize(
    ("text", "where", "code"),
    [
        ("\0", "1:1", "0000"),
        ("a: b\n# c\x07", "2:4", "0007"),
        ("a: b\r\nc\x1b[2J", "2:2", "001B"),
        ("a: b\rc\x7f", "2:2", "007F"),
        ("a: b # c\u0085- d", "1:9", "0085"),
        ("a: b # c\u2028- d", "1:9", "2028"),
        ("a: b # c\u2029- d", "1:9", "2029"),
        ("a: \ufeffb", "1:4", "FEFF"),
        ("\ufeff\ufeffa", "1:1", "FEFF"),
        ("a: \ud800", "1:4", "D800"),
        ("a: é\n\u200e\ufffe", "2:2", "FFFE"),
    ],
)
def test_what_no_editor_shows_is_refused(text: str, where: str, code: str) -> None:
    """
    Among it what ends a line for the parser and for no editor.
    """
    assert refusal(text) == (where, f"expected text without control characters, not U+{code}")


@pytest.mark.parametrize("text", ["é", "日本", "😀", "\u200e", "\u2027", "\ue000", "a\tb", "\xa0"])
def test_any_other_script_is_read(text: str) -> None:
    assert text == parse_source(text)


def test_an_alias_bomb_is_refused_when_it_has_only_begun() -> None:
    """
    Of 10^9 values no more than 10^5 are ever made.
    """
    levels = "abcdefghi"
    bomb = (
        "a: &a ["
        + "1," * 10
        + "]\n"
        + "".join(
            f"{name}: &{name} [" + f"*{before}," * 10 + "]\n" for before, name in pairwise(levels)
        )
    )

    where, why = refusal(bomb)

    assert (where.split(":")[0], why) == (
        "5",
        f"expected aliases to repeat at most {MAX_REPEATED} values",
    )


def test_more_values_than_anybody_needs_are_refused() -> None:
    with pytest.raises(SourceError) as caught:
        parse_source("[" + "1," * MAX_VALUES + "]")

    assert str(caught.value) == f"expected at most {MAX_VALUES} values, 32 deep"
    assert caught.value.position == Position(1, 2 * MAX_VALUES)


# --- positions ---------------------------------------------------------------

LISTING = """\
# a comment
rules:
  - name: é
    allow:
      user: {org_id: [a, b]}
  - &x
    name: |
      c
  - *x
"""


@pytest.mark.parametrize(
    ("place", "where"),
    [
        ((), "2:1"),
        (("rules", KEY), "2:1"),
        (("rules",), "3:3"),
        (("rules", 0), "3:5"),
        (("rules", 0, "name"), "3:11"),
        (("rules", 0, "allow", KEY), "4:5"),
        (("rules", 0, "allow", "user", "org_id", KEY), "5:14"),
        (("rules", 0, "allow", "user", "org_id", 1), "5:26"),
        (("rules", 1, "name"), "7:11"),
        (("rules", 2), "9:5"),
        # What is not there, and what an alias repeats, is where that is which holds it.
        (("rules", 2, "name"), "9:5"),
        (("rules", 0, "headers", "x-a"), "3:5"),
        (("rules", 7), "3:3"),
        (("tests", 0), "2:1"),
        # One item may stand for a list of it.
        (("rules", 0, "allow", 0, "user"), "5:13"),
        (("rules", 0, "allow", 0, "user", "org_id", 0), "5:23"),
        (("rules", 0, "name", 0), "3:11"),
        (("rules", 0, "name", 1), "3:11"),
    ],
)
def test_everything_has_a_position(place: Place, where: str) -> None:
    assert where == str(position_of(positions_in(LISTING), place))


@pytest.mark.parametrize("place", [(), ("rules",), (0,)])
def test_what_is_in_an_empty_text_is_at_its_beginning(place: Place) -> None:
    assert position_of(positions_in(""), place) == Position(1, 1)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (("rules", 0, "allow", 0, "user"), ("rules", 0, "allow", "user")),
        (("rules", 0, "allow", "user"), ("rules", 0, "allow", "user")),
        (("rules", 0, "match", "hosts", 0), ("rules", 0, "match", "hosts", 0)),
        (("rules", 0, "name", 0), ("rules", 0, "name")),
        (("rules", 0, "name", 1), ("rules", 0, "name", 1)),
        (("rules", 7, "name"), ("rules", 7, "name")),
    ],
)
def test_a_place_is_told_as_the_text_has_it(place: Place, expected: Place) -> None:
    assert expected == place_in(positions_in(LISTING), place)


def lines_of(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def check_inside(position: Position, text: str) -> None:
    lines = lines_of(text.removeprefix("\ufeff"))
    assert 1 <= position.line <= len(lines)
    assert 1 <= position.column <= len(lines[position.line - 1]) + 1


def places_of(value: Any, place: Place = ()) -> list[Place]:  # noqa: ANN401 - YAML holds anything
    """Return the place of everything in `value`."""
    if isinstance(value, dict):
        inner = [found for key, each in value.items() for found in places_of(each, (*place, key))]
    elif isinstance(value, list):
        inner = [found for i, each in enumerate(value) for found in places_of(each, (*place, i))]
    else:
        inner = []
    return [place, *inner]


PIECES = (
    *("a", "b:", ": ", "- ", "\n", "\n  ", "\n- ", "\r\n", "\r", "\t", " ", *",[]{}"),
    *("&x ", "*x", "<<", "!", "!!str ", "|", ">", "'", '"', "%", "#", "?", "---\n", "...\n"),
    *("\ufeff", "\u2028", "\0", "\\", "é", "1.0", "true"),
)
FRAGMENTS = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


@given(FRAGMENTS | st.text(max_size=40))
def test_any_text_is_read_or_refused_at_a_place_inside_it(text: str) -> None:
    try:
        value = parse_source(text)
    except SourceError as error:
        check_inside(error.position, text)
        return

    positions = positions_in(text)
    assert set(places_of(value)) >= {place for place in positions if KEY not in place} - {()}
    for position in positions.values():
        check_inside(position, text)
