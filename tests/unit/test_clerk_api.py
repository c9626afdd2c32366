"""Clerk's Backend API as the adapter reads it, from a double that is as strict."""

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import aiohttp
import pytest

from wicketgate.adapters.clerk_api import (
    API_VERSION,
    ATTEMPTS,
    MAX_RETRY_AFTER_SECONDS,
    OVERLAP,
    PAGE_LIMIT,
    BackendApi,
    ClerkDirectory,
    instance_of,
    open_session,
)
from wicketgate.core.claims import UserId
from wicketgate.core.comparison import Cursor
from wicketgate.errors import ConfigurationError, DependencyError, InternalError
from wicketgate.local.clerk import SECRET_KEY, ClerkDouble, Mode
from wicketgate.local.clerk_backend import Asked, Cursors, Refusal
from wicketgate.local.clerk_instance import ClerkInstance, new_key
from wicketgate.local.clerk_users import Document, numbered_id, user_document

NOW = 1_790_000_000_000
KEY = new_key()
INSTANCE = "ins_2xKAbCdEfGhIjKlMnOpQrStUvWx"
MISSING = UserId("user_2xNobody")


@dataclass
class World:
    """A double with users, and how long the adapter slept."""

    clerk: ClerkDouble
    session: aiohttp.ClientSession
    slept: list[float] = field(default_factory=list)

    def api(
        self,
        *,
        url: str = "",
        secret_key: str = SECRET_KEY,
        timeout_seconds: float = 5,
        limit_bytes: int = 2**26,
    ) -> BackendApi:
        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        return BackendApi(
            url or self.clerk.url,
            self.session,
            secret_key=secret_key,
            jitter=lambda: 0.0,
            sleep=sleep,
            timeout_seconds=timeout_seconds,
            limit_bytes=limit_bytes,
        )

    def directory(self, *, url: str = "", secret_key: str = SECRET_KEY) -> ClerkDirectory:
        return ClerkDirectory(self.api(url=url, secret_key=secret_key), instance_id=INSTANCE)

    def put(self, count: int) -> list[str]:
        users = [person(number) for number in range(count)]
        self.clerk.backend.put(*users)
        return [user["id"] for user in users]

    def refuse(self, *refusals: Refusal) -> None:
        self.clerk.backend.refusals.extend(refusals)

    @property
    def asked(self) -> list[Asked]:
        return self.clerk.backend.asked

    def queries(self) -> list[dict[str, str]]:
        return [dict(parse_qsl(asked.query)) for asked in self.asked]


def person(number: int) -> Document:
    return user_document(
        numbered_id("user_", number), now=NOW + number, email=f"u{number}@example.com"
    )


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with ClerkDouble(ClerkInstance(key=KEY)) as clerk, open_session() as session:
        yield World(clerk, session)


async def listed(directory: ClerkDirectory) -> list[str]:
    """Return the id of everybody, page by page."""
    found: list[str] = []
    cursor: Cursor | None = None
    while True:
        page = await directory.page(cursor)
        found += [profile.clerk_user_id for profile in page.profiles]
        cursor = page.cursor
        if cursor is None:
            return found


# -- lists


async def test_the_list_is_read_oldest_first_page_by_page(world: World) -> None:
    ids = world.put(PAGE_LIMIT * 2 + 7)

    assert ids == await listed(world.directory())

    limits = {query["limit"] for query in world.queries()}
    cursors = [query.get("starting_after") for query in world.queries()]
    assert limits == {"500"}
    assert cursors == [None, ids[499], ids[999], ids[-1]]
    # A bare "+" would be read as a space.
    assert all("order_by=%2Bcreated_at" in asked.query for asked in world.asked)
    assert {API_VERSION} == {asked.version for asked in world.asked}


async def test_a_profile_is_that_of_the_primary_address(world: World) -> None:
    user = person(1) | {"first_name": "Zoë\x00", "public_metadata": {"plan": "pro"}}
    second = user["email_addresses"][0] | {"id": "idn_other", "email_address": "no@example.com"}
    user["email_addresses"].insert(0, second)
    world.clerk.backend.put(user)

    (profile,) = (await world.directory().page(None)).profiles

    assert profile.primary_email == "u1@example.com"
    assert profile.primary_email_verified
    assert profile.first_name == "Zoë\ufffd"
    assert profile.instance_id == INSTANCE
    assert profile.public_metadata == {"plan": "pro"}
    assert profile.clerk_updated_at == NOW + 1


