"""The words beside a route, and what each of them asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens import bounded
from wicketgate.core.policy import (
    Admission,
    Exposure,
    Misconfigured,
    RoutePolicy,
    Rule,
    Targets,
)
from wicketgate.core.request import HttpRequest


def match(**context: str) -> Rule | Misconfigured:
    return RoutePolicy().match(HttpRequest(context=context))


def test_a_route_that_says_nothing_asks_for_a_user_on_a_public_route() -> None:
    assert Rule("public:user", Admission.USER, Exposure.PUBLIC, Targets.STRICT) == match()


@pytest.mark.parametrize("exposure", Exposure)
@pytest.mark.parametrize("admission", Admission)
@pytest.mark.parametrize("targets", Targets)
def test_every_word_is_understood(
    admission: Admission, exposure: Exposure, targets: Targets
) -> None:
    expected = Rule(f"{exposure}:{admission}", admission, exposure, targets)

    assert expected == match(policy=admission, exposure=exposure, targets=targets)


@pytest.mark.parametrize(
    ("admission", "users", "services"),
    [
        ("user", True, False),
        ("optional", True, False),
        ("anonymous", True, False),
        ("service", False, True),
        ("user-or-service", True, True),
    ],
)
def test_whom_each_word_admits(admission: str, *, users: bool, services: bool) -> None:
    assert (users, services) == (
        Admission(admission).admits_users,
        Admission(admission).admits_services,
    )


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
    found = match(**{key: word})

    assert isinstance(found, Misconfigured)
    assert f"context_extensions.{key} is {word!r}; expected one of {expected}" == found.detail


def test_a_long_word_is_quoted_in_part() -> None:
    found = match(policy="x" * 1000)

    assert isinstance(found, Misconfigured)
    assert "x" * 40 in found.detail
    assert "x" * 41 not in found.detail


@pytest.mark.parametrize("key", ["polcy", "Policy", "policy ", "team", ""])
def test_a_key_that_is_not_understood_lets_nobody_in(key: str) -> None:
    """
    Envoy lays a route's words over its host's: a misspelt one leaves the host's in force.
    """
    found = match(**{"policy": "optional", key: "user"})

    assert isinstance(found, Misconfigured)
    assert found.detail == (f"context_extensions has {key!r}; expected exposure, policy, targets")


@bounded
@given(st.dictionaries(st.sampled_from(["policy", "exposure", "targets", "x"]), st.text()))
def test_names_of_rules_are_bounded(context: dict[str, str]) -> None:
    """
    A rule's name is a metric label: no context makes a new one.
    """
    found = match(**context)

    if isinstance(found, Rule):
        assert found.name in {f"{e}:{a}" for e in Exposure for a in Admission}
