"""One Check from bytes to bytes, with everything that can break broken once."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from envoy_data_plane.envoy.service.auth.v3 import CheckResponse

from conformance.table import World, bearer, forged
from gates import (
    FakeKeys,
    FakeRecorder,
    answer,
    check_request,
    denial,
    make_gate,
    upstream_headers,
)
from wicketgate.adapters.envoy import Responses
from wicketgate.core.claims import UserId
from wicketgate.core.identity import IdentityHeaders
from wicketgate.core.keys import KeySet
from wicketgate.core.policy.rule import Match
from wicketgate.core.record import Record
from wicketgate.core.request import HttpRequest
from wicketgate.core.revocation import Revocations
from wicketgate.core.verdict import (
    Verdict,
)
from wicketgate.local.clerk_instance import USER

SECRET = "a-value-that-must-not-be-seen"


def reason(response: CheckResponse) -> str:
    """Return the reason that a denied caller is told."""
    return str(json.loads(denial(response).body)["reason"])


class BrokenPolicy:
    def match(self, request: HttpRequest) -> Match:
        raise RuntimeError(SECRET + request.host)


class BrokenKeys:
    snapshot = KeySet()

    async def refresh(self, kid: str) -> bool:
        raise RuntimeError(SECRET + kid)


class BrokenRecorder:
    def count(self, verdict: Verdict, seconds: float) -> bool:  # noqa: ARG002 - the seam's shape
        """Want a record of everything."""
        return True

    def record(self, record: Record) -> None:
        raise OSError(SECRET + record.reason)


class BrokenResponses(Responses):
    """Serialises its first answer, which the gate keeps for the worst case, and no other."""

    def __init__(self) -> None:
        super().__init__(IdentityHeaders())
        self._answers = 0

    def serialise(
        self, verdict: Verdict, *, decision_id: str, is_grpc: bool, local_id: str = ""
    ) -> bytes:
        self._answers += 1
        if self._answers > 1:
            raise ValueError(SECRET)
        return super().serialise(
            verdict, decision_id=decision_id, is_grpc=is_grpc, local_id=local_id
        )


async def test_an_exception_while_deciding_is_a_503_that_names_only_its_place(
    world: World,
) -> None:
    recorder = FakeRecorder()
    gate = make_gate(world, policy=BrokenPolicy(), recorder=recorder)

    response = await answer(gate, check_request(bearer()(world)))

    assert reason(response) == "internal_error"
    assert [record.reason for record in recorder.records] == ["internal_error"]
    assert "RuntimeError in BrokenPolicy.match line " in recorder.records[0].detail
    assert SECRET not in repr(recorder.records) + repr(response)


async def test_an_exception_while_fetching_a_key_is_a_503(world: World) -> None:
    recorder = FakeRecorder()
    gate = make_gate(world, keys=BrokenKeys(), recorder=recorder)

    response = await answer(gate, check_request(bearer()(world)))

    assert reason(response) == "internal_error"
    assert SECRET not in repr(recorder.records) + repr(response)


async def test_an_exception_while_answering_is_the_last_resort(world: World) -> None:
    gate = make_gate(world, responses=BrokenResponses())

    assert reason(await answer(gate, check_request(bearer()(world)))) == "internal_error"


async def test_a_recorder_that_fails_changes_no_answer(world: World) -> None:
    gate = make_gate(world, recorder=BrokenRecorder())

    response = await answer(gate, check_request(bearer()(world)))

    assert response.status is not None
    assert response.status.code == 0


async def test_a_known_key_needs_no_waiting(world: World) -> None:
    gate = make_gate(world)

    assert isinstance(gate.check(check_request(bearer()(world))), bytes)


async def test_a_key_that_arrives_lets_the_token_pass(world: World) -> None:
    keys = FakeKeys(KeySet(), arriving=world.keys())
    gate = make_gate(world, keys=keys)

    response = await answer(gate, check_request(bearer()(world)))

    assert response.status is not None
    assert response.status.code == 0
    assert keys.asked == [world.clerk.kid]


@pytest.mark.parametrize(
    ("keys", "sends", "expected"),
    [
        (lambda world: FakeKeys(world.keys()), forged, "signature_invalid"),
        (lambda world: FakeKeys(world.keys(), is_current=False), forged, "signature_invalid"),
        (lambda _: FakeKeys(KeySet(), is_current=False), bearer(), "keys_unavailable"),
        (lambda _: FakeKeys(KeySet()), bearer(), "keys_unavailable"),
    ],
)
async def test_a_key_that_does_not_arrive_is_a_denial(
    keys: Callable[[World], FakeKeys],
    sends: Callable[[World], dict[str, str]],
    expected: str,
    world: World,
) -> None:
    gate = make_gate(world, keys=keys(world))

    assert expected == reason(await answer(gate, check_request(sends(world))))


@pytest.mark.parametrize(
    ("is_current", "expected"), [(True, "key_unknown"), (False, "keys_unavailable")]
)
async def test_an_unknown_kid_is_the_caller_s_fault_only_while_the_keys_are_current(
    world: World, *, is_current: bool, expected: str
) -> None:
    gate = make_gate(world, keys=FakeKeys(world.keys(), is_current=is_current))
    token = world.stranger.mint(now=world.now)

    response = await answer(gate, check_request({"authorization": f"Bearer {token}"}))

    assert expected == reason(response)


async def test_an_unknown_word_in_the_route_is_told_to_the_operator_only(world: World) -> None:
    recorder = FakeRecorder()
    gate = make_gate(world, recorder=recorder)

    response = await answer(gate, check_request({}, context={"policy": "usr"}))

    assert reason(response) == "route_misconfigured"
    assert "usr" not in denial(response).body
    assert recorder.records[0].detail.startswith("context_extensions.policy is 'usr'; expected ")


async def test_a_denial_tells_the_caller_the_id_that_is_recorded(world: World) -> None:
    recorder = FakeRecorder()

    response = await answer(make_gate(world, recorder=recorder), check_request({}))

    told = {
        option.header.key: option.header.value
        for option in denial(response).headers
        if option.header
    }
    assert told["x-wicketgate-decision"] == recorder.records[0].decision_id


async def test_the_id_that_is_recorded_is_also_in_the_body_of_every_denial(world: World) -> None:
    """
    The first answer is made, the second comes from what was kept of it.
    """
    recorder = FakeRecorder()
    gate = make_gate(world, recorder=recorder)

    told = [
        json.loads(denial(await answer(gate, check_request({}))).body)["decision_id"]
        for _ in range(2)
    ]

    assert told == [record.decision_id for record in recorder.records]


@pytest.mark.parametrize(
    ("request_id", "kept"),
    [
        ("cde47963-cfca-4b49-9c10-b3f7bb2b59a6", True),
        ("a\nb", False),
        ("x" * 129, False),
        ("", False),
    ],
)
async def test_only_a_plain_request_id_is_recorded(
    world: World, *, request_id: str, kept: bool
) -> None:
    recorder = FakeRecorder()

    await answer(make_gate(world, recorder=recorder), check_request({"x-request-id": request_id}))

    assert (request_id if kept else "") == recorder.records[0].request_id


async def test_nothing_recorded_holds_a_credential_a_claim_or_a_path(world: World) -> None:
    recorder = FakeRecorder()
    gate = make_gate(world, recorder=recorder)
    sent = bearer()(world)
    service = {"authorization": f"Bearer {world.service_token}"}

    for headers in (sent, forged(world), service, {"authorization": f"Basic {SECRET}"}):
        await answer(gate, check_request(headers, path=f"/{SECRET}?token={SECRET}"))

    kept = repr(recorder.records)
    assert len(recorder.records) == 4
    for hidden in (SECRET, sent["authorization"], world.service_token, "user_2x"):
        assert hidden not in kept


async def test_an_exposed_service_token_is_recorded_as_such_and_answered_as_any_string(
    world: World,
) -> None:
    recorder = FakeRecorder()
    gate = make_gate(world, recorder=recorder)
    exposed = await answer(gate, check_request({"authorization": f"Bearer {world.service_token}"}))
    guessed = await answer(gate, check_request({"authorization": "Bearer " + "x" * 41}))

    def without_id(response: CheckResponse) -> str:
        return denial(response).body.split('"decision_id"')[0]

    assert without_id(guessed) == without_id(exposed)
    assert [record.reason for record in recorder.records] == [
        "service_token_exposed",
        "token_malformed",
    ]


async def test_a_grpc_caller_gets_one_line_of_plain_text(world: World) -> None:
    """
    Envoy makes the body the ``grpc-message``.
    """
    response = await answer(
        make_gate(world), check_request({"content-type": "application/grpc+proto"})
    )

    assert denial(response).body == "no_credential: A bearer token is required."


async def test_checks_that_wait_for_a_key_do_not_hold_up_the_rest(world: World) -> None:
    arrived = asyncio.Event()

    class SlowKeys(FakeKeys):
        async def refresh(self, kid: str) -> bool:
            await arrived.wait()
            return await super().refresh(kid)

    gate = make_gate(world, keys=SlowKeys(world.keys()))
    stranger = {"authorization": f"Bearer {world.stranger.mint(now=world.now)}"}

    waiting = asyncio.create_task(answer(gate, check_request(stranger)))
    await asyncio.sleep(0)
    immediate = gate.check(check_request(bearer()(world)))
    arrived.set()

    assert isinstance(immediate, bytes)
    assert reason(await waiting) == "key_unknown"


def test_a_peer_that_may_not_ask_is_denied(world: World) -> None:
    assert reason(CheckResponse.parse(make_gate(world).refuse_peer())) == "peer_not_allowed"


# --- users whom the gate meets -----------------------------------------------


@dataclass
class FakeUsers:
    """A table of users that has an id for whoever was met, once it may answer.

    Attributes:
        met: Who was met.
        is_open: Whether somebody waits, and until when.
        ids: What is known.
    """

    met: list[UserId] = field(default_factory=list)
    is_open: asyncio.Event | None = None
    ids: dict[UserId, str] = field(default_factory=dict)

    def meet(self, user_id: UserId) -> Callable[[], Awaitable[None]] | None:
        self.met.append(user_id)
        if self.is_open is None or user_id in self.ids:
            return None

        async def wait() -> None:
            assert self.is_open is not None
            await self.is_open.wait()
            self.ids[user_id] = f"id of {user_id}"

        return wait

    def local_id(self, user_id: UserId) -> str:
        return self.ids.get(user_id, "")


def upstream_id(response: CheckResponse, sent: dict[str, str]) -> str | None:
    """Return the ``x-user-id`` that the upstream sees."""
    headers = upstream_headers(response, sent)
    assert headers is not None
    return headers.get("x-user-id")


async def test_a_user_who_has_to_be_waited_for_is_answered_with_the_id_of_the_row(
    world: World,
) -> None:
    users = FakeUsers(is_open=asyncio.Event())
    gate = make_gate(world)
    gate.users = users
    sent = {**bearer()(world), "x-user-id": "forged"}

    waiting = asyncio.create_task(answer(gate, check_request(sent)))
    await asyncio.sleep(0)
    was_done = waiting.done()
    assert users.is_open is not None
    users.is_open.set()
    response = await waiting

    assert not was_done
    assert upstream_id(response, sent) == f"id of {USER}"
    assert users.met == [USER]


async def test_a_user_who_is_known_is_answered_at_once(world: World) -> None:
    gate = make_gate(world)
    gate.users = FakeUsers(is_open=asyncio.Event(), ids={UserId(USER): "7a1c"})

    given = gate.check(check_request(bearer()(world)))

    assert isinstance(given, bytes)
    assert upstream_id(CheckResponse.parse(given), {}) == "7a1c"


@pytest.mark.parametrize("users", [FakeUsers(), None])
async def test_a_user_whose_id_is_not_known_reaches_the_upstream_without_one(
    world: World, users: FakeUsers | None
) -> None:
    gate = make_gate(world)
    gate.users = users
    sent = {**bearer()(world), "x-user-id": "forged"}

    assert upstream_id(await answer(gate, check_request(sent)), sent) is None


async def test_an_id_that_becomes_known_is_in_the_next_answer(world: World) -> None:
    """
    Answers are kept, and one that lacks the id must not be given again.
    """
    users = FakeUsers()
    gate = make_gate(world)
    gate.users = users
    raw = check_request(bearer()(world))

    ids = []
    for known in ("", "7a1c", "8b2d"):
        users.ids[UserId(USER)] = known
        ids.append(upstream_id(await answer(gate, raw), {}))

    assert ids == [None, "7a1c", "8b2d"]


@pytest.mark.parametrize(
    ("sends", "context"),
    [
        (forged, {}),
        (bearer(age=70), {}),
        (lambda _: {}, {"policy": "optional"}),
        (bearer(), {"policy": "anonymous"}),
        (bearer(), {"policy": "service", "exposure": "internal"}),
        (
            lambda world: {"authorization": f"Bearer {world.service_token}"},
            {"policy": "service", "exposure": "internal"},
        ),
    ],
)
async def test_nobody_is_met_who_is_not_let_in_as_a_user(
    sends: Callable[[World], dict[str, str]], context: dict[str, str], world: World
) -> None:
    users = FakeUsers()
    gate = make_gate(world)
    gate.users = users

    await answer(gate, check_request(sends(world), context=context))

    assert users.met == []


async def test_a_user_whose_key_had_to_be_fetched_is_met_too(world: World) -> None:
    users = FakeUsers(is_open=asyncio.Event())
    assert users.is_open is not None
    users.is_open.set()
    gate = make_gate(world, keys=FakeKeys(KeySet(), arriving=world.keys()))
    gate.users = users

    response = await answer(gate, check_request(bearer()(world)))

    assert upstream_id(response, {}) == f"id of {USER}"


async def test_who_is_revoked_while_the_row_is_made_is_denied(world: World) -> None:
    users = FakeUsers(is_open=asyncio.Event())
    gate = make_gate(world)
    gate.users = users

    waiting = asyncio.create_task(answer(gate, check_request(bearer()(world))))
    await asyncio.sleep(0)
    gate.revocations = Revocations(users={UserId(USER): world.now})
    assert users.is_open is not None
    users.is_open.set()

    assert reason(await waiting) == "user_revoked"


async def test_a_key_that_goes_while_the_row_is_made_is_a_503(world: World) -> None:
    users = FakeUsers(is_open=asyncio.Event())
    keys = FakeKeys(world.keys())
    gate = make_gate(world, keys=keys)
    gate.users = users

    waiting = asyncio.create_task(answer(gate, check_request(bearer()(world))))
    await asyncio.sleep(0)
    keys.snapshot = KeySet()
    assert users.is_open is not None
    users.is_open.set()

    assert reason(await waiting) == "keys_unavailable"
    assert keys.asked == []


async def test_a_defect_of_the_table_s_is_a_503_that_quotes_nothing(world: World) -> None:
    class BrokenUsers(FakeUsers):
        def meet(self, user_id: UserId) -> Callable[[], Awaitable[None]] | None:
            raise RuntimeError(SECRET + user_id)

    recorder = FakeRecorder()
    gate = make_gate(world, recorder=recorder)
    gate.users = BrokenUsers()

    response = await answer(gate, check_request(bearer()(world)))

    assert reason(response) == "internal_error"
    assert SECRET not in repr(recorder.records) + repr(response)