async def test_nobody_is_one_empty_page(world: World) -> None:
    page = await world.directory().page(None)

    assert (list(page.profiles), page.position, page.cursor) == ([], 0, None)


@pytest.mark.parametrize("cursors", [Cursors.REFUSED, Cursors.IGNORED])
async def test_without_cursors_it_goes_by_offset(world: World, cursors: Cursors) -> None:
    """
    Refused or not understood: either way everybody is read, and it ends.
    """
    world.clerk.backend.cursors = cursors
    ids = world.put(PAGE_LIMIT * 2 + 7)

    found = await listed(world.directory())

    assert list(dict.fromkeys(found)) == ids
    offsets = [query["offset"] for query in world.queries() if "offset" in query]
    assert offsets == ["0", "450", "900", "957"]


async def test_users_deleted_between_two_pages_by_offset_hide_nobody(world: World) -> None:
    world.clerk.backend.cursors = Cursors.REFUSED
    ids = world.put(PAGE_LIMIT + 100)
    directory = world.directory()
    first = await directory.page(None)
    for gone in ids[:OVERLAP]:
        del world.clerk.backend.users[gone]

    second = await directory.page(first.cursor)

    seen = {profile.clerk_user_id for page in (first, second) for profile in page.profiles}
    assert set(ids) == seen


async def test_a_user_deleted_while_the_cursor_points_there_ends_nothing(world: World) -> None:
    ids = world.put(PAGE_LIMIT + 100)
    directory = world.directory()
    first = await directory.page(None)
    del world.clerk.backend.users[ids[PAGE_LIMIT - 1]]

    second = await directory.page(first.cursor)

    assert [profile.clerk_user_id for profile in second.profiles][-1] == ids[-1]


async def test_pages_shorter_than_asked_for_are_not_the_end(world: World) -> None:
    """
    Clerk has given ten where it was asked for more than it gives.
    """
    ids = world.put(12)
    directory = world.directory()
    first = await directory.page(None)

    assert first.cursor == Cursor(ids[-1], 12)
    assert (await directory.page(first.cursor)).cursor is None


async def test_an_entry_whose_id_cannot_be_kept_is_counted(world: World) -> None:
    world.put(2)
    world.clerk.backend.put(user_document("usr_migrated", now=NOW + 9))

    page = await world.directory().page(None)

    assert (len(page.profiles), page.unusable, page.position) == (2, 1, 3)
    assert page.cursor == Cursor("usr_migrated", 3)


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"null", b"[1]", b'[{"id":1}]', b'[{"id":"a b"}]', b"[" * 100_000, b"\xff[]"],
)
async def test_a_list_that_is_none_is_refused(world: World, body: bytes) -> None:
    world.refuse(Refusal(200, body=body))

    with pytest.raises(DependencyError, match="not in Clerk's words"):
        await world.directory().page(None)


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_a_cursor_that_clerk_does_not_know_any_more_is_done_without(
    world: World, status: int
) -> None:
    (user_id,) = world.put(1)
    world.refuse(Refusal(status))

    page = await world.directory().page(Cursor("user_2xDeletedMeanwhile", 1))

    assert [profile.clerk_user_id for profile in page.profiles] == [user_id]


async def test_an_error_that_is_not_about_the_cursor_is_told(world: World) -> None:
    world.put(1)
    world.refuse(Refusal(404), Refusal(404))

    with pytest.raises(DependencyError, match="GET /v1/users was answered 404"):
        await world.directory().page(Cursor("user_1", 1))


# -- counts and instances


async def test_users_are_counted(world: World) -> None:
    world.put(3)

    assert await world.directory().count() == 3


@pytest.mark.parametrize("body", [b"[]", b'{"total_count":-1}', b'{"total_count":"3"}', b"<"])
async def test_a_count_that_is_none_is_refused(world: World, body: bytes) -> None:
    world.refuse(Refusal(200, body=body))

    with pytest.raises(DependencyError, match="GET /v1/users/count was answered 200"):
        await world.directory().count()


