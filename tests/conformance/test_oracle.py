"""Whatever we accept, Clerk's own SDK and PyJWT accept.

Only that direction: the oracles accept much that is refused here, and they
contradict each other. Both read the real clock, so these tokens are minted now.
"""

import time
from typing import Any, Final

import jwt
import pytest
from clerk_backend_api.security import verify_token
from clerk_backend_api.security.types import TokenVerificationError, VerifyTokenOptions
from hypothesis import example, given
from hypothesis import strategies as st

from conformance.mutations import IF_PRESENT, MUTATIONS, REQUIRED, Mint, Mutation
from tokens import ISSUER, ORIGIN, clerk, keys, rules, stranger_key
from wicketgate.core.claims import Claims, PartyCheck, TokenRules
from wicketgate.core.token import TokenVerifier
from wicketgate.local.clerk_instance import ABSENT, SESSION, USER, sign

AUDIENCES: Final = ["api", "web"]


def mint() -> Mint:
    # Rounded up: the oracles look at the clock later than we do.
    return Mint(clerk=clerk(), stranger=stranger_key(), now=int(time.time()) + 1)


def label(row: Mutation) -> str:
    return f"{row.number:02} {row.name}"


def we_accept(token: str, accepted: TokenRules, now: float) -> bool:
    return isinstance(TokenVerifier(accepted).verify(token, keys=keys(), now=now), Claims)


def clerk_accepts(token: str, accepted: TokenRules) -> bool:
    # The SDK knows no "if present": a list of parties means that azp is required.
    is_required = accepted.party_check is PartyCheck.REQUIRED
    options = VerifyTokenOptions(
        jwt_key=clerk().public_pem,
        authorized_parties=sorted(accepted.authorized_parties) if is_required else None,
        audience=sorted(accepted.audiences) or None,
    )
    try:
        verify_token(token, options)
    except TokenVerificationError:
        return False
    return True


def pyjwt_accepts(token: str, accepted: TokenRules) -> bool:
    try:
        jwt.decode(
            token,
            clerk().public_pem,
            algorithms=["RS256"],
            issuer=sorted(accepted.issuers),
            audience=sorted(accepted.audiences) or None,
            leeway=accepted.skew_seconds,
            options={
                "require": ["iss", "sub", "iat", "exp"],
                "verify_aud": bool(accepted.audiences),
                "verify_jti": False,  # row 92: an identifier that nobody here reads
            },
        )
    except jwt.InvalidTokenError:
        return False
    return True


@pytest.mark.parametrize("row", MUTATIONS, ids=label)
def test_no_row_is_accepted_that_an_oracle_refuses(row: Mutation) -> None:
    made = mint()
    token, accepted = row.token(made), rules(**row.settings)

    if we_accept(token, accepted, made.now):
        assert pyjwt_accepts(token, accepted)
        assert row.python_refuses or clerk_accepts(token, accepted)


@pytest.mark.parametrize("row", [row for row in MUTATIONS if row.python_refuses], ids=label)
def test_the_known_differences_are_still_there(row: Mutation) -> None:
    """
    When Clerk changes its mind, the exception goes.
    """
    made = mint()
    token, accepted = row.token(made), rules(**row.settings)

    assert we_accept(token, accepted, made.now)
    assert not clerk_accepts(token, accepted)


@pytest.mark.parametrize("number", [37, 38, 39, 49, 52, 57, 78, 80, 86])
def test_the_oracle_is_asked_in_earnest(number: int) -> None:
    """
    What it accepts and we refuse: an oracle that refused everything would agree always.
    """
    made = mint()
    row = next(row for row in MUTATIONS if row.number == number)
    token = row.token(made)

    assert clerk_accepts(token, rules())
    assert not we_accept(token, rules(), made.now)


