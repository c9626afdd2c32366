"""What a verified body says, and what is made of bodies that say it badly."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from webhooks import (
    CREATED_AT,
    EMAIL_ID,
    EVENT_AT,
    INSTANCE,
    MEMBERSHIP,
    ORGANIZATION,
    SESSION,
    UPDATED_AT,
    USER,
    body_of,
    deleted,
    email,
    envelope,
    membership,
    organization,
    phone,
    session,
    user,
)
from wicketgate.core.claims import SessionId, UserId
from wicketgate.core.event import (
    Change,
    Event,
    Ignored,
    MembershipDeleted,
    MembershipUpserted,
    OrganizationDeleted,
    OrganizationUpserted,
    SessionEnded,
    Unusable,
    UserDeleted,
    UserProfile,
    UserUpserted,
)
from wicketgate.core.event_body import MAX_TYPE_LENGTH, parse_event, profile_of

PROFILE = UserProfile(
    clerk_user_id=UserId(USER),
    instance_id=INSTANCE,
    primary_email="mina@example.com",
    primary_email_verified=True,
    first_name="Mina",
    last_name="Okafor",
    image_url="https://img.example.com/mina",
    public_metadata={"plan": "pro"},
    clerk_created_at=CREATED_AT,
    clerk_updated_at=UPDATED_AT,
)
BARE = UserProfile(clerk_user_id=UserId(USER), instance_id=INSTANCE, clerk_updated_at=EVENT_AT)
"""Of a user about whom nothing is known but the id."""


def content_of(kind: str, data: object, **changes: object) -> object:
    """Return what the event says, organisations included."""
    return parse_event(body_of(kind, data, **changes), organizations=True).content


def profile(**changes: object) -> UserProfile:
    """Return what is kept of a user."""
    content = content_of("user.updated", user(**changes))
    assert isinstance(content, UserUpserted)
    return content.profile


# --- each type ---------------------------------------------------------------

CHANGES: Mapping[str, tuple[dict[str, Any], Change]] = {
    "user.created": (user(), UserUpserted(PROFILE)),
    "user.updated": (user(), UserUpserted(PROFILE)),
    "user.deleted": (deleted("user", USER), UserDeleted(UserId(USER), INSTANCE)),
    **dict.fromkeys(
        ("session.ended", "session.removed", "session.revoked"),
        (session(), SessionEnded(SessionId(SESSION), UserId(USER))),
    ),
    **dict.fromkeys(
        ("organization.created", "organization.updated"),
        (
            organization(),
            OrganizationUpserted(
                clerk_organization_id=ORGANIZATION,
                instance_id=INSTANCE,
                name="Quill Ltd",
                slug="quill",
                image_url="https://img.example.com/quill",
                public_metadata={"tier": 1},
                clerk_created_at=CREATED_AT,
                clerk_updated_at=UPDATED_AT,
            ),
        ),
    ),
    "organization.deleted": (
        deleted("organization", ORGANIZATION),
        OrganizationDeleted(ORGANIZATION, INSTANCE),
    ),
    **dict.fromkeys(
        ("organizationMembership.created", "organizationMembership.updated"),
        (
            membership(),
            MembershipUpserted(
                clerk_membership_id=MEMBERSHIP,
                instance_id=INSTANCE,
                clerk_organization_id=ORGANIZATION,
                clerk_user_id=UserId(USER),
                role="org:member",
                public_metadata={"desk": 4},
                clerk_created_at=CREATED_AT,
                clerk_updated_at=UPDATED_AT,
            ),
        ),
    ),
    "organizationMembership.deleted": (
        membership(),
        MembershipDeleted(MEMBERSHIP, ORGANIZATION, UserId(USER), INSTANCE),
    ),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_each_type_says_what_happened(kind: str) -> None:
    data, expected = CHANGES[kind]

    assert Event(kind, EVENT_AT, expected) == parse_event(
        body_of(kind, data), expected_instance=INSTANCE, organizations=True
    )


@pytest.mark.parametrize("kind", CHANGES)
def test_only_the_ids_must_be_there(kind: str) -> None:
    """
    Clerk's own samples lack members that its schema calls required.
    """
    data, expected = CHANGES[kind]
    ids = {
        name: value
        for name, value in data.items()
        if name in {"id", "organization", "public_user_data"}
    }

    assert type(content_of(kind, ids)) is type(expected)


def test_a_user_of_whom_nothing_is_known_is_a_user() -> None:
    assert content_of("user.created", {"id": USER}) == UserUpserted(BARE)


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("wrong", [None, "", 7, "usr_1", "user_", f"user_{'x' * 65}", [USER]])
def test_without_a_good_id_nothing_can_be_done(kind: str, wrong: object) -> None:
    data, _ = CHANGES[kind]

    content = content_of(kind, {**data, "id": wrong})

    assert isinstance(content, Unusable)
    assert content.why.startswith(("data.id is not ", "data does not name "))


@pytest.mark.parametrize("member", ["organization", "public_user_data"])
@pytest.mark.parametrize("wrong", [None, "x", {}, {"id": 1, "user_id": 1}])
def test_a_membership_is_of_somebody_in_something(member: str, wrong: object) -> None:
    data = membership(**{member: wrong})

    assert isinstance(content_of("organizationMembership.created", data), Unusable)
    assert isinstance(content_of("organizationMembership.deleted", data), Unusable)


@pytest.mark.parametrize("wrong", [None, 7, "somebody"])
def test_a_session_may_be_nobodys(wrong: object) -> None:
    expected = SessionEnded(SessionId(SESSION), None)

    assert expected == content_of("session.ended", session(user_id=wrong))


@pytest.mark.parametrize("data", [None, [], "x", 1, True])
def test_data_is_an_object(data: object) -> None:
    assert content_of("user.created", data) == Unusable("data is not an object")


# --- what is none of our business --------------------------------------------


@pytest.mark.parametrize("kind", ["email.created", "user.invented", "USER.CREATED", "user"])
def test_an_unknown_type_is_ignored_whatever_it_holds(kind: str) -> None:
    assert parse_event(body_of(kind, None)) == Event(kind, EVENT_AT, Ignored("unknown_type"))


@pytest.mark.parametrize("kind", [kind for kind in CHANGES if kind.startswith("organization")])
def test_organizations_are_ignored_unless_they_are_wanted(kind: str) -> None:
    data, _ = CHANGES[kind]

    assert parse_event(body_of(kind, data)).content == Ignored("organizations_off")


@pytest.mark.parametrize("instance", ["ins_123", "ins_2xOther", None, 7, "", "x"])
def test_another_instance_is_ignored(instance: object) -> None:
    """
    The dashboard's "Send Example" is of none, or of one that is nobody's.
    """
    body = body_of("user.deleted", deleted("user", USER), instance_id=instance)

    assert parse_event(body, expected_instance=INSTANCE).content == Ignored("other_instance")


@pytest.mark.parametrize(
    ("instance", "expected"),
    [("ins_2xOther", "ins_2xOther"), ("ins_" + "x" * 65, None), (None, None), ("pk", None)],
)
def test_without_an_expected_instance_every_one_counts(
    instance: object, expected: str | None
) -> None:
    content = content_of("user.deleted", deleted("user", USER), instance_id=instance)

    assert content == UserDeleted(UserId(USER), expected)


# --- the envelope ------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"{",
        b"\xef\xbb\xbf{}",
        b"\xff",
        b'{"type": "user.created", "type": "user.deleted"}',
        b'{"data": NaN}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"timestamp": ' + b"9" * 5_000 + b"}",
    ],
)
def test_a_body_that_is_not_an_object_is_unusable(body: bytes) -> None:
    assert parse_event(body) == Event("", 0, Unusable("not a JSON object"))


def test_a_body_nested_as_deep_as_the_parser_goes_raises_nothing() -> None:
    """
    What the decoder still manages may be too deep for what walks it.
    """
    for depth in range(100, 2_000, 50):
        metadata = '{"a":' * depth + "1" + "}" * depth
        body = b'{"type":"user.created","data":{"id":"%b","public_metadata":%b}}' % (
            USER.encode(),
            metadata.encode(),
        )
        assert isinstance(parse_event(body).content, UserUpserted | Unusable)


@pytest.mark.parametrize("kind", [None, 7, "", "x" * (MAX_TYPE_LENGTH + 1), ["user.created"]])
def test_a_body_has_a_type(kind: object) -> None:
    body = json.dumps({**envelope("", user()), "type": kind}).encode()

    assert parse_event(body) == Event("", EVENT_AT, Unusable("type is missing"))


def test_a_type_may_be_as_long_as_that() -> None:
    kind = "x" * MAX_TYPE_LENGTH

    assert parse_event(body_of(kind, {})).type == kind


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        (1_790_000_012_420, 1_790_000_012_420),
        # Clerk documents milliseconds, and its samples have seconds.
        (1_716_883_200, 1_716_883_200_000),
        (1, 1_000),
        (99_999_999_999, 99_999_999_999_000),
        (100_000_000_000, 100_000_000_000),
        (10**30, 253_402_300_799_000),
        (0, 0),
        (-1, 0),
        (1.5, 0),
        ("1790000012420", 0),
        (True, 0),
        (None, 0),
        ([], 0),
    ],
)
def test_times_are_milliseconds_whatever_was_sent(timestamp: object, expected: int) -> None:
    event = parse_event(body_of("user.created", user(created_at=timestamp), timestamp=timestamp))

    assert isinstance(event.content, UserUpserted)
    assert expected == event.event_at
    assert expected == event.content.profile.clerk_created_at


@pytest.mark.parametrize("updated_at", [None, 0, "soon", -5])
def test_a_change_without_a_version_is_as_old_as_its_event(updated_at: object) -> None:
    upserted = profile(updated_at=updated_at)
    organized = content_of("organization.updated", organization(updated_at=updated_at))
    joined = content_of("organizationMembership.updated", membership(updated_at=updated_at))

    assert isinstance(organized, OrganizationUpserted)
    assert isinstance(joined, MembershipUpserted)
    versions = (upserted, organized, joined)
    assert [each.clerk_updated_at for each in versions] == [EVENT_AT] * 3


# --- the primary address -----------------------------------------------------

FIRST = email("first@example.com", email_id="idn_1")
SECOND = email("second@example.com", email_id="idn_2", status="unverified")
NEVER = email("never@example.com", email_id="idn_3", status=None)


@pytest.mark.parametrize(
    ("addresses", "primary_id", "expected"),
    [
        ([FIRST, SECOND], "idn_1", ("first@example.com", True)),
        ([FIRST, SECOND], "idn_2", ("second@example.com", False)),
        ([FIRST, SECOND, NEVER], "idn_3", ("never@example.com", False)),
        ([FIRST, SECOND], "idn_9", (None, False)),
        ([FIRST, SECOND], None, (None, False)),
        ([FIRST], 1, (None, False)),
        ([], "idn_1", (None, False)),
        (None, "idn_1", (None, False)),
        ({"id": "idn_1"}, "idn_1", (None, False)),
        (["idn_1", None, FIRST], "idn_1", ("first@example.com", True)),
        ([{"id": "idn_1"}], "idn_1", (None, False)),
        ([{"id": "idn_1", "email_address": 7, "verification": []}], "idn_1", (None, False)),
        (
            [{"id": "idn_1", "email_address": "x@y.example", "verification": {"status": True}}],
            "idn_1",
            ("x@y.example", False),
        ),
    ],
)
def test_the_primary_address_is_the_one_that_is_named(
    addresses: object, primary_id: object, expected: tuple[str | None, bool]
) -> None:
    found = profile(email_addresses=addresses, primary_email_address_id=primary_id)

    assert expected == (found.primary_email, found.primary_email_verified)


def test_the_primary_phone_is_the_one_that_is_named() -> None:
    numbers = [
        phone("+4917612345678", phone_id="idn_a"),
        phone("+441632960123", phone_id="idn_b"),
    ]

    named = profile(phone_numbers=numbers, primary_phone_number_id="idn_b")
    unnamed = profile(phone_numbers=numbers)

    assert (named.primary_phone, unnamed.primary_phone) == ("+441632960123", None)


# --- the other members -------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("external_id", "crm-991", "crm-991"),
        ("external_id", "", None),
        ("external_id", 991, None),
        ("username", "mina", "mina"),
        ("first_name", None, None),
        ("last_name", ["Okafor"], None),
        ("image_url", {}, None),
        ("banned", True, True),
        ("banned", 1, False),
        ("banned", "true", False),
        ("locked", True, True),
        ("locked", None, False),
        ("deprovisioned", True, True),
        ("deprovisioned", "false", False),
        ("public_metadata", {"a": [1, None]}, {"a": [1, None]}),
        ("public_metadata", None, {}),
        ("public_metadata", "x", {}),
    ],
)
def test_a_member_of_another_type_counts_as_absent(
    name: str, value: object, expected: object
) -> None:
    assert expected == asdict(profile(**{name: value}))[name]


@pytest.mark.parametrize("kind", CHANGES)
def test_private_and_unsafe_metadata_are_never_read(kind: str) -> None:
    data, _ = CHANGES[kind]
    marked = {**data, "private_metadata": {"m": "hunter2"}, "unsafe_metadata": "hunter2"}

    event = parse_event(body_of(kind, marked), organizations=True)

    assert "hunter2" not in repr(event)
    assert "remark" not in repr(event)


def test_who_and_where_the_user_was_is_never_read() -> None:
    shown = repr([parse_event(body_of(kind, data)) for kind, (data, _) in CHANGES.items()])

    assert "203.0.113.7" not in shown
    assert "Mozilla" not in shown
    assert "Lagos" not in shown


@pytest.mark.parametrize("character", [chr(0), chr(0xD800), chr(0xDFFF)])
def test_what_postgres_cannot_keep_is_replaced(character: str) -> None:
    found = profile(
        first_name=f"Mi{character}na",
        public_metadata={f"k{character}": [{"v": f"{character}{character}"}]},
    )

    assert found.first_name == "Mi\ufffdna"
    assert found.public_metadata == {"k\ufffd": [{"v": "\ufffd\ufffd"}]}


def test_what_is_escaped_as_a_pair_is_a_character() -> None:
    body = body_of("user.created", user(first_name="\U0001f600"))

    event = parse_event(body)

    assert b"\\ud83d\\ude00" in body
    assert isinstance(event.content, UserUpserted)
    assert event.content.profile.first_name == "\U0001f600"


def test_a_user_of_the_backend_api_is_read_the_same_way() -> None:
    assert profile_of(user(), instance_id=INSTANCE) == PROFILE
    assert profile_of({"id": EMAIL_ID}) is None
    assert profile_of({"id": USER}, instance_id=INSTANCE, event_at=EVENT_AT) == BARE


# --- whatever the body holds -------------------------------------------------

# JSON has neither NaN nor Infinity, although Python writes them.
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.binary() | st.text().map(str.encode))
def test_nothing_is_raised_for_any_bytes(body: bytes) -> None:
    assert isinstance(parse_event(body).content, Unusable)


@given(json_values)
def test_nothing_is_raised_for_any_json(value: object) -> None:
    parse_event(json.dumps(value).encode(), expected_instance=INSTANCE, organizations=True)


@given(
    st.sampled_from(sorted(CHANGES)),
    st.data(),
    json_values,
)
def test_nothing_is_raised_for_any_member(kind: str, drawn: st.DataObject, value: object) -> None:
    """
    It starts from a good event and spoils one member.
    """
    data, expected = CHANGES[kind]
    name = drawn.draw(st.sampled_from(sorted(data)))

    content = content_of(kind, {**data, name: value})

    assert isinstance(content, type(expected) | Unusable)


@given(st.sampled_from(sorted(envelope("user.created", {}))), json_values)
@example("timestamp", float("inf"))
@example("type", "\ud800")
def test_nothing_is_raised_for_any_envelope(name: str, value: object) -> None:
    body = json.dumps({**envelope("user.created", user()), name: value}).encode()

    event = parse_event(body)

    assert 0 <= event.event_at <= 253_402_300_799_000
    event.type.encode()


@given(st.text(st.characters()), json_values)
def test_every_text_that_is_kept_can_be_stored(text: str, value: object) -> None:
    found = profile(first_name=text, external_id=text, public_metadata={"value": value})

    kept = json.dumps(asdict(found), ensure_ascii=False)
    kept.encode()
    assert "\\u0000" not in kept