@pytest.mark.parametrize(
    ("refusal", "instance"),
    [
        (None, INSTANCE),
        (Refusal(404, body=b"not found"), None),
        (Refusal(200, body=b'{"id":"user_1"}'), None),
        (Refusal(200, body=b"[]"), None),
    ],
)
async def test_the_key_tells_whose_it_is_if_clerk_does(
    world: World, refusal: Refusal | None, instance: str | None
) -> None:
    if refusal is not None:
        world.refuse(refusal)

    assert await instance_of(world.api()) == instance


# -- asking by name


async def test_who_is_there_and_who_is_not(world: World) -> None:
    ids = [UserId(each) for each in world.put(20)]

    answers = await world.directory().users([*ids, MISSING])

    assert answers[MISSING] is None
    assert {each: each for each in ids} == {
        key: profile.clerk_user_id for key, profile in answers.items() if profile
    }
    assert await world.directory().users([]) == {}


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(404, body=b"<html><h1>404 Not Found</h1></html>"),
        Refusal(404, body=b""),
        Refusal(404, body=b'{"error":"not found"}'),
        Refusal(404, body=b'{"errors":[]}'),
        Refusal(404, body=b'{"errors":[{"code":"instance_not_found"}]}'),
        Refusal(404, body=b'{"errors":["resource_not_found"]}'),
        Refusal(404, body=b'"resource_not_found"'),
        Refusal(200, body=b'{"errors":[{"code":"resource_not_found"}]}'),
        Refusal(200, body=b'{"id":"user_2xSomebodyElse"}'),
        Refusal(200, body=b"null"),
        Refusal(422, body=b'{"errors":[{"code":"resource_not_found"}]}'),
        Refusal(302),
        Refusal(403),
        Refusal(410, body=b'{"errors":[{"code":"resource_not_found"}]}'),
    ],
)
async def test_nobody_is_gone_but_by_clerk_s_own_word(world: World, refusal: Refusal) -> None:
    """
    A proxy's page, another 404 or an answer about someone else deletes nobody.
    """
    world.refuse(refusal)

    with pytest.raises(DependencyError):
        await world.directory().users([MISSING])


# -- refusals, and asking again


async def test_a_wrong_secret_key_is_one_line_and_not_asked_again(world: World) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await world.directory(secret_key="sk_test_wrong").count()

    (line,) = caught.value.mistakes
    assert line.startswith("CLERK_SECRET_KEY is not taken by Clerk (status 401); expected")
    assert "sk_test_wrong" not in line
    assert len(world.asked) == 1


async def test_it_waits_as_long_as_it_is_told(world: World) -> None:
    world.refuse(Refusal(429, retry_after="7"), Refusal(429, retry_after="0"))

    assert await world.directory().count() == 0

    # "0" is no licence to hammer.
    assert world.slept == [7.0, 1.0]


@pytest.mark.parametrize(
    "retry_after", [None, "soon", "-1", "1e9", "Wed, 21 Oct 2015 07:28:00 GMT"]
)
async def test_without_a_number_of_seconds_it_waits_by_itself(
    world: World, retry_after: str | None
) -> None:
    world.refuse(Refusal(429, retry_after=retry_after))

    await world.directory().count()

    assert world.slept == [0.5]


async def test_it_does_not_wait_for_hours(world: World) -> None:
    world.refuse(Refusal(429, retry_after=f"{MAX_RETRY_AFTER_SECONDS + 1:.0f}"))

    with pytest.raises(DependencyError, match=r"wait for 121 s: run again after that"):
        await world.directory().count()

    assert world.slept == []


async def test_a_server_s_failure_is_waited_out_with_growing_patience(world: World) -> None:
    world.refuse(*(Refusal(status) for status in (500, 502, 503, 504)))

    assert await world.directory().count() == 0

    assert world.slept == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("status", "words"),
    [(429, "again and again: run again later"), (503, "see Clerk's status page")],
)
async def test_patience_ends(world: World, status: int, words: str) -> None:
    world.refuse(*[Refusal(status)] * ATTEMPTS)

    with pytest.raises(DependencyError, match=f"status {status}.*{words}"):
        await world.directory().count()

    assert len(world.slept) == ATTEMPTS - 1
    assert max(world.slept) <= 30


