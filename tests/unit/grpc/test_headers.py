"""Header blocks, read with and without state, against hpack and against each other."""

from contextlib import suppress

import pytest
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from unit.grpc.peer import PLAIN, Field, block
from wicketgate.grpc.faults import Fault, MalformedError
from wicketgate.grpc.head import LONGEST_KEPT, Head
from wicketgate.grpc.headers import LONGEST_REMEMBERED, TRUSTED, HeaderCache, RequestBlocks

NAMES = st.sampled_from(
    [
        *("grpc-timeout", "grpc-encoding", "content-type", "content-length", "te", "host"),
        *("user-agent", "x-request-id", "traceparent", "accept", "cookie", "connection", "X-Up"),
        *(":path", ":method", ":scheme", ":authority", ":status", "", "a b", "\xff"),
    ]
)
VALUES = st.one_of(
    st.sampled_from(["", "1S", "3", "trailers", "echo", "application/grpc", " x", "x\t", "a\nb"]),
    st.text(st.characters(max_codepoint=255), max_size=12),
)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=6)
REQUESTS = st.tuples(FIELDS, st.booleans()).map(
    lambda drawn: [*(PLAIN if drawn[1] else ()), *drawn[0]]
)


def blocks(cache: HeaderCache | None = None, *, max_bytes: int = 65_536) -> RequestBlocks:
    """Return a reader whose peer is known to use no table."""
    reader = RequestBlocks(cache or HeaderCache(), max_bytes=max_bytes)
    reader.settled()
    reader.decode(block(*PLAIN, names_table=True))
    return reader


def outcome(reader: RequestBlocks, coded: bytes) -> Head | str:
    """Return what a block says, or in one word why it says nothing."""
    try:
        return reader.decode(coded)
    except MalformedError:
        return "malformed"
    except Fault as fault:
        return fault.code.name


READ = {"grpc-timeout", "grpc-encoding", "content-type", "content-length", "te", "host"}
WRONG = {"", "a b", "\xff", "X-Up", "connection", ":status"}


def is_malformed(fields: list[Field]) -> bool:
    """Tell whether fields, one by one or together, are not those of a request."""
    pseudo = [name for name, _ in fields if name.startswith(":")]
    known = dict(reversed(fields))
    length = known.get("content-length", "0")
    return (
        any(name in WRONG for name, _ in fields)
        or any(value.strip(" \t") != value or set(value) & set("\0\r\n") for _, value in fields)
        or pseudo != [name for name, _ in fields[: len(pseudo)]]
        or len(pseudo) != len(set(pseudo))
        or any(len({value for name, value in fields if name == read}) > 1 for read in READ)
        or known.get("te", "trailers").lower() != "trailers"
        or not all(known.get(name) for name in (":method", ":scheme", ":path"))
        or ("host" in known and known.get(":authority", known["host"]) != known["host"])
        or not (length.isascii() and length.isdigit() and len(length) <= 18)
    )


def expected(fields: list[Field]) -> Head | str:
    """Return what these fields say, read in the plainest way."""
    if is_malformed(fields):
        return "malformed"
    known = {name: value.encode("latin-1") for name, value in fields}
    return Head(
        known[":method"],
        known[":path"],
        known.get("content-type", b""),
        known.get("grpc-timeout", b""),
        known.get("grpc-encoding", b""),
        int(known["content-length"]) if "content-length" in known else None,
    )


