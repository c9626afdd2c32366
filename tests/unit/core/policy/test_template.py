"""Path templates: what they fit, and what they have in common."""

from itertools import product

import pytest
import re2
from hypothesis import example, given
from hypothesis import strategies as st

from wicketgate.core.policy.template import PathTemplate


@pytest.mark.parametrize(
    ("text", "segments", "names", "is_open"),
    [
        ("/", (), (), False),
        ("/**", (), (), True),
        ("/a", ("a",), (), False),
        ("/a/", ("a",), (), False),
        ("/a/**", ("a",), (), True),
        ("/*", (None,), (), False),
        ("/*/**", (None,), (), True),
        ("/orgs/{org_id}", ("orgs", None), (("org_id", 1),), False),
        ("/{a}/{b}/**", (None, None), (("a", 0), ("b", 1)), True),
        ("/{_A9}", (None,), (("_A9", 0),), False),
        ("/{" + "a" * 64 + "}", (None,), (("a" * 64, 0),), False),
        ("/a.b/c-d_e~f", ("a.b", "c-d_e~f"), (), False),
        ("/...", ("...",), (), False),
        ("/a%20b/caf%C3%A9", ("a%20b", "caf%C3%A9"), (), False),
        ("/A/a", ("A", "a"), (), False),
        ("/$(x)+[y]|^", ("$(x)+[y]|^",), (), False),
    ],
)
def test_templates_that_are_understood(
    text: str,
    segments: tuple[str | None, ...],
    names: tuple[tuple[str, int], ...],
    *,
    is_open: bool,
) -> None:
    assert PathTemplate(text, segments, names, is_open) == PathTemplate.parse(text)


ROOTED = "expected a path that begins with /"
LAST = r"expected \*\* only as the last segment"
WHOLE = r"expected a whole segment \*, {name} or plain text instead of "
NAMED = "expected a whole segment such as {org_id} instead of "
PLAIN = "expected a segment that means one thing to every reader instead of "


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", ROOTED),
        ("a", ROOTED),
        ("*", ROOTED),
        ("**", ROOTED),
        ("https://example.com/a", ROOTED),
        ("/**/a", LAST),
        ("/**/", LAST),
        ("/**/**", LAST),
        ("/a**", LAST),
        ("/***", LAST),
        ("/a*", WHOLE + r"'a\*'"),
        ("/*.json", WHOLE),
        ("/a}", WHOLE),
        ("/a{b}", WHOLE),
        ("/{a}.json", NAMED + "'{a}.json'"),
        ("/{a", NAMED),
        ("/{}", NAMED),
        ("/{1a}", NAMED),
        ("/{a-b}", NAMED),
        ("/{a=**}", NAMED),
        ("/{" + "a" * 65 + "}", NAMED),
        ("/{\u00e9}", NAMED),
        ("/{a}/{a}", "expected each name once; {a} is there twice"),
        ("/{a}/b/{a}/**", "expected each name once; {a} is there twice"),
        ("//", PLAIN + "''"),
        ("//a", PLAIN),
        ("/a//b", PLAIN),
        ("/a//", PLAIN),
        ("/./a", PLAIN),
        ("/a/..", PLAIN + r"'\.\.'"),
        ("/a;b", PLAIN),
        ("/a\\b", PLAIN),
        ("/a?b", PLAIN),
        ("/a#b", PLAIN),
        ("/a b", PLAIN),
        ("/a\n", PLAIN),
        ("/\n/a", PLAIN),
        ("/caf\u00e9", PLAIN),
        ("/a%2fb", PLAIN),
        ("/%61", PLAIN),
        ("/%zz", PLAIN),
        ("/\udcff", PLAIN),
    ],
)
def test_templates_that_are_refused_say_what_was_expected(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=f"^{complaint}"):
        PathTemplate.parse(text)


