"""Every row of the mutation table, minted for real and judged by `decide`."""

from functools import cache

import pytest

from conformance.mutations import MUTATIONS, Mint, Mutation
from tokens import NOW, clerk, decision_on, judge, keys, refusal, request, rules, stranger_key
from wicketgate.core.claims import Claims
from wicketgate.core.reason import Reason
from wicketgate.core.token import MissingKey, TokenVerifier

# The rows that the reference table lists, from 01 to 98.
LISTED = {
    *(*range(1, 10), 12, 13, 14, 16, 17, 19, 20, 21, 22, *range(24, 41), *range(42, 71)),
    *(78, 79, 80, 82, *range(85, 95), 97, 98),
}


@cache
def mint() -> Mint:
    return Mint(clerk=clerk(), stranger=stranger_key(), now=int(NOW))


def label(row: Mutation) -> str:
    return f"{row.number:02} {row.name}"


each_row = pytest.mark.parametrize("row", MUTATIONS, ids=label)


@each_row
def test_the_verifier_gives_the_row_s_verdict(row: Mutation) -> None:
    verifier = TokenVerifier(rules(**row.settings))
    outcome = verifier.verify(row.token(mint()), keys=keys(), now=NOW)

    if isinstance(outcome, MissingKey):
        assert row.expected is outcome.if_current
    elif isinstance(outcome, Claims):
        assert row.expected is None
    else:
        assert row.expected is outcome


@each_row
def test_decide_gives_the_row_s_verdict(row: Mutation) -> None:
    asked = request(row.token(mint()))
    # What no header carries is already no bearer token.
    expected = Reason.AUTHORIZATION_MALFORMED if row.number == 70 else row.expected

    assert expected == refusal(decision_on(asked, by=judge(rules(**row.settings))))


@each_row
def test_a_remembered_verdict_is_the_same_verdict(row: Mutation) -> None:
    verifier = TokenVerifier(rules(**row.settings))
    token = row.token(mint())

    assert verifier.verify(token, keys=keys(), now=NOW) == verifier.verify(
        token, keys=keys(), now=NOW
    )


def test_every_listed_row_is_here_and_no_other() -> None:
    assert {row.number for row in MUTATIONS} == LISTED


def test_no_row_stands_here_twice() -> None:
    assert len(MUTATIONS) == len({label(row) for row in MUTATIONS})


@pytest.mark.parametrize("number", [16, 27, 28, 33, 35, 36, 39, 59, 98])
def test_a_row_that_depends_on_a_setting_stands_here_for_both(number: int) -> None:
    settings = [row.settings for row in MUTATIONS if row.number == number]

    assert len(settings) == 2
    assert settings[0] != settings[1]


@pytest.mark.parametrize("row", [row for row in MUTATIONS if row.number not in {1, 35}], ids=label)
def test_every_row_but_the_valid_one_is_spoiled(row: Mutation) -> None:
    """
    A mutation that mutates nothing would prove nothing.
    """
    assert row.token(mint()) != MUTATIONS[0].token(mint())


@pytest.mark.parametrize("row", [row for row in MUTATIONS if row.fits_a_header], ids=label)
def test_what_is_said_to_fit_a_header_does(row: Mutation) -> None:
    token = row.token(mint())

    assert token.isascii()
    assert token.isprintable()
    assert len(token) < 8192