def raw(fields: list[Field]) -> list[tuple[bytes, bytes]]:
    """Return fields as octets."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]


@given(st.lists(REQUESTS, min_size=1, max_size=5), st.booleans())
def test_blocks_without_state_say_what_they_said_to_hpack(
    requests: list[list[Field]],
    huffman: bool,  # noqa: FBT001 - drawn
) -> None:
    """
    One reader for all, so that whole blocks are remembered along the way.
    """
    reader = blocks()
    for fields in requests * 2:
        encoder = Encoder()
        encoder.header_table_size = 0
        coded = encoder.encode(raw(fields), huffman=huffman)
        assert [tuple(field) for field in Decoder().decode(coded, raw=True)] == raw(fields)

        assert outcome(reader, coded) == expected(fields)


@given(st.lists(REQUESTS, min_size=1, max_size=6), st.integers(0, 6), st.booleans())
def test_blocks_with_state_say_the_same(
    requests: list[list[Field]],
    settled: int,
    huffman: bool,  # noqa: FBT001 - drawn
) -> None:
    """
    The peer uses a table, until after some requests it is asked not to.
    """
    reader = RequestBlocks(HeaderCache(), max_bytes=65_536)
    encoder = Encoder()
    for number, fields in enumerate(requests):
        if number == settled:
            reader.settled()
            encoder.header_table_size = 0
        coded = encoder.encode(raw(fields), huffman=huffman)

        assert outcome(reader, coded) == expected(fields)


@given(st.binary(max_size=60), st.booleans())
def test_any_octets_are_an_answer(coded: bytes, starts_well: bool) -> None:  # noqa: FBT001 - drawn
    """
    And to both readers the same, as far as hpack can be told not to use its table.
    """
    coded = block(*PLAIN) + coded if starts_well else coded
    stateful = RequestBlocks(HeaderCache(), max_bytes=65_536)
    stateful.settled()

    theirs = outcome(stateful, b"\x20" + coded)
    ours = outcome(blocks(), b"\x20" + coded)

    assert ours == theirs


@pytest.mark.parametrize(
    "coded",
    [
        b"\x80",  # index 0
        b"\xbe",  # the first entry of a table that is empty
        b"\xff\x00",  # 127, written at length
        b"\x7e\x00",  # a name of that table
        b"\x0f\x2f\x01a",  # the same, not to be indexed
        b"\x40",  # nothing follows
        b"\x00\x01",  # a name is missing
        b"\x00\x01a",  # a value is missing
        b"\x00\x01a\x05b",  # a value is cut short
        b"\x00\x05a",  # a name is cut short
        b"\x00\x7f",  # a length is cut short
        b"\x00\x7f\xff\xff\xff\xff\x0f",  # a length is too long
        b"\x00\x01a\x7f\xff\xff\xff\x7f",  # and one that is only large
        b"\x00\x01a\x7f\x80\x80\x80\x80\x00" + b"v" * 127,  # or written at too great length
        b"\x00\x81\xff\x01b",  # a name that is no Huffman code: eight bits of padding
        b"\x00\x01a\x81\xff",  # such a value
        b"\x5f\x81\xff",  # such a value that is read
        b"\x21",  # a table of one octet
        b"\x3f\xe1\x1f",  # a table of 4,096
        b"\x82\x20",  # late
    ],
    ids=lambda coded: coded.hex()[:20],
)
def test_what_cannot_be_decoded_is_a_fault(coded: bytes) -> None:
    assert outcome(blocks(), coded) == "COMPRESSION_ERROR"


def test_what_cannot_be_decoded_weighs_more_than_what_is_malformed() -> None:
    assert outcome(blocks(), block(("A", "b")) + b"\x80") == "COMPRESSION_ERROR"


def test_a_long_value_and_a_name_of_the_table() -> None:
    length = "7" * 18
    long = ("x-long", "v" * 5_000)

    head = outcome(blocks(), block(*PLAIN, long, ("content-length", length)))

    assert isinstance(head, Head)
    assert head.content_length == int(length)


def test_a_size_update_before_a_block_means_nothing() -> None:
    reader = blocks()

    assert outcome(reader, b"\x20\x20" + block(*PLAIN)) == outcome(reader, block(*PLAIN))


def test_the_table_is_in_use_until_the_peer_says_otherwise() -> None:
    """
    It has heard of it when it acknowledges, and the block after that says so.
    """
    reader, encoder = RequestBlocks(HeaderCache(), max_bytes=65_536), Encoder()
    first = encoder.encode(list(PLAIN))
    second = encoder.encode(list(PLAIN))

    heads = [outcome(reader, first), outcome(reader, second)]
    reader.settled()
    reader.settled()

    assert heads[0] == heads[1] == outcome(blocks(), block(*PLAIN))
    assert outcome(reader, second) == "COMPRESSION_ERROR"


@pytest.mark.parametrize("error", [IndexError, ValueError])
def test_whatever_hpack_trips_over_is_a_fault(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Versions of it differ in what they raise for what is cut short.
    """

    def trips(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Decoder, "decode", trips)

    reader = RequestBlocks(HeaderCache(), max_bytes=65_536)
    assert outcome(reader, block(*PLAIN)) == "COMPRESSION_ERROR"


def test_trailers() -> None:
    stateful = RequestBlocks(HeaderCache(), max_bytes=65_536)
    for reader in (stateful, blocks()):
        reader.trailers(block(("a", "b"), ("grpc-status", "0")))
        for wrong in ((":path", "/"), ("A", "b"), ("connection", "close"), ("a", "b\n")):
            with pytest.raises(MalformedError):
                reader.trailers(block(wrong))
        with pytest.raises(Fault, match=r"."):
            reader.trailers(b"\x80")


