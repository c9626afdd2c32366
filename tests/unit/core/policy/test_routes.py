"""The words beside a route, and what each of them asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wicketgate.core.policy.routes import Admission, RoutePolicy, Targets, exposure_of, route_rule
from wicketgate.core.policy.rule import ANY_SERVICE, ANY_USER, Exposure, Match, Refusal, Rule
from wicketgate.core.reason import Reason
from wicketgate.core.request import HttpRequest, is_ambiguous


def match(*, target: str = "/", **context: str) -> Match | Refusal:
    return RoutePolicy().match(HttpRequest(target=target, context=context))


def misconfigured(detail: str) -> Refusal:
    return Refusal(Reason.ROUTE_MISCONFIGURED, detail=detail)


def test_a_route_that_says_nothing_asks_for_a_user_on_a_public_route() -> None:
    assert Match(Rule(name="public:user", users=(ANY_USER,)), Exposure.PUBLIC) == match()


@pytest.mark.parametrize("exposure", Exposure)
@pytest.mark.parametrize("admission", Admission)
@pytest.mark.parametrize("targets", Targets)
def test_every_word_is_understood(
    admission: Admission, exposure: Exposure, targets: Targets
) -> None:
    rule = route_rule(admission, exposure)

    assert f"{exposure}:{admission}" == rule.name
    assert Match(rule, exposure) == match(policy=admission, exposure=exposure, targets=targets)


@pytest.mark.parametrize(
    ("admission", "anonymous", "users", "services"),
    [
        ("user", False, True, False),
        ("optional", True, True, False),
        ("anonymous", True, False, False),
        ("service", False, False, True),
        ("user-or-service", False, True, True),
    ],
)
@pytest.mark.parametrize("exposure", Exposure)
def test_whom_each_word_admits(
    admission: str, exposure: Exposure, *, anonymous: bool, users: bool, services: bool
) -> None:
    expected = Rule(
        name=f"{exposure}:{admission}",
        anonymous=anonymous,
        users=(ANY_USER,) if users else (),
        services=(ANY_SERVICE,) if services else (),
    )

    assert expected == route_rule(Admission(admission), exposure)


@pytest.mark.parametrize("admission", Admission)
def test_only_a_route_for_anyone_ignores_credentials_and_none_admits_nobody(
    admission: Admission,
) -> None:
    rule = route_rule(admission, Exposure.PUBLIC)

    assert (admission == "anonymous") == rule.ignores_credentials
    assert not rule.admits_nobody


@pytest.mark.parametrize("word", ["", "User", "user ", "users", "none", "\udcff"])
@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("policy", "user, optional, anonymous, service, user-or-service"),
        ("exposure", "public, internal"),
        ("targets", "strict, any"),
    ],
)
def test_a_word_that_is_not_understood_says_which_and_what_was_expected(
    key: str, expected: str, word: str
) -> None:
    detail = f"context_extensions.{key} is {word!r}; expected one of {expected}"

    assert misconfigured(detail) == match(**{key: word})


def test_a_long_word_is_quoted_in_part() -> None:
    found = match(policy="x" * 1000)

    assert isinstance(found, Refusal)
    assert "x" * 40 in found.detail
    assert "x" * 41 not in found.detail


@pytest.mark.parametrize("key", ["polcy", "Policy", "policy ", "team", ""])
def test_a_key_that_is_not_understood_lets_nobody_in(key: str) -> None:
    """
    Envoy lays a route's words over its host's: a misspelt one leaves the host's in force.
    """
    detail = f"context_extensions has {key!r}; expected exposure, policy, targets"

    assert misconfigured(detail) == match(**{"policy": "optional", key: "user"})


def test_a_long_key_is_quoted_in_part() -> None:
    found = match(**{"x" * 1000: "user"})

    assert isinstance(found, Refusal)
    assert "x" * 40 in found.detail
    assert "x" * 41 not in found.detail


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({}, Exposure.PUBLIC),
        ({"exposure": "public"}, Exposure.PUBLIC),
        ({"exposure": "internal"}, Exposure.INTERNAL),
        ({"exposure": "internal", "team": "billing"}, Exposure.INTERNAL),
    ],
)
def test_who_can_reach_a_route_is_public_until_the_route_says_otherwise(
    context: dict[str, str], expected: Exposure
) -> None:
    assert expected is exposure_of(context)


@pytest.mark.parametrize("admission", Admission)
@pytest.mark.parametrize("exposure", Exposure)
@pytest.mark.parametrize("target", ["//a", "/a/../b", "/%61", "*", ""])
def test_an_ambiguous_target_is_refused_in_the_name_of_the_route_s_rule(
    admission: Admission, exposure: Exposure, target: str
) -> None:
    refused = Refusal(Reason.AMBIGUOUS_PATH, route_rule(admission, exposure))

    assert refused == match(target=target, policy=admission, exposure=exposure)
    assert refused == match(
        target=target, policy=admission, exposure=exposure, targets=Targets.STRICT
    )


@pytest.mark.parametrize("target", ["//a", "/a/../b", "/%61", "*", "", "/a?x=//"])
def test_a_route_for_any_target_judges_it_as_it_is(target: str) -> None:
    assert match() == match(target=target, targets=Targets.ANY)


def test_the_query_is_not_part_of_the_target_that_is_judged() -> None:
    assert match() == match(target="/a?x=../..//")


@given(
    st.dictionaries(
        st.sampled_from(["policy", "exposure", "targets", "x"]),
        st.text() | st.sampled_from([*Admission, *Exposure, *Targets]),
    ),
    st.text(st.characters()) | st.text("/.a%2e").map("/{}".format),
)
def test_names_of_rules_are_bounded(context: dict[str, str], target: str) -> None:
    """
    A rule's name is a metric label: no context makes a new one. And nothing is raised.
    """
    asked = HttpRequest(target=target, context=context)
    found = RoutePolicy().match(asked)

    if found.rule is not None:
        assert found.rule.name in {f"{e}:{a}" for e in Exposure for a in Admission}
    if isinstance(found, Match):
        assert context.get("targets") == "any" or not is_ambiguous(asked.path)