# Far enough from every boundary that the oracles' later clock makes no difference.
SECONDS = st.sampled_from([-3600, -70, -60, -8, -2, 0, 2, 8, 60, 3600, 86_390])
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)
SPOILED: dict[str, st.SearchStrategy[Any]] = {
    "iss": st.sampled_from([ISSUER, f"{ISSUER}/", 5]) | JSON,
    "sub": st.sampled_from([USER, "user_x", "", 5]) | JSON,
    "sid": st.sampled_from([SESSION, "sess_x", ""]) | JSON,
    "azp": st.sampled_from([ORIGIN, "https://app.example.com", "", [ORIGIN]]) | JSON,
    "aud": st.sampled_from(["api", ["web"], ["api", 5], ["api", None], [], {"api": 1}]) | JSON,
    "sts": st.sampled_from(["active", "pending"]) | JSON,
    "act": st.sampled_from([{"sub": "user_admin"}, None]) | JSON,
    "v": st.sampled_from([1, 2, None]) | JSON,
    "fva": JSON,
    "o": JSON,
    "custom": JSON,
}
CHANGES = st.lists(st.sampled_from(sorted(SPOILED)), max_size=3, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: SPOILED[name] | st.just(ABSENT) for name in names})
)
TIMES = st.fixed_dictionaries({}, optional=dict.fromkeys(("iat", "nbf", "exp"), SECONDS | JSON))
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "typ": st.sampled_from(["JWT", "jwt", "at+jwt", None, ABSENT]),
        "cat": st.sampled_from(["cl_B7d4PD222AAA", "cl_I7d4PD111III", "x", ABSENT]),
        "kid": st.sampled_from(["ins_other", 5, ABSENT]),
        "alg": st.sampled_from(["none", "RS512", "rs256"]),
        "crit": JSON,
        "b64": JSON,
        "oiat": JSON,
    },
)
RULES = st.builds(
    rules,
    party_check=st.sampled_from(PartyCheck),
    authorized_parties=st.just(frozenset({ORIGIN})),
    audiences=st.sampled_from([frozenset(), frozenset(AUDIENCES)]),
    template_tokens=st.booleans(),
    pending_sessions=st.booleans(),
)


@given(changes=CHANGES, times=TIMES, header=HEADERS, accepted=RULES)
@example(
    changes={"aud": ["api", 5]},
    times={},
    header={},
    accepted=rules(audiences=frozenset(AUDIENCES)),
)
@example(changes={"azp": ABSENT}, times={}, header={}, accepted=rules(**IF_PRESENT))
@example(changes={"azp": ABSENT}, times={}, header={}, accepted=rules(**REQUIRED))
def test_no_variation_is_accepted_that_an_oracle_refuses(
    changes: dict[str, Any],
    times: dict[str, Any],
    header: dict[str, Any],
    accepted: TokenRules,
) -> None:
    made = mint()
    settled = {
        name: made.now + value if type(value) is int and abs(value) < 100_000 else value
        for name, value in times.items()
    }
    claims = made.claims(**{**changes, **settled})
    token = sign(made.header(**header), claims, clerk().key)

    if we_accept(token, accepted, made.now):
        assert pyjwt_accepts(token, accepted)
        # Row 33: to the SDK an audience that nobody asked for is the wrong one.
        is_row_33 = bool(claims.get("aud")) and not accepted.audiences
        assert is_row_33 or clerk_accepts(token, accepted)


VALID = st.fixed_dictionaries(
    {
        "sub": st.from_regex(r"user_[A-Za-z0-9]{1,64}", fullmatch=True),
        "sid": st.from_regex(r"sess_[A-Za-z0-9]{1,64}", fullmatch=True),
    },
    optional={
        "azp": st.sampled_from([ORIGIN, "https://app.example.com", ABSENT]),
        "jti": st.text() | st.just(ABSENT),
        "nbf": st.just(ABSENT),
        "v": st.sampled_from([2, ABSENT]),
        "sts": st.sampled_from(["active", ABSENT]),
        "act": st.just({"iss": "https://dashboard.clerk.com", "sub": "user_admin"}),
        "o": st.just({"id": "org_1", "slg": "acme", "rol": "admin", "per": "a", "fpm": "1"}),
        "fea": st.sampled_from(["o:dashboard", "u:x,o:dashboard"]),
        "org_id": st.just("org_1"),
        "custom": JSON,
    },
)


@given(claims=VALID)
def test_everything_of_the_valid_grammar_is_accepted_by_all(claims: dict[str, Any]) -> None:
    """
    The negative twin: strictness must not reach tokens that Clerk does mint.
    """
    made = mint()
    token = sign(made.header(), made.claims(**claims), clerk().key)

    assert we_accept(token, rules(), made.now)
    assert clerk_accepts(token, rules())
    assert pyjwt_accepts(token, rules())