@pytest.mark.parametrize(
    ("template", "path", "parameters"),
    [
        ("/", "/", {}),
        ("/", "//", None),
        ("/", "", None),
        ("/", "/a", None),
        ("/**", "/", {}),
        ("/**", "/a", {}),
        ("/**", "/a/b/", {}),
        ("/**", "//", {}),
        ("/**", "", None),
        ("/**", "*", None),
        ("/**", "a", None),
        ("/a", "/a", {}),
        ("/a", "/a/", {}),
        ("/a", "/a//", None),
        ("/a", "//a", None),
        ("/a", "/A", None),
        ("/a", "/ab", None),
        ("/a", "/a/b", None),
        ("/a", "/", None),
        ("/a", "a", None),
        ("/a", "/%61", None),
        ("/a/", "/a", {}),
        ("/a/", "/a/", {}),
        ("/a/**", "/a", {}),
        ("/a/**", "/a/", {}),
        ("/a/**", "/a/b", {}),
        ("/a/**", "/a/b//c/", {}),
        ("/a/**", "/ab", None),
        ("/a/**", "/", None),
        ("/*", "/a", {}),
        ("/*", "/a/", {}),
        ("/*", "/", None),
        ("/*", "//", None),
        ("/*", "/a/b", None),
        ("/*/**", "/", None),
        ("/*/**", "//a", None),
        ("/*/**", "/a", {}),
        ("/a/*/c", "/a/b/c", {}),
        ("/a/*/c", "/a//c", None),
        ("/a.b", "/a.b", {}),
        ("/a.b", "/axb", None),
        ("/a+", "/aa", None),
        ("/a%20b", "/a%20b", {}),
        ("/a%20b", "/a b", None),
        ("/orgs/{org_id}", "/orgs/org_1", {"org_id": "org_1"}),
        ("/orgs/{org_id}", "/orgs/org_1/", {"org_id": "org_1"}),
        ("/orgs/{org_id}", "/orgs/", None),
        ("/orgs/{org_id}", "/orgs/a%2fb", {"org_id": "a%2Fb"}),
        ("/{name}", "/mina%40example.com", {"name": "mina@example.com"}),
        ("/@admin/**", "/%40admin/x", {}),
        ("/%40admin", "/@admin", {}),
        ("/x:delete", "/x%3adelete", {}),
        ("/caf%C3%A9", "/caf%c3%a9", {}),
        ("/100%25", "/100%25", {}),
        ("/admin", "/%61dmin", None),
        ("/a", "/%41", None),
        ("/{a}/x/{b}/**", "/1/x/2/3/4", {"a": "1", "b": "2"}),
        ("/{a}/x/{b}/**", "/1/x", None),
        ("/{a}", "/{a}", {"a": "{a}"}),
    ],
)
def test_which_paths_fit_and_what_their_segments_are(
    template: str, path: str, parameters: dict[str, str] | None
) -> None:
    parsed = PathTemplate.parse(template)

    assert (parameters is not None) == parsed.matches(path)
    assert (parameters is not None) == (re2.fullmatch(parsed.expression, path) is not None)
    if parameters is not None:
        assert parameters == parsed.parameters(path)


@pytest.mark.parametrize(
    ("template", "other", "covers"),
    [
        ("/a", "/a", True),
        ("/a", "/a/", True),
        ("/a", "/b", False),
        ("/a", "/*", False),
        ("/a", "/a/**", False),
        ("/*", "/a", True),
        ("/*", "/{x}", True),
        ("/{x}", "/*", True),
        ("/*", "/", False),
        ("/*", "/a/b", False),
        ("/**", "/", True),
        ("/**", "/**", True),
        ("/**", "/a/{x}/**", True),
        ("/a/**", "/a", True),
        ("/a/**", "/**", False),
        ("/a/**", "/", False),
        ("/a/*/**", "/a/**", False),
        ("/a/**", "/*/b", False),
    ],
)
def test_which_template_covers_which(template: str, other: str, *, covers: bool) -> None:
    assert covers == PathTemplate.parse(template).covers(PathTemplate.parse(other))


