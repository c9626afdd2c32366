"""`wicketgate revoke` and `revocations`: what they take, and how they say what they did."""

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wicketgate.adapters.postgres_revocations import RevocationRow
from wicketgate.cli import main
from wicketgate.core.revocation_table import Kind
from wicketgate.tools.revocation_arguments import (
    complaint_about_id,
    parse_duration,
    parse_reason,
)
from wicketgate.tools.revocation_report import report_rows, revoked_line

MOMENT = datetime(2026, 11, 26, 12, 0, 0, 123_000, tzinfo=UTC)
LATER = datetime(2026, 11, 27, 12, 10, 0, tzinfo=UTC)


def row(**changes: Any) -> RevocationRow:  # noqa: ANN401 - any member
    members: dict[str, Any] = {
        "kind": Kind.USER,
        "id": "user_1",
        "revoked_at": MOMENT,
        "expires_at": LATER,
        "reason": "stolen laptop",
        "source": "operator",
        "lifted_at": None,
        "is_in_force": True,
    }
    return RevocationRow(**members | changes)


# -- ids


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Kind.USER, "user_2xLk9QmVb3TnR8sWfYh1JdZpAc0"),
        (Kind.USER, "user_" + "a" * 64),
        (Kind.SESSION, "sess_2xLmA1"),
    ],
)
def test_ids_of_clerk_are_taken(kind: Kind, text: str) -> None:
    assert complaint_about_id(kind, text) is None


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Kind.USER, "sess_2xLmA1"),
        (Kind.SESSION, "user_1"),
        (Kind.USER, ""),
        (Kind.USER, "user_"),
        (Kind.USER, "user_" + "a" * 65),
        (Kind.USER, "user_1\n"),
        (Kind.USER, " user_1"),
        (Kind.USER, "user_é"),
        (Kind.USER, "user_1'; DROP TABLE users; --"),
        (Kind.USER, "eyJhbGciOiJSUzI1NiJ9.hunter2"),
    ],
)
def test_other_ids_are_refused_and_not_quoted(kind: Kind, text: str) -> None:
    complaint = complaint_about_id(kind, text) or ""

    assert complaint.startswith(f"the ID is not of a {kind}; expected {kind.value[:4]}_ and")
    assert "hunter2" not in complaint


# -- durations and reasons


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("90s", 90), ("15m", 900), ("1h", 3_600), ("7d", 604_800), ("365d", 31_536_000)],
)
def test_durations_are_numbers_with_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "0s", "1", "h", "-1h", "1.5h", "1y", "1H", " 1h", "1h ", "366d", "99999999d", "٣h"],
)
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a time such as 90s, 15m, 1h or 7d, 365d at"):
        parse_duration(text)


@given(st.text())
def test_whatever_is_no_duration_is_a_value_error(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert 0 < seconds <= 31_536_000


@pytest.mark.parametrize("text", ["stolen laptop", " stolen laptop ", "é" * 200])
def test_a_reason_is_a_line(text: str) -> None:
    assert parse_reason(text) == text.strip()


@pytest.mark.parametrize("text", ["", " ", "a\nb", "a\x1b[31mb", "\udcff", "é" * 201, "a\x00"])
def test_another_reason_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a line of printable characters, 200 at most"):
        parse_reason(text)


# -- the command line


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("revoke", "user", "sess_1"), "the ID is not of a user; expected user_ and letters"),
        (("revoke", "session", "user_1"), "the ID is not of a session; expected sess_ and"),
        (("revoke", "users", "user_1"), "expected user or session before the ID"),
        (("revoke", "user", "user_1", "--for", "1y"), "argument --for: expected a time such as"),
        (("revoke", "user", "user_1", "--reason", ""), "argument --reason: expected a line of"),
        (("revoke", "user"), "the following arguments are required: ID"),
        (("revocations", "lift", "user", "x"), "the ID is not of a user; expected user_ and"),
        (("revocations",), "the following arguments are required: COMMAND"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_exits_2(
    arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    said = capsys.readouterr()
    assert (caught.value.code, said.out) == (2, "")
    last = said.err.splitlines()[-1]
    assert last.partition("error: ")[2].startswith(complaint)


# -- what is said


def test_a_revocation_of_a_user_says_how_far_it_goes() -> None:
    assert revoked_line(row()) == (
        "revoked: user_1; every token issued up to 2026-11-26T12:00:00.123Z is refused,"
        " until 2026-11-27T12:10:00.000Z"
    )


def test_a_revocation_of_a_session_is_of_all_its_tokens() -> None:
    assert revoked_line(row(kind=Kind.SESSION, id="sess_1")) == (
        "revoked: sess_1; all its tokens are refused, until 2026-11-27T12:10:00.000Z"
    )


def test_the_list_is_a_table_and_moves_no_cursor() -> None:
    out = io.StringIO()
    rows = [
        row(reason="by hand\x1b[2J"),
        row(id="user_2", lifted_at=MOMENT, is_in_force=False),
        row(id="user_3", is_in_force=False),
    ]

    report_rows(rows, out=out, as_json=False)

    head, *lines = out.getvalue().splitlines()
    assert head.split() == ["kind", "id", "revoked", "in", "force", "until", "by", "reason"]
    assert [line.split()[1:4] for line in lines] == [
        ["user_1", "2026-11-26T12:00:00.123Z", "2026-11-27T12:10:00.000Z"],
        ["user_2", "2026-11-26T12:00:00.123Z", "lifted"],
        ["user_3", "2026-11-26T12:00:00.123Z", "expired"],
    ]
    assert lines[0].endswith(r"by hand\x1b[2J")


def test_the_list_as_json_is_one_document() -> None:
    out = io.StringIO()

    report_rows([row()], out=out, as_json=True)

    assert json.loads(out.getvalue()) == {
        "revocations": [
            {
                "kind": "user",
                "id": "user_1",
                "revoked_at": "2026-11-26T12:00:00.123Z",
                "expires_at": "2026-11-27T12:10:00.000Z",
                "reason": "stolen laptop",
                "source": "operator",
                "lifted_at": None,
                "is_in_force": True,
            }
        ]
    }


@pytest.mark.parametrize(
    ("as_json", "expected"), [(False, "nothing is revoked\n"), (True, '{"revocations": []}\n')]
)
def test_an_empty_list_says_so(expected: str, *, as_json: bool) -> None:
    out = io.StringIO()

    report_rows([], out=out, as_json=as_json)

    assert out.getvalue() == expected
