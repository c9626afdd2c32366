"""From a bearer token to verified claims, and what may be remembered on the way."""

from dataclasses import replace

import pytest

from tokens import NOW, clerk, keys, rules, stranger_key, token, valid_token
from wicketgate.core.claims import SKEW_SECONDS, Claims
from wicketgate.core.keys import KeySet
from wicketgate.core.reason import Reason
from wicketgate.core.token import CACHE_LIMIT, MissingKey, TokenVerifier
from wicketgate.local.clerk_instance import USER, ClerkInstance

EXPIRED_AT = NOW + 60 + SKEW_SECONDS


def verifier(**options: int) -> TokenVerifier:
    return TokenVerifier(rules(), **options)


def renewed(*, kid: str | None = None) -> ClerkInstance:
    """Return the instance after a rotation: another key, and perhaps another ``kid``."""
    return ClerkInstance(host=clerk().host, instance_id=kid or clerk().kid, key=stranger_key())


def test_a_valid_token_yields_its_claims() -> None:
    claims = verifier().verify(valid_token(), keys=keys(), now=NOW)

    assert isinstance(claims, Claims)
    assert claims.user_id == USER


def test_a_token_of_an_unknown_key_asks_for_it() -> None:
    foreign = token(header={"kid": "ins_other"})

    assert MissingKey(
        "ins_other", if_current=Reason.KEY_UNKNOWN, if_stale=Reason.KEYS_UNAVAILABLE
    ) == verifier().verify(foreign, keys=keys(), now=NOW)


def test_without_any_key_nobody_is_blamed() -> None:
    assert MissingKey(
        clerk().kid, if_current=Reason.KEYS_UNAVAILABLE, if_stale=Reason.KEYS_UNAVAILABLE
    ) == verifier().verify(valid_token(), keys=KeySet(), now=NOW)


def test_a_signature_of_another_key_asks_whether_the_key_has_changed() -> None:
    """
    Clerk's ``kid`` is the instance id: a rotation may keep it.
    """
    rotated = renewed().mint(now=NOW)
    asked = verifier().verify(rotated, keys=keys(), now=NOW)

    assert (
        MissingKey(
            clerk().kid, if_current=Reason.SIGNATURE_INVALID, if_stale=Reason.SIGNATURE_INVALID
        )
        == asked
    )
    assert isinstance(
        verifier().verify(rotated, keys=KeySet.from_jwks(renewed().jwks()), now=NOW), Claims
    )


def test_while_a_key_is_rotated_under_one_kid_both_verify() -> None:
    both = KeySet((*keys().keys, *KeySet.from_jwks(renewed().jwks()).keys))
    accepting = verifier()

    for text in (valid_token(), renewed().mint(now=NOW)):
        assert isinstance(accepting.verify(text, keys=both, now=NOW), Claims)


def test_claims_are_not_judged_before_the_signature() -> None:
    """
    A forger learns nothing about the rules.
    """
    hopeless = clerk().mint(now=NOW - 9999, claims={"iss": "x", "sub": ""}, key=stranger_key())

    assert isinstance(verifier().verify(hopeless, keys=keys(), now=NOW), MissingKey)


@pytest.mark.parametrize("kid", ["ins_anything", "x"])
def test_a_pem_answers_to_every_kid_and_still_verifies(kid: str) -> None:
    pem = KeySet.from_pem(clerk().public_pem)
    forged = clerk().mint(now=NOW, header={"kid": kid}, key=stranger_key())

    assert isinstance(verifier().verify(token(header={"kid": kid}), keys=pem, now=NOW), Claims)
    assert isinstance(verifier().verify(forged, keys=pem, now=NOW), MissingKey)


@pytest.mark.parametrize(("calls", "hits"), [(1, 0), (2, 1), (5, 4)])
def test_hits_are_counted(calls: int, hits: int) -> None:
    counting = verifier()

    for _ in range(calls):
        counting.verify(valid_token(), keys=keys(), now=NOW)

    assert hits == counting.cache_hits
    assert counting.cache_misses == calls - hits


def test_what_is_refused_is_a_miss_each_time_and_is_not_remembered() -> None:
    counting = verifier()

    for text in ("a.b.c", "a.b.c", valid_token()):
        counting.verify(text, keys=keys(), now=NOW)

    assert (counting.cache_hits, counting.cache_misses, counting.remembered) == (0, 3, 1)


def test_a_remembered_token_expires_all_the_same() -> None:
    remembering = verifier()
    assert isinstance(remembering.verify(valid_token(), keys=keys(), now=NOW), Claims)

    assert isinstance(remembering.verify(valid_token(), keys=keys(), now=EXPIRED_AT - 1), Claims)
    assert remembering.verify(valid_token(), keys=keys(), now=EXPIRED_AT) is Reason.TOKEN_EXPIRED
    assert remembering.cache_hits == 2


