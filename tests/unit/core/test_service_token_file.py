"""The file of named tokens: read whole, or refused with every mistake and no secret."""

import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wicketgate.core.policy.reading import PolicyError
from wicketgate.core.service_token import EVERY_SCOPE, ServiceToken, ServiceTokens
from wicketgate.core.service_token_file import MAX_TOKENS, parse_service_tokens

TOKEN = "wgs_a-token-that-is-long-enough-to-be-one"
DIGEST = sha256(TOKEN.encode())
EXAMPLE = f"""\
version: 1
tokens:
  - name: ml-engine
    sha256: {DIGEST.hexdigest()}
    scopes: [audio]
    not_after: 2027-01-01T00:00:00Z
    principal: spiffe://mesh/ns/ml/sa/engine
  - name: billing
    sha256: {"0" * 64}
    scopes: ["*"]
"""
LAST_SECOND = 1_798_761_600

names = st.from_regex(r"[a-z0-9][a-z0-9._:-]{0,63}", fullmatch=True).filter("static".__ne__)
scopes = st.lists(names, min_size=1, max_size=4) | st.just([EVERY_SCOPE])
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
good_tokens = st.lists(
    st.fixed_dictionaries({"name": names, "sha256": digests, "scopes": scopes}),
    min_size=1,
    max_size=5,
    unique_by=lambda token: token["sha256"],
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
secrets = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=32, max_size=64)


def entry(**changes: object) -> dict[str, Any]:
    """Return a valid entry, but for `changes`; a value of `None` takes the key away."""
    good = {"name": "ml-engine", "sha256": DIGEST.hexdigest(), "scopes": ["audio"]}
    return {key: value for key, value in (good | changes).items() if value is not None}


def file_of(*tokens: object) -> str:
    """Return a file with these tokens. JSON is YAML."""
    return json.dumps({"version": 1, "tokens": tokens})


def mistakes_in(text: str) -> list[str]:
    """Return a line for each mistake in `text`, without its position."""
    with pytest.raises(PolicyError) as refused:
        parse_service_tokens(text)
    return [mistake.message for mistake in refused.value.mistakes]


def test_a_file_is_read() -> None:
    assert parse_service_tokens(EXAMPLE) == (
        ServiceToken(
            name="ml-engine",
            digest=DIGEST.digest(),
            scopes=frozenset({"audio"}),
            not_after=LAST_SECOND,
            principal="spiffe://mesh/ns/ml/sa/engine",
        ),
        ServiceToken(name="billing", digest=bytes(32), scopes=frozenset({EVERY_SCOPE})),
    )


def test_whoever_shows_the_token_is_who_the_file_says() -> None:
    known = ServiceTokens(named=parse_service_tokens(EXAMPLE))

    found = known.recognise(TOKEN)

    assert found is not None
    assert found.name == "ml-engine"


def test_whoever_shows_the_digest_is_nobody() -> None:
    """
    The file is no secret: what is in it opens nothing.
    """
    known = ServiceTokens(named=parse_service_tokens(EXAMPLE))

    assert known.recognise(DIGEST.hexdigest()) is None


