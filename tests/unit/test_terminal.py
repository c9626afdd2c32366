"""What tools print for a person."""

import io

import pytest

from wicketgate.tools.terminal import Style, table, visible

PLAIN = Style()
COLOURED = Style(is_coloured=True)


class Terminal(io.StringIO):
    """A stream that somebody looks at."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "is_coloured"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colour_is_for_terminals_whose_owner_does_not_mind(
    stream: io.StringIO, environ: dict[str, str], *, is_coloured: bool
) -> None:
    assert Style.for_stream(stream, environ) == Style(is_coloured)


def test_each_kind_of_words_has_its_colour() -> None:
    style = COLOURED
    painted = [paint("x") for paint in (style.good, style.bad, style.warn, style.dim, style.bold)]

    assert len(set(painted)) == len(painted)
    assert all(each.endswith("x\x1b[0m") for each in painted)


def test_without_colours_and_without_words_nothing_is_painted() -> None:
    assert PLAIN.good("x") == "x"
    assert not COLOURED.good("")


@pytest.mark.parametrize("style", [PLAIN, COLOURED])
def test_columns_are_as_wide_as_they_look(style: Style) -> None:
    text = table([("a", style.good("long"), ""), ("bb", "c", "d")], ("X", "Y", "Z"), style)

    assert [visible_only(line) for line in text.split("\n")] == [
        "X   Y     Z",
        "a   long",
        "bb  c     d",
    ]


def visible_only(line: str) -> str:
    for code in (1, 32, 0):
        line = line.replace(f"\x1b[{code}m", "")
    return line


def test_a_table_without_rows_is_its_head() -> None:
    assert table([], ("X", "Y"), PLAIN) == "X  Y"


def test_every_row_has_a_cell_for_every_head() -> None:
    with pytest.raises(ValueError, match="shorter"):
        table([("a",)], ("X", "Y"), PLAIN)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("caf\u00e9", "caf\u00e9"),
        ("a\nb", "a\\nb"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\x1b[8mb", "a\\x1b[8mb"),
        ("a\u202eb", "a\\u202eb"),
        ("a\x1b[32mb\x1b[0m", "a\x1b[32mb\x1b[0m"),
    ],
)
def test_what_would_move_the_cursor_or_hide_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_cells_do_not_write_to_the_terminal() -> None:
    assert table([("\x1b[2J",)], ("X",), PLAIN) == "X\n\\x1b[2J"