@pytest.mark.parametrize("status", [301, 307, 308])
async def test_a_redirect_does_not_get_the_key(world: World, status: int) -> None:
    world.refuse(Refusal(status))

    with pytest.raises(DependencyError, match=f"status {status}, a redirect"):
        await world.directory().count()

    assert len(world.asked) == 1


async def test_a_connection_that_is_cut_is_tried_again(world: World) -> None:
    world.clerk.mode = Mode.DOWN

    with pytest.raises(DependencyError, match=r"from 127\.0\.0\.1: the connection"):
        await world.directory().count()

    assert len(world.slept) == ATTEMPTS - 1


async def test_an_answer_that_does_not_come_is_a_failure(world: World) -> None:
    world.clerk.mode = Mode.SLOW
    directory = ClerkDirectory(world.api(timeout_seconds=0.05), instance_id=None)

    with pytest.raises(DependencyError, match="no complete answer in time"):
        await directory.count()


async def test_nobody_there_is_a_failure(world: World, nobody: int) -> None:
    with pytest.raises(DependencyError, match="no connection: check CLERK_API_URL"):
        await world.directory(url=f"http://127.0.0.1:{nobody}").count()


async def test_an_answer_without_end_is_not_read_to_the_end(world: World) -> None:
    world.refuse(Refusal(200, body=b"x" * 10_000))
    directory = ClerkDirectory(world.api(limit_bytes=9_999), instance_id=None)

    with pytest.raises(DependencyError, match="larger than 9999 bytes"):
        await directory.count()


async def test_one_failure_among_many_questions_is_that_failure(world: World) -> None:
    world.refuse(*[Refusal(404, body=b"no")] * 40)

    with pytest.raises(DependencyError, match="not in Clerk's words"):
        await world.directory().users([UserId(f"user_{number}") for number in range(40)])


async def test_a_key_that_no_header_can_hold_is_not_told(world: World) -> None:
    with pytest.raises(DependencyError) as caught:
        await world.directory(secret_key="sk_test_a\r\nb").count()

    assert "sk_test" not in str(caught.value)
    assert world.slept == []


async def test_the_key_is_in_no_message_and_no_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world.refuse(*[Refusal(500, body=SECRET_KEY.encode())] * ATTEMPTS, Refusal(403))

    messages = []
    for _ in range(2):
        with pytest.raises(DependencyError) as caught:
            await world.directory().count()
        messages.append(str(caught.value))

    assert SECRET_KEY not in json.dumps([*messages, caplog.text])


async def test_a_session_that_trusts_the_environment_is_refused() -> None:
    async with aiohttp.ClientSession(trust_env=True) as session:
        with pytest.raises(InternalError):
            BackendApi("http://127.0.0.1", session, secret_key="k", jitter=lambda: 0.0)


# -- the double is as strict as Clerk


@pytest.mark.parametrize(
    ("query", "status", "count"),
    [
        ("", 200, 10),
        ("?limit=500", 200, 30),
        ("?limit=501", 200, 10),
        ("?limit=0", 422, None),
        ("?limit=x", 422, None),
        ("?offset=25&limit=500", 200, 5),
        ("?order_by=shoe_size", 422, None),
        ("?order_by=created_at&limit=500&starting_after={last}", 200, 0),
        ("?order_by=-created_at&limit=500&starting_after={last}", 200, 29),
        ("?order_by=updated_at&starting_after={last}", 422, None),
        ("?offset=1&starting_after={last}", 422, None),
        ("?starting_after=user_2xNobody", 422, None),
    ],
)
async def test_the_double_lists_as_clerk_does(
    world: World, query: str, status: int, count: int | None
) -> None:
    ids = world.put(30)
    headers = {"Authorization": f"Bearer {SECRET_KEY}"}

    url = f"{world.clerk.url}/v1/users{query.format(last=ids[-1])}"
    async with world.session.get(url, headers=headers) as response:
        body = json.loads(await response.read())

        assert (response.status, response.headers["content-type"]) == (
            status,
            "application/json",
        )
        if count is None:
            assert body["errors"][0]["code"] == "form_param_value_invalid"
        else:
            assert len(body) == count
        if not query:
            assert body[0]["id"] == ids[-1]