def test_a_name_may_have_several_tokens() -> None:
    tokens = parse_service_tokens(file_of(entry(), entry(sha256="1" * 64)))

    assert [token.name for token in tokens] == ["ml-engine", "ml-engine"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "0"),
        ("name", "a" * 64),
        ("name", "a.b_c:d-e"),
        ("name", "statics"),
        ("sha256", "A" * 64),
        ("scopes", "audio"),
        ("scopes", EVERY_SCOPE),
        ("scopes", [EVERY_SCOPE]),
        ("scopes", ["audio", "video:read"]),
        ("not_after", "2027-01-01T00:00:00.5+02:00"),
        ("not_after", "1970-01-01T00:00:00Z"),
        ("principal", "spiffe://mesh"),
        ("principal", "spiffe://cluster.local/ns/ml/sa/engine.v2_a-b"),
        ("principal", "spiffe://mesh/..."),
        ("principal", "engine.example.com"),
        ("principal", "CN=engine,O=mesh"),
        ("principal", "x" * 2048),
    ],
)
def test_good_values(key: str, value: object) -> None:
    assert parse_service_tokens(file_of(entry(**{key: value})))


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("name", "", "expected a name"),
        ("name", "ML", "expected a name"),
        ("name", "-a", "expected a name"),
        ("name", "a" * 65, "expected a name"),
        ("name", "a b", "expected a name"),
        ("name", "a\n", "expected a name"),
        ("name", 7, "expected text, not a number"),
        ("name", "static", "static is what a value of SERVICE_AUTH_TOKEN is called"),
        ("sha256", "", "expected the 64 hex digits"),
        ("sha256", "0" * 63, "expected the 64 hex digits"),
        ("sha256", "0" * 65, "expected the 64 hex digits"),
        ("sha256", "g" * 64, "expected the 64 hex digits"),
        ("sha256", "0" * 64 + "\n", "expected the 64 hex digits"),
        ("sha256", 7, "expected the 64 hex digits"),
        ("sha256", TOKEN, "expected the 64 hex digits"),
        ("sha256", sha256().hexdigest(), "is the digest of an empty text"),
        ("sha256", sha256(b"\n").hexdigest(), "is the digest of an empty text"),
        ("scopes", [], "expected at least one, a name"),
        ("scopes", [EVERY_SCOPE, "audio"], 'expected "*" alone'),
        ("scopes", [EVERY_SCOPE, EVERY_SCOPE], 'expected "*" alone'),
        ("not_after", "", "expected a date and a time"),
        ("not_after", "2027-01-01", "expected a date and a time"),
        ("not_after", "2027-01-01T00:00:00", "expected a date and a time"),
        ("not_after", 2027, "expected a date and a time"),
        ("not_after", "2027-02-29T00:00:00Z", "expected a day that there is"),
        ("not_after", "1969-12-31T00:00:00Z", "expected an instant from 1970"),
        ("principal", "", "expected visible ASCII"),
        ("principal", "a b", "expected visible ASCII"),
        ("principal", "\u00e4", "expected visible ASCII"),
        ("principal", "a\n", "expected visible ASCII"),
        ("principal", "x" * 2049, "expected visible ASCII"),
        ("principal", 7, "expected text, not a number"),
        ("principal", "spiffe:/mesh/a", "expected a SPIFFE ID"),
        ("principal", "SPIFFE://mesh/a", "expected a SPIFFE ID"),
        ("principal", "spiffe://Mesh/a", "expected a SPIFFE ID"),
        ("principal", "spiffe:///a", "expected a SPIFFE ID"),
        ("principal", "spiffe://mesh/", "expected a SPIFFE ID"),
        ("principal", "spiffe://mesh//a", "expected a SPIFFE ID"),
        ("principal", "spiffe://mesh/a/../b", "expected a SPIFFE ID"),
        ("principal", "spiffe://mesh/.", "expected a SPIFFE ID"),
        ("principal", "spiffe://mesh/a?b", "expected a SPIFFE ID"),
        ("principal", "spiffe://mesh/%61", "expected a SPIFFE ID"),
        ("expires", "never", "is not a word of this file"),
    ],
)
def test_bad_values(key: str, value: object, complaint: str) -> None:
    (mistake,) = mistakes_in(file_of(entry(**{key: value})))

    assert mistake.startswith(f"tokens[0].{key}: {complaint}")


@pytest.mark.parametrize(
    ("scopes", "complaint"),
    [
        (["audio", "Video"], "[1]: expected a name"),
        (["audio", ""], "[1]: expected a name"),
        (["audio", "**"], "[1]: expected a name"),
        (["audio", 7], "[1]: expected text, not a number"),
        ("", ": expected a name"),
        ({"audio": True}, ": expected text, not a mapping"),
    ],
)
def test_the_bad_one_among_the_scopes_is_pointed_at(scopes: object, complaint: str) -> None:
    (mistake,) = mistakes_in(file_of(entry(scopes=scopes)))

    assert mistake.startswith(f"tokens[0].scopes{complaint}")


@pytest.mark.parametrize("key", ["name", "sha256", "scopes"])
def test_what_a_token_cannot_do_without_is_missed(key: str) -> None:
    assert mistakes_in(file_of(entry(**{key: None}))) == [
        f"tokens[0].{key}: is missing; expected it here"
    ]


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        ("name", "expected text, not nothing"),
        ("sha256", "expected the 64 hex digits"),
        ("scopes", "expected at least one, a name"),
        ("not_after", "expected a date and a time"),
        ("principal", "expected text, not nothing"),
    ],
)
def test_a_key_without_a_value_is_a_mistake(key: str, complaint: str) -> None:
    """
    A template that had nothing to put there must not make a token that never ends.
    """
    (mistake,) = mistakes_in(file_of({**entry(), key: None}))

    assert mistake.startswith(f"tokens[0].{key}: {complaint}")