@pytest.mark.parametrize("huffman", [False, True])
def test_a_list_that_is_too_long_by_a_value_that_varies(*, huffman: bool) -> None:
    """
    A reader that knows such blocks draws the line where one does that sees its first.
    """
    sizes = range(100, 300)
    known = blocks(max_bytes=500)
    fields = [block(*PLAIN, ("a", "b" * size), huffman=huffman) for size in sizes]

    said = [outcome(known, coded) for coded in fields]

    assert said[0] == outcome(blocks(), block(*PLAIN))
    assert said[-1] == "malformed"
    assert said == [outcome(blocks(max_bytes=500), coded) for coded in fields]


# -------------------------------------------------------------------------- what is remembered


def varying(number: int, *, timeout: bool = True) -> list[Field]:
    """Return fields of which the last ones vary."""
    tail = [("grpc-timeout", f"{number}m")] if timeout else []
    return [*PLAIN, *tail, ("traceparent", f"00-{number:032x}-{number:016x}-01")]


def reads(reader: RequestBlocks, coded: list[bytes]) -> list[bytes]:
    """Return those blocks that are read as a whole."""
    whole = []
    for each in coded:
        before = reader._before  # noqa: SLF001 - how a block was read cannot be seen otherwise
        outcome(reader, each)
        if reader._before is not before:  # noqa: SLF001 - as above
            whole.append(each)
    return whole


MUTATIONS = st.one_of(
    st.tuples(st.just("value"), st.integers(0, 12), VALUES),
    st.tuples(st.just("name"), st.integers(0, 12), NAMES),
    st.tuples(st.just("drop"), st.integers(0, 12), st.just("")),
    st.tuples(st.just("repeat"), st.integers(0, 12), VALUES),
)


def mutated(fields: list[Field], mutation: tuple[str, int, str]) -> list[Field]:
    """Return fields of which one is another."""
    kind, at, text = mutation
    at %= len(fields)
    name, value = fields[at]
    middle: dict[str, list[Field]] = {
        "value": [(name, text)],
        "name": [(text, value)],
        "drop": [],
        "repeat": [(name, value), (name, text)],
    }
    return [*fields[:at], *middle[kind], *fields[at + 1 :]]


@given(
    st.lists(st.tuples(NAMES, VALUES), max_size=4),
    st.lists(st.tuples(MUTATIONS, st.integers(0, 99), st.booleans()), min_size=3, max_size=8),
)
def test_blocks_that_are_like_each_other_say_what_they_would_alone(
    tail: list[Field], requests: list[tuple[tuple[str, int, str], int, bool]]
) -> None:
    """
    Most of them differ in one value, and one thing is wrong with every other.
    """
    reader = blocks()
    for number, (mutation, stamp, huffman) in enumerate(requests):
        fields = [*PLAIN, ("grpc-timeout", f"{stamp}m"), ("x-trace", f"{stamp:020}"), *tail]
        fields = mutated(fields, mutation) if number % 2 else fields
        encoder = Encoder()
        encoder.header_table_size = 0
        coded = encoder.encode(raw(fields), huffman=huffman)

        assert outcome(reader, coded) == expected(fields)


@pytest.mark.parametrize("value", [b" x", b"x ", b"\tx", b"x\0", b"x\r", b"\nx"])
@pytest.mark.parametrize("huffman", [False, True])
@pytest.mark.parametrize("name", [b"grpc-timeout", b"x-trace"])
def test_a_value_that_varies_is_still_one_that_may_be(
    name: bytes, value: bytes, *, huffman: bool
) -> None:
    reader = blocks()
    said = []
    for each in (b"1m", b"2m", b"3m", value):
        encoder = Encoder()
        encoder.header_table_size = 0
        coded = encoder.encode([*raw(list(PLAIN)), (name, each)], huffman=huffman)
        said.append(outcome(reader, coded))

    assert [isinstance(head, Head) for head in said] == [True, True, True, False]


def test_two_timeouts_that_vary_have_to_agree() -> None:
    reader = blocks()
    said = [
        outcome(reader, block(*PLAIN, ("grpc-timeout", f"{one}m"), ("grpc-timeout", f"{two}m")))
        for one, two in ((1, 1), (2, 2), (3, 3), (3, 4))
    ]

    assert [isinstance(head, Head) for head in said] == [True, True, True, False]