@pytest.mark.parametrize(
    ("template", "other", "meets"),
    [
        ("/a", "/a/", True),
        ("/a", "/b", False),
        ("/a", "/*", True),
        ("/a", "/", False),
        ("/a/*", "/*/b", True),
        ("/a/*", "/b/*", False),
        ("/a/**", "/*/b", True),
        ("/a/**", "/a", True),
        ("/a/**", "/", False),
        ("/a/b/**", "/a", False),
        ("/a/b/**", "/a/**", True),
        ("/**", "/", True),
        ("/a/b", "/a/**", True),
    ],
)
def test_which_templates_meet(template: str, other: str, *, meets: bool) -> None:
    one, two = PathTemplate.parse(template), PathTemplate.parse(other)

    assert meets == one.meets(two)
    assert meets == two.meets(one)


@st.composite
def templates(draw: st.DrawFn) -> PathTemplate:
    """Draw a template of at most three segments from a small alphabet."""
    segments = draw(st.lists(st.sampled_from(["a", "b", "*", "{}"]), max_size=3))
    numbered = [each.replace("{}", f"{{x{place}}}") for place, each in enumerate(segments)]
    end = draw(st.sampled_from([[], [""], ["**"]]))
    return PathTemplate.parse(
        "/" + "/".join([*numbered, *(end if numbered or end == ["**"] else [])])
    )


# A segment that no template has stands for all the others, and one more than any has for the rest.
PATHS = [
    "/" + "/".join(segments) + slash
    for count in range(5)
    for segments in product("abz", repeat=count)
    for slash in (["", "/"] if count else [""])
]


@given(templates(), templates())
def test_a_template_covers_another_exactly_when_it_fits_all_that_the_other_fits(
    template: PathTemplate, other: PathTemplate
) -> None:
    expected = all(template.matches(path) for path in PATHS if other.matches(path))

    assert expected == template.covers(other)


@given(templates(), templates())
def test_templates_meet_exactly_when_some_path_fits_both(
    template: PathTemplate, other: PathTemplate
) -> None:
    expected = any(template.matches(path) and other.matches(path) for path in PATHS)

    assert expected == template.meets(other)


LINES = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=8)


@given(templates(), LINES | LINES.map("/{}".format) | st.text("/ab", max_size=8))
@example(PathTemplate.parse("/**"), "//")
@example(PathTemplate.parse("/a"), "/a//")
def test_the_expression_fits_what_the_template_fits(template: PathTemplate, path: str) -> None:
    assert template.matches(path) == (re2.fullmatch(template.expression, path) is not None)


@given(st.text("!\"$%&'()*+,-.:=@[]^_`|~<>aZ09", min_size=1, max_size=6))
def test_a_literal_segment_fits_itself_and_no_other(segment: str) -> None:
    """
    Whatever RE2 makes of its characters.
    """
    try:
        template = PathTemplate.parse(f"/{segment}")
    except ValueError:
        return
    expected = [*template.segments] != [None] and not template.is_open

    assert re2.fullmatch(template.expression, f"/{segment}")
    assert expected == (re2.fullmatch(template.expression, f"/{segment}x") is None)
    assert expected == (re2.fullmatch(template.expression, "/zz") is None)


@given(st.text(st.characters(), max_size=20) | st.text("/a*{}.%", max_size=12).map("/{}".format))
def test_any_text_is_a_template_or_refused(text: str) -> None:
    """
    Nothing but ValueError is raised, and what was read fits a path made from it.
    """
    try:
        template = PathTemplate.parse(text)
    except ValueError:
        return
    path = "/" + "/".join(segment or "any" for segment in template.segments)

    assert template.matches(path)
    assert dict.fromkeys((name for name, _ in template.names), "any") == template.parameters(path)