def test_a_token_is_there_once() -> None:
    upper = DIGEST.hexdigest().upper()

    assert mistakes_in(file_of(entry(), entry(name="billing", sha256=upper))) == [
        "tokens[1].sha256: is that of an earlier entry; expected each token once"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a mapping"),
        ("[]", "expected a mapping"),
        ("version: 1", "tokens: is missing; expected it here"),
        ("{version: 1, tokens: 7}", "tokens: expected a list"),
        ("{version: 1, tokens: [7]}", "tokens[0]: expected a mapping"),
        (f"tokens: [{json.dumps(entry())}]", "version: is missing; expected it here"),
        (f"{{version: 2, tokens: [{json.dumps(entry())}]}}", "version: expected the number 1"),
        (f"{{version: true, tokens: [{json.dumps(entry())}]}}", "version: expected the number 1"),
        ("{version: 1, tokens: []}", "tokens: expected at least one; for none, leave "),
        ("{version: 1, tokens: }", "tokens: expected at least one; for none, leave "),
        ("{version: 1, version: 1}", "expected each key once; version is there twice"),
        ("version: [", "expected YAML: "),
        ("\x00", "expected text "),
    ],
)
def test_what_is_not_such_a_file(text: str, message: str) -> None:
    assert any(mistake.startswith(message) for mistake in mistakes_in(text))


@pytest.mark.parametrize(("count", "mistakes"), [(MAX_TOKENS, 0), (MAX_TOKENS + 1, 1)])
def test_there_are_at_most_so_many(count: int, mistakes: int) -> None:
    text = file_of(*(entry(sha256=f"{number:064}") for number in range(count)))

    if mistakes:
        assert mistakes_in(text) == ["tokens: expected at most 1000, not 1001"]
    else:
        assert len(parse_service_tokens(text)) == MAX_TOKENS


def test_every_mistake_is_told_at_once_and_where_it_is() -> None:
    text = f"""\
version: 1
tokens:
  - name: static
    sha256: {DIGEST.hexdigest()}
    scopes: [audio, "*"]
  - name: billing
    sha256:
      {DIGEST.hexdigest()}
    not_after: tomorrow
    secret: hidden
more: 1
"""
    with pytest.raises(PolicyError) as refused:
        parse_service_tokens(text)

    assert [
        f"{each.position} {each.message.partition(':')[0]}" for each in refused.value.mistakes
    ] == [
        "3:11 tokens[0].name",
        "5:13 tokens[0].scopes",
        "6:5 tokens[1].scopes",
        "8:7 tokens[1].sha256",
        "9:16 tokens[1].not_after",
        "10:5 tokens[1].secret",
        "11:1 more",
    ]


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("scope", "did you mean scopes?"),
        ("kind", "expected version and tokens, and in each token name, sha256, scopes, "),
    ],
)
def test_an_unknown_word_is_answered_with_the_known_ones(word: str, answer: str) -> None:
    (mistake,) = mistakes_in(file_of(entry(**{word: "audio"})))

    assert mistake.startswith(f"tokens[0].{word}: is not a word of this file; {answer}")


@given(secrets)
def test_a_secret_in_the_wrong_place_is_not_quoted(secret: str) -> None:
    """
    As a value, as a key, and as a key that is there twice.
    """
    quoted = json.dumps(secret)
    texts = [
        file_of(secret),
        file_of(entry(sha256=secret, **{secret: secret})),
        f"{quoted}: 1\n{quoted}: 2",
        secret,
        f"a: *{secret}",
        *(file_of({**entry(), key: [secret, {secret: secret}]}) for key in entry()),
    ]

    for text in texts:
        assert secret not in "\n".join(mistakes_in(text))


@given(good_tokens)
def test_good_files_are_read_as_they_are_written(tokens: list[dict[str, Any]]) -> None:
    assert parse_service_tokens(file_of(*tokens)) == tuple(
        ServiceToken(
            name=token["name"],
            digest=bytes.fromhex(token["sha256"]),
            scopes=frozenset(token["scopes"]),
        )
        for token in tokens
    )


@given(
    st.text()
    | json_values.map(json.dumps)
    | st.lists(json_values).map(lambda all_: file_of(*all_))
)
def test_any_text_is_such_a_file_or_refused(text: str) -> None:
    assert mistakes_in(text)