@pytest.mark.parametrize("name", sorted(READ - {"grpc-timeout"}))
def test_what_says_what_is_asked_for_is_read_whenever_it_varies(name: str) -> None:
    reader = blocks()
    fields = [field for field in PLAIN if field[0] != name]
    coded = [block(*fields, (name, f"{number}")) for number in range(5)]

    assert reads(reader, coded) == [
        each for each in coded if isinstance(outcome(blocks(), each), Head)
    ]


@pytest.mark.parametrize("huffman", [False, True])
def test_what_varies_is_read_anew(huffman: bool) -> None:  # noqa: FBT001 - a parameter
    reader = blocks()

    heads = [
        outcome(reader, block(*varying(number), huffman=huffman)) for number in range(2 * TRUSTED)
    ]

    assert [head.timeout for head in heads if isinstance(head, Head)] == [
        f"{number}m".encode() for number in range(2 * TRUSTED)
    ]


def test_being_like_others_does_not_hide_what_is_wrong() -> None:
    reader = blocks()
    for number in range(5):
        outcome(reader, block(*varying(number)))

    assert outcome(reader, block(*varying(9), (":path", "/"))) == "malformed"
    assert outcome(reader, block(*varying(9), ("te", "gzip"))) == "malformed"
    assert outcome(reader, block(*varying(9)) + b"\x80") == "COMPRESSION_ERROR"
    assert outcome(reader, block(*varying(9)) + b"\x20") == "COMPRESSION_ERROR"


def test_a_value_that_varies_makes_no_room_for_a_pseudo_header() -> None:
    """
    Not even for one that was not there before.
    """
    without = [field for field in varying(0) if field[0] != ":authority"]
    reader = blocks()
    heads = [outcome(reader, block(*without, ("x-id", f"{number}"))) for number in range(5)]

    assert all(isinstance(head, Head) for head in heads)
    assert outcome(reader, block(*without, (":authority", "echo"))) == "malformed"


@pytest.mark.parametrize(("digits", "is_good"), [(18, True), (19, False)])
def test_a_content_length_has_an_end(digits: int, *, is_good: bool) -> None:
    length = ("content-length", "9" * digits)

    assert isinstance(outcome(blocks(), block(*PLAIN, length)), Head) == is_good


def test_a_reader_finds_back_to_what_varies() -> None:
    """
    As when a health check came between two Checks.
    """
    reader = blocks()
    health = [(name, "/health" if name == ":path" else value) for name, value in PLAIN]
    before = len(reads(reader, [block(*varying(number)) for number in range(9)]))
    during = len(reads(reader, [block(*health, ("x", "y"))]))
    after = len(reads(reader, [block(*varying(number)) for number in range(10, 19)]))

    assert (before, during, after) == (2, 1, 2)


def test_what_does_not_vary_any_more_is_remembered_in_the_end() -> None:
    cache = HeaderCache()
    reader = blocks(cache)
    for number in range(3):
        outcome(reader, block(*varying(number)))
    settled = block(*varying(77))

    for _ in range(TRUSTED + 1):
        outcome(reader, settled)

    assert settled in cache.heads


def test_equal_blocks_are_read_once() -> None:
    cache = HeaderCache()
    first, second = blocks(cache), blocks(cache)
    coded = block(*varying(1))

    head = outcome(first, coded)

    assert outcome(second, coded) is head
    assert outcome(first, coded) is head


def test_what_is_remembered_is_bounded() -> None:
    cache = HeaderCache(limit=10)
    reader = blocks(cache)
    for number in range(100):
        with suppress(MalformedError):
            reader.decode(block(*varying(number), huffman=True))
        assert len(cache.heads) <= 10
        assert len(cache.texts) <= 10

    long = block(*PLAIN, ("x", "y" * LONGEST_REMEMBERED))
    assert outcome(reader, long) == outcome(reader, long)
    assert long not in cache.heads


def test_long_texts_are_not_remembered() -> None:
    cache = HeaderCache()
    reader = blocks(cache)
    sizes = []
    for letter in "xyz":
        head = outcome(reader, block(*PLAIN, ("grpc-encoding", letter * 900), huffman=True))
        assert isinstance(head, Head)
        assert head.encoding == letter.encode() * LONGEST_KEPT
        sizes.append(len(cache.texts))

    assert len(set(sizes)) == 1