def test_a_remembered_token_is_not_valid_before_its_time_either() -> None:
    """
    A clock that is set back is a clock.
    """
    remembering = verifier()
    remembering.verify(valid_token(), keys=keys(), now=NOW)

    assert remembering.verify(valid_token(), keys=keys(), now=NOW - 60) in {
        Reason.TOKEN_NOT_YET_VALID,
        Reason.TOKEN_ISSUED_IN_FUTURE,
    }


def test_what_is_remembered_dies_with_its_key() -> None:
    remembering = verifier()
    assert isinstance(remembering.verify(valid_token(), keys=keys(), now=NOW), Claims)

    rotated = KeySet.from_jwks(renewed().jwks())

    assert isinstance(remembering.verify(valid_token(), keys=rotated, now=NOW), MissingKey)
    assert isinstance(remembering.verify(valid_token(), keys=KeySet(), now=NOW), MissingKey)
    assert remembering.cache_hits == 0


def test_a_key_that_comes_back_brings_no_memory_back() -> None:
    remembering = verifier()
    remembering.verify(valid_token(), keys=keys(), now=NOW)
    remembering.verify(valid_token(), keys=KeySet(), now=NOW)

    assert isinstance(remembering.verify(valid_token(), keys=keys(), now=NOW), Claims)
    assert remembering.cache_hits == 0


@pytest.mark.parametrize(
    "refused",
    [
        pytest.param("nonsense", id="malformed"),
        pytest.param("forged", id="signature"),
        pytest.param("claims", id="claims"),
    ],
)
def test_a_refused_token_is_not_remembered(refused: str) -> None:
    texts = {
        "nonsense": "a.b.c",
        "forged": clerk().mint(now=NOW, key=stranger_key()),
        "claims": token({"iss": "https://evil.example"}),
    }
    remembering = verifier()

    for _ in range(3):
        assert not isinstance(remembering.verify(texts[refused], keys=keys(), now=NOW), Claims)

    assert remembering.cache_hits == 0


def test_memory_is_for_the_whole_token() -> None:
    """
    A token that differs in its signature alone is another token.
    """
    remembering = verifier()
    remembering.verify(valid_token(), keys=keys(), now=NOW)
    body, _, signature = valid_token().rpartition(".")
    other = f"{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"

    assert isinstance(remembering.verify(other, keys=keys(), now=NOW), MissingKey)


def test_memory_is_bounded_and_forgets_the_oldest_first() -> None:
    remembering = verifier(cache_limit=2)
    first, second, third = (token({"jti": str(number)}) for number in range(3))
    for text in (first, second, third):
        remembering.verify(text, keys=keys(), now=NOW)

    remembering.verify(second, keys=keys(), now=NOW)
    remembering.verify(third, keys=keys(), now=NOW)
    assert remembering.cache_hits == 2

    remembering.verify(first, keys=keys(), now=NOW)
    assert remembering.cache_hits == 2


def test_memory_can_be_turned_off() -> None:
    forgetful = verifier(cache_limit=0)

    for _ in range(3):
        assert isinstance(forgetful.verify(valid_token(), keys=keys(), now=NOW), Claims)

    assert forgetful.cache_hits == 0


def test_memory_is_on_and_finite_by_default() -> None:
    assert 0 < CACHE_LIMIT < 100_000


def test_two_rules_have_two_memories() -> None:
    """
    What one rule let in is nothing to another.
    """
    lax, strict = verifier(), TokenVerifier(replace(rules(), issuers=frozenset({"https://x"})))
    lax.verify(valid_token(), keys=keys(), now=NOW)

    assert strict.verify(valid_token(), keys=keys(), now=NOW) is Reason.ISSUER_MISMATCH


@pytest.mark.parametrize(
    ("form", "is_recalled"),
    [
        ("Bearer {}", True),
        ("bearer {}", False),
        ("Bearer  {}", False),
        ("Bearer {} ", False),
        ("Bearer {}, Bearer {}", False),
        ("Basic {}", False),
        ("{}", False),
        ("", False),
    ],
)
def test_only_the_usual_form_of_the_header_is_recalled(form: str, *, is_recalled: bool) -> None:
    """
    Any other is taken apart first, and may turn out to be no bearer token.
    """
    remembering = verifier()
    claims = remembering.verify(valid_token(), keys=keys(), now=NOW)

    recalled = remembering.recall(form.format(valid_token(), valid_token()), keys=keys(), now=NOW)

    assert recalled == (claims if is_recalled else None)
    assert remembering.cache_hits == int(is_recalled)


def test_a_header_is_recalled_as_it_would_be_verified() -> None:
    remembering = verifier()
    header = f"Bearer {valid_token()}"
    before = remembering.recall(header, keys=keys(), now=NOW)
    remembering.verify(valid_token(), keys=keys(), now=NOW)

    assert before is None
    assert remembering.recall(header, keys=keys(), now=EXPIRED_AT) is Reason.TOKEN_EXPIRED
    assert remembering.recall(header, keys=KeySet(), now=NOW) is None
    assert remembering.recall(header, keys=keys(), now=NOW) is None
