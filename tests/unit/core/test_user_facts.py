"""What a token says about its user, whichever version of the claims says it."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens import NOW, clerk
from wicketgate.core.user_facts import UserFacts, facts_of


def packed(fea: object = None, per: object = None, fpm: object = None) -> dict[str, object]:
    """Return version 2 claims with these packed permissions; `None` leaves one out."""
    organisation = {"id": "org_1", "slg": "acme", "rol": "admin", "per": per, "fpm": fpm}
    return {
        "v": 2,
        "o": {name: value for name, value in organisation.items() if value is not None},
        **({} if fea is None else {"fea": fea}),
    }


def granted(*names: str) -> frozenset[str]:
    return frozenset(f"org:{name}" for name in names)


@pytest.mark.parametrize(
    ("fea", "per", "fpm", "expected"),
    [
        (
            "o:dashboard,o:teams",
            "manage,read",
            "3,2",
            granted("dashboard:manage", "dashboard:read", "teams:read"),
        ),
        ("o:dashboard", "manage,read", "1", granted("dashboard:manage")),
        ("o:dashboard", "manage,read", "2", granted("dashboard:read")),
        ("o:dashboard", "manage,read", "0", granted()),
        ("o:dashboard", "manage,read", "03", granted("dashboard:manage", "dashboard:read")),
        ("ou:dash,uo:y", "a", "1,1", granted("dash:a", "y:a")),
        (
            "ou:memberships,u:impersonation",
            "manage,read",
            "3,0",
            granted("memberships:manage", "memberships:read"),
        ),
        ("o:a,u:b,u:c", "read", "1,1,1", granted("a:read")),
        ("u:b", "read", "1", granted()),
        (
            "o:a,uo:b,u:c",
            "p1,p2,p3,p4,p5",
            "7,21,0",
            granted("a:p1", "a:p2", "a:p3", "b:p1", "b:p3", "b:p5"),
        ),
        ("o:a", ",".join(f"p{n}" for n in range(64)), str(2**63), granted("a:p63")),
        ("o:a,o:a", "x,y", "1,2", granted("a:x", "a:y")),
        (None, None, None, granted()),
        ("o:a", None, None, granted()),
    ],
)
def test_packed_permissions_that_every_sdk_reads_alike(
    fea: str | None, per: str | None, fpm: str | None, expected: frozenset[str]
) -> None:
    assert expected == facts_of(packed(fea, per, fpm)).org_permissions


@pytest.mark.parametrize(
    ("fea", "per", "fpm"),
    [
        pytest.param("u:x,o:d", "a", "0,0", id="a user's feature first, no bits"),
        pytest.param("u:x,o:d", "a", "0,1", id="a user's feature first"),
        pytest.param("u:x,o:d", "a", "1,1", id="a user's feature first, all bits"),
        pytest.param("o:c,u:x,ou:d", "a", "1,0,1", id="a user's feature between"),
        pytest.param("o:d", "a,b", "-1", id="negative mask"),
        pytest.param("o:d", "a,b", "+1", id="mask with a sign"),
        pytest.param("o:d", "a,b", "1.0", id="mask with a point"),
        pytest.param("o:d", "a,b", "0x1", id="mask of another base"),
        pytest.param("o:d", "a,b", "1_0", id="mask with an underscore"),
        pytest.param("o:d", "a,b", "\u0661", id="mask of another script"),
        pytest.param("o:d", "a,b", "\u00b2", id="mask that is a superscript"),
        pytest.param("o:d", "a,b", "x", id="mask of letters"),
        pytest.param("o:d,o:e", "a,b", "1,", id="empty mask"),
        pytest.param("o:d", "a,b", "4", id="a bit without a name"),
        pytest.param("o:a,uo:b,u:c", "p1,p2,p3,p4", "7,21,0", id="21 needs five names"),
        pytest.param("o:d", "a", "1" * 21, id="mask too long"),
        pytest.param("foo:d", "a", "1", id="unknown scope"),
        pytest.param("O:d", "a", "1", id="scope in upper case"),
        pytest.param(":d", "a", "1", id="empty scope"),
        pytest.param("o:d,foo:d", "a", "1,0", id="unknown scope without bits"),
        pytest.param("bad", "a", "1", id="no scope"),
        pytest.param("o:", "a", "1", id="empty feature"),
        pytest.param("u:", "a", "1", id="empty feature of a user"),
        pytest.param("o:a:b", "a", "1", id="two colons"),
        pytest.param("o:d,", "a", "1,1", id="a comma too many"),
        pytest.param("o:d", "a,", "1", id="an empty name"),
        pytest.param("o:d", ",a", "1", id="an empty name first"),
        pytest.param("o:d,o:e", "a", "1", id="fewer masks than features"),
        pytest.param("o:d", "a", "1,1", id="fewer features than masks"),
        pytest.param("o:d, o:e", "a", "1,1", id="space before a feature"),
        pytest.param("o:d\n", "a", "1", id="line feed after a feature"),
        pytest.param("o:d", "a, b", "1", id="space before a name"),
        pytest.param("o:d", "a", " 1", id="space before a mask"),
        pytest.param("o:d", "a\u00a0", "1", id="space that is not ASCII"),
        pytest.param("", "a", "1", id="no feature"),
        pytest.param("o:d", "", "1", id="no name"),
        pytest.param("o:d", "a", "", id="no mask"),
        pytest.param(None, "a", "1", id="features left out"),
        pytest.param("o:d", None, "1", id="names left out"),
        pytest.param("o:d", "a", None, id="masks left out"),
        pytest.param(["o:d"], "a", "1", id="features in a list"),
        pytest.param("o:d", ["a"], "1", id="names in a list"),
        pytest.param("o:d", "a", 1, id="mask as a number"),
        pytest.param("o:d", "a", [1], id="masks in a list"),
    ],
)
def test_packed_permissions_that_some_sdk_reads_differently_are_not_read(
    fea: object, per: object, fpm: object
) -> None:
    found = facts_of(packed(fea, per, fpm))

    assert found.org_permissions is None
    assert (found.org_id, found.org_role) == ("org_1", "org:admin")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, UserFacts()),
        ({"v": 2}, UserFacts()),
        ({"v": 2, "o": None}, UserFacts()),
        ({"v": 2, "o": "org_1"}, UserFacts()),
        ({"v": 2, "o": {}}, UserFacts()),
        ({"v": 2, "o": {"id": 1, "slg": [], "rol": {}}}, UserFacts()),
        ({"v": 2, "o": {"id": "", "slg": "", "rol": ""}}, UserFacts()),
        ({"v": 2, "org_id": "org_1", "org_role": "org:admin"}, UserFacts()),
        ({"o": {"id": "org_1"}}, UserFacts()),
        ({"v": "2", "o": {"id": "org_1"}}, UserFacts()),
        ({"v": 1, "org_id": "org_1"}, UserFacts(org_id="org_1")),
        ({"v": 2, "o": {"id": "org_1"}}, UserFacts(org_id="org_1")),
        ({"v": 2, "o": {"rol": "admin"}}, UserFacts(org_role="org:admin")),
        ({"v": 2, "o": {"rol": "org:admin"}}, UserFacts(org_role="org:admin")),
        ({"org_role": "admin"}, UserFacts(org_role="org:admin")),
        ({"org_role": "org:admin"}, UserFacts(org_role="org:admin")),
        ({"org_id": "", "org_slug": 1, "org_role": None}, UserFacts()),
        ({"org_permissions": []}, UserFacts()),
        (
            {"org_permissions": ["org:a:b", "org:a:b"]},
            UserFacts(org_permissions=granted("a:b")),
        ),
        ({"org_permissions": None}, UserFacts(org_permissions=None)),
        ({"org_permissions": "org:a:b"}, UserFacts(org_permissions=None)),
        ({"org_permissions": ["org:a:b", 1]}, UserFacts(org_permissions=None)),
        ({"fva": [3, 7]}, UserFacts(first_factor_minutes=3, second_factor_minutes=7)),
        ({"fva": [0, -1]}, UserFacts(first_factor_minutes=0)),
        ({"fva": [-1, 0]}, UserFacts(second_factor_minutes=0)),
        ({"fva": [1.0, True]}, UserFacts()),
        ({"fva": ["1", None]}, UserFacts()),
        ({"fva": [3]}, UserFacts()),
        ({"fva": [3, 7, 9]}, UserFacts()),
        ({"fva": {"0": 3, "1": 7}}, UserFacts()),
        ({"fva": "37"}, UserFacts()),
        ({"act": {"sub": "user_9"}}, UserFacts(is_impersonated=True, actor_id="user_9")),
        ({"act": {"sub": 9}}, UserFacts(is_impersonated=True)),
        ({"act": {}}, UserFacts(is_impersonated=True)),
        ({"act": "user_9"}, UserFacts(is_impersonated=True)),
        ({"act": False}, UserFacts(is_impersonated=True)),
        ({"act": None}, UserFacts()),
        ({"sts": "pending"}, UserFacts(is_pending=True)),
        ({"sts": "active"}, UserFacts()),
        ({"sts": ["pending"]}, UserFacts()),
    ],
)
def test_the_facts_of_a_token(document: dict[str, object], expected: UserFacts) -> None:
    assert expected == facts_of(document)


def test_a_token_of_clerk_has_a_first_factor_and_no_organisation() -> None:
    assert UserFacts(first_factor_minutes=0) == facts_of(clerk().claims(now=NOW))


# Properties ---------------------------------------------------------------------------

NAMES = st.text("abcz-_", min_size=1, max_size=4)
FEATURES = st.tuples(st.sampled_from(["o", "ou", "uo", "u"]), NAMES, st.integers(0, 31))


@given(
    st.lists(FEATURES, max_size=4),
    st.lists(NAMES, min_size=1, max_size=5, unique=True),
    st.sampled_from(["admin", "org:admin"]),
    st.none() | st.just({"sub": "user_9"}),
    st.sampled_from(["active", "pending"]),
)
def test_both_versions_of_one_user_s_token_say_the_same(
    features: list[tuple[str, str, int]],
    names: list[str],
    role: str,
    actor: dict[str, str] | None,
    status: str,
) -> None:
    features = sorted(features, key=lambda feature: feature[0] == "u")
    features = [(scope, name, mask % 2 ** len(names)) for scope, name, mask in features]
    common = {"fva": [3, -1], "act": actor, "sts": status}
    version_2 = {
        **common,
        **packed(
            ",".join(f"{scope}:{name}" for scope, name, _ in features) or None,
            ",".join(names) if features else None,
            ",".join(str(mask) for _, _, mask in features) or None,
        ),
    }
    version_1 = {
        **common,
        "org_id": "org_1",
        "org_slug": "acme",
        "org_role": role,
        "org_permissions": [
            f"org:{feature}:{name}"
            for scope, feature, mask in features
            for place, name in enumerate(names)
            if scope != "u" and f"{mask:0{len(names)}b}"[::-1][place] == "1"
        ],
    }

    assert facts_of(version_1) == facts_of(version_2)


FEATURE_LIST = re.compile(r"(?:(?:o|ou|uo):[^:,\s]+(?:,(?!$)|$))*(?:u:[^:,\s]+(?:,(?!$)|$))*")
NAME_LIST = re.compile(r"[^,\s]+(?:,[^,\s]+)*")
MASK_LIST = re.compile(r"[0-9]+(?:,[0-9]+)*")


def slowly_decoded(fea: str, per: str, fpm: str) -> frozenset[str] | None:
    """Unpack by three grammars, and masks letter by letter."""
    fits = FEATURE_LIST.fullmatch(fea) and NAME_LIST.fullmatch(per) and MASK_LIST.fullmatch(fpm)
    if not fea or not fits or fea.count(",") != fpm.count(","):
        return None
    names = per.split(",")
    found: set[str] = set()
    for feature, mask in zip(fea.split(","), fpm.split(","), strict=True):
        scope, _, name = feature.partition(":")
        places = [at for at, bit in enumerate(f"{int(mask):b}"[::-1]) if bit == "1"]
        if scope != "u" and places and places[-1] >= len(names):
            return None
        if scope != "u":
            found.update(f"org:{name}:{names[at]}" for at in places)
    return frozenset(found)


LISTS = st.lists(
    st.sampled_from(["o:a", "ou:b", "uo:c", "o:a", "u:d", "x:e", "o", "o:", "o:a:b", "", " o:a"]),
    max_size=3,
).map(",".join)
GOOD = st.lists(st.sampled_from(["o:a", "ou:b", "uo:c", "u:d"]), min_size=1, max_size=3)
MASKS = st.lists(
    st.integers(0, 9).map(str) | st.sampled_from(["", "-1", "007", " 1", "x"]), max_size=3
).map(",".join)


@given(
    LISTS | GOOD.map(",".join),
    st.lists(st.sampled_from(["p", "q", "r", "s", "", "t u"]), max_size=4).map(",".join)
    | st.just("p,q,r,s"),
    MASKS | st.lists(st.integers(0, 15).map(str), max_size=3).map(",".join),
)
def test_an_independent_decoder_finds_the_same_permissions(fea: str, per: str, fpm: str) -> None:
    assert slowly_decoded(fea, per, fpm) == facts_of(packed(fea, per, fpm)).org_permissions


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "slg", "rol", "per", "fpm", "sub"]) | st.text(),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["o", "fea", "fva", "act", "sts", "org_id", "org_role", "org_permissions"]
        ),
        JSON,
    ),
    st.sampled_from([1, 2]) | JSON,
)
def test_any_payload_has_facts(document: dict[str, Any], version: object) -> None:
    """
    Nothing is raised, and what is found has the type that it is said to have.
    """
    found = facts_of({**document, "v": version})

    assert all(text != "" for text in (found.org_id, found.org_slug, found.org_role))
    assert found.org_role is None or found.org_role.startswith("org:")
    assert all(
        (age or 0) >= 0 for age in (found.first_factor_minutes, found.second_factor_minutes)
    )
    assert found.org_permissions is None or all(isinstance(p, str) for p in found.org_permissions)
    assert (document.get("act") is not None) == found.is_impersonated
